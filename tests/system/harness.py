# SPDX-License-Identifier: Apache-2.0
"""The real daemon, a real Mosquitto and real pseudo terminals, each test with its own in a
temporary directory. Several test programs may run at the same time."""

import contextlib
import ctypes
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

import mqtt
import mqttsn as sn
import schema
from device import Device, PtyLink, UdpLink

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("DORMOUSE_BIN", ROOT / "build/dev/bin"))
WAIT_S = 20       # for what takes milliseconds: only a defect or a dead machine reaches it
POLL_S = 0.01
LOG_LINES = 150   # of each log that are printed after a failure
SANITIZER = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")


def wait_until(condition, what, seconds=WAIT_S):
    """The one place that polls. Returns what `condition` returned when it became true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(POLL_S)


class PortKeeper:
    """Ports outside the range from which the kernel serves others. A name in the abstract socket
    space keeps a port away from tests that run at the same time; it dies with this process."""

    def __init__(self):
        self.kept = []

    def take(self):
        for port in random.sample(range(20000, 30000), 200):
            keeper = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                keeper.bind(f"\0dormouse-test-port-{port}")
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind(("127.0.0.1", port))
            except OSError:
                keeper.close()
                continue
            self.kept.append(keeper)
            return port
        raise AssertionError("no free port")

    def close(self):
        for keeper in self.kept:
            keeper.close()


LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 0x40000


def in_own_mount_namespace():
    """What this process and its children mount is seen by nobody else, and ends with them. Needs
    root."""
    for done in (LIBC.unshare(CLONE_NEWNS), LIBC.mount(None, b"/", None, MS_REC_PRIVATE, None)):
        if done != 0:
            raise OSError(ctypes.get_errno(), "no mount namespace of one's own (not root?)")


def die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a test that ctest kills leaves nothing


def spawn(arguments, **how):
    how.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([str(a) for a in arguments], preexec_fn=die_with_parent, **how)


def run(arguments, **how):
    """Runs a program to its end, which must come soon. Returns status and what it said."""
    if "input" not in how:
        how["stdin"] = subprocess.DEVNULL
    return subprocess.run([str(a) for a in arguments], text=True, capture_output=True, timeout=60,
                          preexec_fn=die_with_parent, **how)


class Server:
    """A process that writes a log and can be stopped, killed and started again."""

    def __init__(self, log):
        self.log = log
        self.process = None

    def spawn(self, arguments, **how):
        assert self.process is None
        with open(self.log, "ab") as out:
            self.process = spawn(arguments, stdout=out, stderr=out, **how)

    def ended(self):
        """The exit status, None while it runs."""
        return self.process.poll()

    def kill(self):
        """SIGKILL: no chance to write anything."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        """SIGTERM. Returns the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextlib.contextmanager
    def paused(self):
        """Neither runs nor ends inside the block: a machine that hangs."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            if self.process is not None:
                self.process.send_signal(signal.SIGCONT)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def find_mosquitto():
    found = os.environ.get("MOSQUITTO") or shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    if not os.access(found, os.X_OK):
        sys.exit("no mosquitto in PATH, /usr/sbin or $MOSQUITTO: nothing can be tested")
    return found


class Mosquitto(Server):
    """With the settings that docs/mosquitto.conf recommends."""

    CONFIG = """listener {port} 127.0.0.1
allow_anonymous true
user {user}
persistence_location {directory}/
log_type all
log_dest stderr
"""
    SETTINGS = ROOT / "docs/mosquitto.conf"

    def __init__(self, directory, port):
        super().__init__(directory / "mosquitto.log")
        self.port = port
        self.url = f"mqtt://127.0.0.1:{port}"
        self.config = directory / "mosquitto.conf"
        self.database = directory / "mosquitto.db"
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        own = self.CONFIG.format(port=port, directory=directory, user=user)
        self.config.write_text(own + self.SETTINGS.read_text())
        self.clients = []

    def start(self):
        self.spawn([find_mosquitto(), "-c", self.config])
        wait_until(self.answers, "Mosquitto accepts connections")

    def answers(self):
        assert self.ended() is None, "Mosquitto ended at once"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def wait_saved(self, octets):
        self.process.send_signal(signal.SIGUSR1)  # the last change may not be written by itself
        wait_until(lambda: self.database.exists() and octets in self.database.read_bytes(),
                   f"Mosquitto wrote {octets} to its database")

    def lines(self, *words):
        """What this run of the broker logged with all the words in a line."""
        current = self.text().rpartition(" starting\n")[2]
        return [line for line in current.splitlines() if all(word in line for word in words)]

    def unacknowledged(self, client_id="dormouse-test"):
        """Packet ids that the client has not acknowledged to the end."""
        open_ids = set()
        for line in self.lines(client_id):
            sent = re.search(r"Sending PUBLISH to .*\(d\d, q[12], r\d, m(\d+),", line)
            done = re.search(r"Received PUB(?:ACK|COMP) from .*\(Mid: (\d+)", line)
            if sent:
                open_ids.add(sent[1])
            elif done:
                open_ids.discard(done[1])
        return open_ids

    def wait_subscribed(self, count=1):
        """So many subscriptions of the gateway were made in this run."""
        wait_until(lambda: len(self.lines("Sending SUBACK to dormouse-test")) >= count,
                   f"the gateway subscribed {count} times")

    def forget_all(self):
        """Between kill and start: the broker loses every session."""
        self.database.unlink(missing_ok=True)

    def client(self, name="test"):
        client = mqtt.Client(self.port, f"{name}-{len(self.clients)}")
        self.clients.append(client)
        return client

    def close(self):
        for client in self.clients:
            client.close()
        if self.process is not None:
            self.kill()


class Gateway(Server):
    def __init__(self, directory, port, url):
        super().__init__(directory / "dormoused.log")
        self.port = port
        self.file = directory / "dormouse.ini"
        self.state = directory / "state"
        self.database = self.state / "dormouse.db"
        self.socket = directory / "control.sock"
        self.environment = {}   # beside that of the test
        self.prefix = []        # of the command line
        self.debug = ["-d"]     # empty: log_level decides
        self.config = {
            "gateway": {"id": 7, "name": "test", "state_dir": self.state},
            "broker": {"url": url, "client_id": "dormouse-test"},
            "sessions": {"retry": "1s"},
            "udp lan": {"listen": f"127.0.0.1:{port}"},
            # Without status topics: many tests watch all topics, or count packets.
            "control": {"socket": self.socket, "http": "", "status_topics": ""},
        }

    def write_config(self):
        lines = []
        for section, keys in self.config.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {value}" for key, value in keys.items()]
        self.file.write_text("\n".join(lines) + "\n")

    def start(self, online=True):
        """Returns when it answers; with `online` also when it is connected upstream."""
        self.write_config()
        self.launch()
        wait_until(self.answers, "the control socket answers")
        if online:
            self.wait_broker("connected")
        return self

    def launch(self):
        self.spawn([*self.prefix, BIN / "dormoused", *self.debug, "-c", self.file], env={**os.environ, **self.environment})

    def wait_end(self, seconds):
        """Of a process that was told to end. Returns the exit status."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"dormoused did not end within {seconds} s") from None
        self.process = None
        return status

    def wait_broker(self, state):
        wait_until(lambda: self.status()["broker"]["state"] == state, f"the broker is {state}")

    def answers(self):
        assert self.ended() is None, f"dormoused ended at once with status {self.ended()}"
        try:
            return self.status()["pid"] == self.process.pid
        except (OSError, ValueError):
            return False  # not there yet, or the socket of the one that was killed

    def ask_text(self, command, **fields):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(10)
            peer.connect(str(self.socket))
            peer.sendall(json.dumps({"command": command, **fields}).encode() + b"\n")
            with peer.makefile("rb") as stream:
                return stream.readline()

    def ask(self, command, **fields):
        return schema.parse(self.ask_text(command, **fields))

    def status(self):
        return self.ask("status")

    def sessions(self):
        return {one["client_id"]: one for one in self.ask("sessions")["sessions"]}

    def wait_state(self, client_id, state, seconds=WAIT_S):
        return wait_until(
            lambda: self.sessions().get(client_id, {}).get("state") == state,
            f"{client_id} is {state}", seconds)

    def wait_queued(self, client_id, count):
        wait_until(lambda: self.sessions()[client_id]["queued"] == count,
                   f"{count} messages wait for {client_id}")

    def rows(self, table):
        database = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return database.execute(f"SELECT * FROM {table}").fetchall()
        finally:
            database.close()

    def traces(self, *words):
        """Every row of every table that contains one of the words."""
        found = []
        wanted = [word.encode() if isinstance(word, str) else word for word in words]
        for entry in self.rows("sqlite_master"):
            if entry[0] != "table":
                continue
            for row in self.rows(entry[1]):
                fields = [field if isinstance(field, bytes) else str(field).encode()
                          for field in row]
                if any(word in field for word in wanted for field in fields):
                    found.append((entry[1], row))
        return found

    def close(self):
        """An orderly end must leave no leak behind: the sanitizers speak at exit."""
        if self.process is None:
            return
        crashed = self.ended()
        status = self.stop()
        assert crashed is None, f"dormoused had ended by itself with status {crashed}"
        assert status == 0, f"dormoused ended with status {status}"


class SystemTest(unittest.TestCase):
    """A broker and a gateway; `start_gateway` starts the latter when its options are set."""

    BROKER = True  # started with the test

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dm-"))
        self.ports = PortKeeper()
        self.addCleanup(self.ports.close)
        self.broker = Mosquitto(self.directory, self.ports.take())
        self.addCleanup(self.broker.close)
        self.gateway = Gateway(self.directory, self.ports.take(), self.broker.url)
        self.addCleanup(self.check_log)
        self.addCleanup(self.gateway.close)
        self.addCleanup(self.check_answers)
        if self.BROKER:
            self.broker.start()

    def run(self, result=None):
        problems = len(result.errors) + len(result.failures)
        self.directory = None
        super().run(result)
        if self.directory is not None:
            if len(result.errors) + len(result.failures) > problems:
                self.print_logs()
            shutil.rmtree(self.directory, ignore_errors=True)
        return result

    def check_log(self):
        text = self.gateway.text()
        self.assertFalse([word for word in SANITIZER if word in text], "a sanitizer spoke")

    def check_answers(self):
        """Programs can read of every state that a test has left."""
        gateway = self.gateway
        if gateway.process is None or gateway.ended() is not None or not gateway.socket.exists():
            return
        schema.check_json("status", gateway.ask_text("status"))
        sessions = schema.check_json("sessions", gateway.ask_text("sessions"))["sessions"]
        for session in sessions[:5]:
            for command in ("show", "queue"):
                text = gateway.ask_text(command, client_id=session["client_id"])
                schema.check_json(command, text)

    def print_logs(self):
        for path in sorted([*self.directory.glob("*.log"), *self.directory.glob("*.ini")]):
            lines = path.read_text(errors="replace").splitlines()
            print(f"--- {self.id()}: the last lines of {path.name}", file=sys.stderr)
            print("\n".join(lines[-LOG_LINES:]), file=sys.stderr)

    def start_gateway(self, online=True, **sections):
        """Options as udp_lan={...}: added to those of the section."""
        for section, keys in sections.items():
            self.gateway.config.setdefault(section.replace("_", " ", 1), {}).update(keys)
        return self.gateway.start(online)

    def restart_gateway(self, online=True):
        """As after a power failure: SIGKILL in the middle of whatever it did."""
        self.gateway.kill()
        self.gateway.start(online)

    def device(self, client_id):
        link = UdpLink(self.gateway.port)
        self.addCleanup(link.close)
        return Device(client_id, link)

    def pty(self, name, framing="raw"):
        """A pseudo terminal, and the section that makes the gateway serve it."""
        link = PtyLink(self.directory / f"tty-{name}", framing)
        self.addCleanup(link.close)
        self.gateway.config[f"serial {name}"] = {"device": link.path, "framing": framing}
        return link

    def start_broker_with_watcher(self, topic):
        """The watcher is subscribed before the gateway can deliver what it has spooled."""
        with self.gateway.paused():
            self.broker.start()
            watcher = self.broker.client("watcher")
            watcher.subscribe(topic)
        return watcher

    def wait_link(self, name, up=True):
        def is_up():
            links = {link["name"]: link for link in self.gateway.status()["links"]}
            return links[name]["up"] == up
        wait_until(is_up, f"link {name} is {'up' if up else 'down'}")

    def texts(self, device, packets):
        """[(topic, payload)] of the PUBLISHes among the packets."""
        return [device.text_of(p) for p in packets if p.kind == sn.PUBLISH]

    def wait_kept(self, client_id, count):
        """So many messages wait for the device, and the broker was told that they are safe: from
        now on it will not send them again."""
        self.gateway.wait_queued(client_id, count)
        wait_until(lambda: not self.broker.unacknowledged(), "the gateway acknowledged everything")

    def wait_no_traces(self, *words):
        wait_until(lambda: not self.gateway.traces(*words),
                   f"no row of the database holds any of {words}")

    def command(self, *arguments, **how):
        """Runs `dormouse ...` to its end."""
        return run([BIN / "dormouse", *arguments], **how)


def main():
    """Runs the tests of the calling file and ends with a line of counts."""
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    # Sub-tests fail one by one, but only the test they belong to counts.
    bad = {getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors}
    failed = len(bad) + len(result.unexpectedSuccesses)
    passed = result.testsRun - failed - len(result.skipped)
    print(f"{pathlib.Path(sys.argv[0]).name}: {result.testsRun} tests, {passed} passed, "
          f"{failed} failed, {len(result.skipped)} skipped", flush=True)
    sys.exit(0 if failed == 0 and result.testsRun > 0 else 1)
