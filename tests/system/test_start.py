# SPDX-License-Identifier: Apache-2.0
"""Starting with a bad configuration, a damaged database, or what is missing or taken."""

import os
import socket

from harness import BIN, SystemTest, main, run, wait_until


class Start(SystemTest):
    """What keeps the gateway from starting is said clearly; what need not keep it does not."""

    BROKER = False

    CONFIG_STATUS = 78  # EX_CONFIG: systemd need not try again

    def start_in_vain(self, config=None):
        """Runs dormoused, which must end by itself, with status 1 if it is not the file that is
        wrong. Returns what it said."""
        expected = self.CONFIG_STATUS
        if config is None:
            self.gateway.write_config()
            config, expected = self.gateway.file, 1
        done = run([BIN / "dormoused", "-c", config])
        self.assertEqual(done.returncode, expected, done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        return done.stderr

    # Lines of the file; the number of the bad one; what must be said of it.
    BAD_FILES = [
        (["[gateway]", "idd = 1", "[udp lan]"], 2, "[gateway] idd: unknown key"),
        (["[gatway]", "[udp lan]"], 1, "[gatway]: unknown section"),
        (["[udp]"], 1, "[udp]: needs a name"),
        (["id = 1", "[udp lan]"], 1, "key before the first [section]"),
        (["[udp lan]", "", "; fine", "  mtu = many"], 4, "[udp lan] mtu:"),
        (["[udp lan]", "[gateway]", "id = 256"], 3, "[gateway] id:"),
        (["[udp lan]", "[gateway]", "state_dir = relative/path"], 3, "[gateway] state_dir:"),
        (["[udp lan]", "[sessions]", "retry = 10"], 3, "[sessions] retry:"),
        (["[udp lan]", "[sessions]", "retry = 5s", "retry = 6s"], 4, "given twice"),
        (["[udp lan]", "[sessions]", "overflow = drop"], 3, "[sessions] overflow:"),
        (["[udp lan]", "listen = 10.0.0.1"], 2, "[udp lan] listen:"),
        (["[udp lan]", "dtls = psk"], 2, "not built in yet; refused"),
        (["[udp lan]", "[broker]", "url = mqtts://broker/"], 3, "[broker] url:"),
        (["[udp lan]", "[broker]", "url = http://broker"], 3, "[broker] url:"),
        (["[udp lan]", "[topics]", "70000 = a"], 3, "[topics] 70000:"),
        (["[udp lan]", "[topics]", "7 = a/+"], 3, "[topics] 7:"),
        (["[serial barn]", "framing = raw"], 1, "[serial barn] device: required"),
        (["[serial barn]", "device = /dev/x", "framing = morse"], 3, "[serial barn] framing:"),
        (["[udp lan]", "listen 0.0.0.0:1"], 2, "expected key = value"),
        (["[udp lan]", "[gateway]", "name = " + "n" * 300], 3, "longer than 199 octets"),
        (["[udp lan", "mtu = 60"], 1, "section header without ]"),
        (["[udp lan]", "[serial lan]"], 2, "have the same name"),
        (["[udp lan]", "mtu = 60\0"], 2, "NUL octet"),
    ]

    def test_every_error_of_the_file_is_reported_with_its_line(self):
        for number, (lines, line, reason) in enumerate(self.BAD_FILES):
            path = self.directory / f"bad-{number}.conf"
            path.write_text("\n".join(lines) + "\n")
            with self.subTest(file=lines):
                said = [*self.start_in_vain(path).splitlines(),
                        *self.command("check", path).stderr.splitlines()]
                found = [text for text in said if f"{path}:{line}: " in text and reason in text]
                self.assertEqual(len(found), 2, said)  # by dormoused and by dormouse check

    def test_all_errors_are_reported_at_once(self):
        path = self.directory / "bad.conf"
        path.write_text("[gateway]\nid = 0\n[nowhere]\n[sessions]\nretry = soon\n")
        said = self.start_in_vain(path)
        for text in (":2: [gateway] id", ":3: [nowhere]", ":5: [sessions] retry",
                     "no [udp NAME] and no [serial NAME] section"):
            self.assertIn(text, said)

    def test_file_that_is_not_there_or_no_file_is_named(self):
        missing = self.directory / "missing.ini"
        self.assertIn(f"{missing}: cannot be read: No such file", self.start_in_vain(missing))
        self.assertIn("Is a directory", self.start_in_vain(self.directory))

    def test_unknown_option_and_argument_are_refused(self):
        for arguments in (["--nonsense"], ["stray"]):
            done = run([BIN / "dormoused", *arguments])
            self.assertEqual(done.returncode, 1)
            self.assertIn("usage: dormoused", done.stderr)

    def damaged(self, damage):
        """Starts with a database that `damage` has changed. Returns what was moved aside."""
        self.broker.start()
        self.start_gateway()
        device = self.device("d").connect()
        for i in range(50):
            device.register(f"some/long/topic/name/to/fill/pages/{i}")
        self.assertEqual(self.gateway.stop(), 0)
        damage(self.gateway.database)
        self.gateway.start()
        self.device("new").connect()
        aside = list(self.gateway.state.glob("dormouse.db.corrupt-*Z"))  # the log goes with it
        self.assertEqual(len(aside), 1, list(self.gateway.state.iterdir()))
        self.assertIn("error: ", self.gateway.text())
        self.assertIn(aside[0].name, self.gateway.text())
        return aside[0]

    def test_database_of_garbage_is_moved_aside(self):  # design section 8
        garbage = b"this was a database once\n" * 1000
        self.assertEqual(self.damaged(lambda path: path.write_bytes(garbage)).read_bytes(), garbage)

    def test_database_of_zeros_is_moved_aside(self):  # mosquitto#2639: seen on real Pis
        self.damaged(lambda path: path.write_bytes(bytes(path.stat().st_size)))

    def test_database_cut_in_the_middle_is_moved_aside(self):
        self.damaged(lambda path: os.truncate(path, path.stat().st_size // 2))

    def test_database_with_damaged_pages_is_moved_aside(self):
        def damage(path):
            octets = bytearray(path.read_bytes())
            for at in range(4096, len(octets), 512):
                octets[at:at + 64] = b"\xa5" * 64
            path.write_bytes(octets)
        self.damaged(damage)

    def test_state_directory_that_cannot_be_made_is_named(self):
        self.gateway.config["gateway"]["state_dir"] = self.gateway.file / "state"
        said = self.start_in_vain()
        self.assertIn(f"cannot create {self.gateway.file}/state: Not a directory", said)

    def test_state_directory_that_cannot_be_written_is_named(self):
        self.gateway.config["gateway"]["state_dir"] = "/proc/self"  # for root, too
        self.assertRegex(self.start_in_vain(), "error: .*in /proc/self: ")

    def test_second_gateway_on_the_same_state_directory_is_refused(self):
        self.start_gateway(online=False)
        self.gateway.config["udp lan"]["listen"] = f"127.0.0.1:{self.ports.take()}"
        self.gateway.config["control"]["socket"] = self.directory / "other.sock"
        self.assertIn(f"another process uses {self.gateway.state}", self.start_in_vain())
        self.device("d").connect()  # the first one is not disturbed

    def test_udp_port_in_use_is_named(self):
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", self.gateway.port))
        self.assertIn(f"cannot listen on 127.0.0.1:{self.gateway.port}: Address already in use",
                      self.start_in_vain())

    def test_control_socket_that_cannot_be_made_does_not_stop_the_gateway(self):
        self.gateway.config["control"]["socket"] = self.directory / "nowhere/control.sock"
        self.gateway.write_config()
        self.gateway.spawn([BIN / "dormoused", "-c", self.gateway.file])
        wait_until(lambda: "is ready" in self.gateway.text(), "the gateway is ready")
        self.assertIn("no control socket", self.gateway.text())
        self.device("d").connect()

    def test_systemd_is_told_ready_alive_and_stopping(self):  # Type=notify with a watchdog
        inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(inbox.close)
        inbox.bind(str(self.directory / "notify"))
        inbox.settimeout(10)
        os.environ.update(NOTIFY_SOCKET=str(self.directory / "notify"), WATCHDOG_USEC="200000")
        try:
            self.start_gateway(online=False)
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
        # Ready without the broker: an absent one does not stop the start.
        self.assertEqual(inbox.recv(100), b"READY=1")
        self.assertEqual(inbox.recv(100), b"WATCHDOG=1")
        self.assertEqual(self.gateway.stop(), 0)
        while (told := inbox.recv(100)) == b"WATCHDOG=1":
            pass
        self.assertEqual(told, b"STOPPING=1")


if __name__ == "__main__":
    main()
