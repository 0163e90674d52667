# SPDX-License-Identifier: Apache-2.0
"""The `dormouse` command against the real gateway: pub, sub, search, status, sessions, check."""

import os
import select
import subprocess

import schema
from device import PtyLink
from harness import BIN, SystemTest, main, spawn, wait_until

OK, USAGE, CONNECTION, REFUSED, TIMED_OUT = 0, 1, 2, 3, 27
NONE_FOUND = USAGE


class Command(SystemTest):
    def pub(self, *arguments, **how):
        return self.command("pub", "-p", self.gateway.port, *arguments, **how)

    def spawn_sub(self, *arguments, to_gateway=None):
        """Starts `dormouse sub`; its standard error tells what it has done (--ready)."""
        where = to_gateway or ["-p", self.gateway.port]
        process = spawn([BIN / "dormouse", "sub", "--ready", *where, *arguments],
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.reap, process)
        return process

    def reap(self, process):
        process.kill()
        process.communicate()

    def wait_said(self, process, word):
        while True:
            line = process.stderr.readline()
            self.assertNotEqual(line, "", f"ended before it said {word}")
            if line.strip() == word:
                return

    def assert_done(self, done, status=OK, said=""):
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(said, done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)


class Publish(Command):
    def setUp(self):
        super().setUp()
        self.start_gateway(udp_lan={"qos_minus_one": "yes", "topics.7": "yard/button"})
        self.watcher = self.broker.client()
        self.watcher.subscribe("#")

    def test_each_kind_of_topic_with_each_qos(self):
        for topic, name in ((["-t", "a/b"], "a/b"), (["-T", "7"], "yard/button"),
                            (["--short", "xy"], "xy")):
            for qos in ("0", "1", "2"):
                payload = f"{name} {qos}"
                self.assert_done(self.pub(*topic, "-q", qos, "-m", payload))
                self.assertEqual(self.watcher.receive(), [(name, payload.encode())])

    def test_qos_minus_1_needs_no_session(self):  # R40
        for topic, name in ((["-T", "7"], "yard/button"), (["--short", "xy"], "xy")):
            self.assert_done(self.pub(*topic, "-q", "-1", "-m", "pressed"))
            self.assertEqual(self.watcher.receive(), [(name, b"pressed")])
        self.assertEqual(self.gateway.sessions(), {})
        self.assert_done(self.pub("-t", "a/b", "-q", "-1", "-m", "x"), USAGE)

    def test_sources_of_the_message(self):
        path = self.directory / "message"
        path.write_bytes(b"from a file\n")
        cases = [(["-f", path], "", [b"from a file\n"]), (["-n"], "", [b""]),
                 (["-s"], "all of\nit", [b"all of\nit"]), (["-l"], "1\n2\n3\n", [b"1", b"2", b"3"])]
        for arguments, text, payloads in cases:
            self.assert_done(self.pub("-t", "a", "-q", "1", *arguments, input=text))
            self.assertEqual(self.watcher.receive(len(payloads)), [("a", p) for p in payloads])

    def test_retain_is_passed_on(self):  # R54
        self.assert_done(self.pub("-t", "state", "-q", "1", "-r", "-m", "on"))
        late = self.broker.client()
        late.subscribe("state")
        self.assertEqual(late.receive(), [("state", b"on")])

    def test_debug_prints_every_packet(self):
        done = self.pub("-d", "-i", "talker", "-t", "a/b", "-q", "1", "-m", "x")
        self.assert_done(done)
        packets = [line.split(" ", 1)[1].split() for line in done.stderr.splitlines()]
        self.assertEqual([words[:2] for words in packets],
                         [["sent", "CONNECT"], ["received", "CONNACK"], ["sent", "REGISTER"],
                          ["received", "REGACK"], ["sent", "PUBLISH"], ["received", "PUBACK"],
                          ["sent", "DISCONNECT"], ["received", "DISCONNECT"]])
        self.assertIn('client "talker"', done.stderr)
        self.assertIn('name "a/b"', done.stderr)

    def test_clean_by_default_and_persistent_on_request(self):
        self.assert_done(self.pub("-i", "fleeting", "-t", "a", "-m", "x"))
        self.assert_done(self.pub("-i", "lasting", "-c", "-t", "a", "-m", "x"))
        self.assertEqual(list(self.gateway.sessions()), ["lasting"])
        self.assert_done(self.pub("-c", "-t", "a", "-m", "x"), USAGE)  # needs an id

    def test_exit_status_tells_what_went_wrong(self):
        self.assert_done(self.pub("-t", "a"), USAGE)
        self.assert_done(self.pub("-m", "x"), USAGE)
        self.assert_done(self.pub("-t", "a", "-m", "x", "--nonsense"), USAGE)
        self.assert_done(self.pub("-T", "99", "-q", "1", "-m", "x"), REFUSED, "invalid topic id")
        self.assert_done(self.pub("-t", "a/#", "-m", "x"), USAGE)
        nobody = self.ports.take()
        patience = ["--retry", "1", "--retries", "1", "-t", "a", "-m", "x"]
        self.assert_done(self.command("pub", "-p", nobody, *patience), CONNECTION, "no answer")
        with self.gateway.paused():
            self.assert_done(self.pub("-W", "1", "-t", "a", "-m", "x"), TIMED_OUT, "timed out")


class Subscribe(Command):
    def test_messages_are_printed_with_their_topics(self):
        self.start_gateway()
        sub = self.spawn_sub("-t", "a/#", "-q", "1", "-v", "-C", "3")
        self.wait_said(sub, "subscribed")
        broker = self.broker.client()
        for topic, payload in (("a/b", b"1"), ("a/b", b"two words"), ("a", b"")):
            broker.publish(topic, payload)
        self.assertEqual(sub.communicate(timeout=30)[0], "a/b 1\na/b two words\na \n")
        self.assertEqual(sub.returncode, OK)

    def test_every_kind_of_topic(self):
        self.start_gateway(topics={"7": "yard/button"})
        sub = self.spawn_sub("-t", "a", "-T", "7", "--short", "xy", "-v", "-C", "3")
        self.wait_said(sub, "subscribed")
        broker = self.broker.client()
        for topic in ("a", "yard/button", "xy"):
            broker.publish(topic, b"1")
        out = sub.communicate(timeout=30)[0].split("\n")
        self.assertEqual(len(out), 4)
        self.assertEqual((out[0], out[2]), ("a 1", "xy 1"))

    def test_sleeper_wakes_and_gets_what_waits_without_connecting_again(self):
        self.start_gateway()
        sub = self.spawn_sub("-i", "sleeper", "-t", "a", "-q", "1", "--sleep", "1", "--wakes", "2")
        self.wait_said(sub, "asleep")
        self.gateway.wait_state("sleeper", "asleep")
        self.broker.client().publish("a", b"good morning")
        self.assertEqual(sub.communicate(timeout=30)[0], "good morning\n")
        self.assertEqual(sub.returncode, OK)
        self.assertEqual(self.gateway.text().count(" CONNECT clean session"), 1)

    def test_battery_pulled_while_asleep_then_resumed_by_another_process(self):
        self.start_gateway()
        device = ["-i", "sleeper", "--sleep", "60", "-c", "--no-disconnect"]
        first = self.spawn_sub(*device, "-t", "a", "-q", "1", "--wakes", "0")
        first.communicate(timeout=30)
        self.assertEqual(first.returncode, OK)
        self.broker.client().publish("a", b"kept")
        self.wait_kept("sleeper", 1)
        self.restart_gateway()
        second = self.spawn_sub(*device, "--no-connect", "--wakes", "1")
        out, error = second.communicate(timeout=30)
        self.assertEqual((second.returncode, out), (OK, "kept\n"), error)

    def test_signal_ends_it_in_order(self):
        self.start_gateway()
        sub = self.spawn_sub("-i", "ender", "-c", "-t", "a")
        self.wait_said(sub, "subscribed")
        sub.terminate()
        sub.communicate(timeout=30)
        self.assertEqual(sub.returncode, OK)
        self.assertEqual(self.gateway.sessions()["ender"]["state"], "disconnected")

    def test_exit_status_tells_what_went_wrong(self):
        self.start_gateway()
        self.assert_done(self.command("sub", "-p", self.gateway.port), USAGE)
        self.assert_done(self.command("sub", "-p", self.gateway.port, "-T", "99"), REFUSED,
                         "invalid topic id")
        self.assert_done(self.command("sub", "-p", self.gateway.port, "-t", "a", "-W", "1"),
                         TIMED_OUT, "timed out")


    def test_qos_2_passes_every_step_of_its_handshake(self):
        self.start_gateway()
        sub = self.spawn_sub("-d", "-t", "a", "-q", "2", "-C", "2")
        self.wait_said(sub, "subscribed")
        broker = self.broker.client()
        broker.publish("a", b"1", qos=2)
        broker.publish("a", b"2", qos=2)
        out, error = sub.communicate(timeout=30)
        self.assertEqual((sub.returncode, out), (OK, "1\n2\n"), error)
        for words in ("received PUBLISH", "sent     PUBREC", "received PUBREL", "sent     PUBCOMP"):
            self.assertIn(words, error)


class Will(Command):
    WILL = ("--will-topic", "dev/state", "--will-message", "lost", "--will-qos", "1",
            "--will-retain")

    def setUp(self):
        super().setUp()
        self.start_gateway()
        self.watcher = self.broker.client()
        self.watcher.subscribe("dev/#")

    def test_device_that_is_killed_is_lost_and_its_will_reaches_the_broker(self):
        sub = self.spawn_sub("-i", "dev", "-k", "2", "-t", "a", *self.WILL)
        self.wait_said(sub, "subscribed")
        sub.kill()
        self.assertEqual(self.watcher.receive(), [("dev/state", b"lost")])
        late = self.broker.client()
        late.subscribe("dev/state")
        self.assertEqual(late.receive(), [("dev/state", b"lost")], "the will is retained")

    def test_will_without_a_message_is_an_empty_one(self):
        self.assert_done(self.pub("-k", "2", "--no-disconnect", "--will-topic", "dev/state",
                                  "-t", "a", "-q", "1", "-m", "x"))
        self.assertEqual(self.watcher.receive(), [("dev/state", b"")])

    def test_orderly_end_publishes_no_will(self):  # R34
        self.assert_done(self.pub("-k", "2", *self.WILL, "-t", "dev/a", "-q", "1", "-m", "x"))
        self.assertEqual(self.gateway.sessions(), {})
        self.broker.client().publish("dev/marker", b"")
        self.assertEqual(self.watcher.receive(2), [("dev/a", b"x"), ("dev/marker", b"")])

    def test_will_that_cannot_be_told_is_wrong_usage(self):
        for arguments in (["--will-message", "lost"], ["--will-topic", "a/+"]):
            self.assert_done(self.pub("-t", "a", "-m", "x", *arguments), USAGE, "will")


class Search(Command):
    def found(self, done):
        self.assert_done(done)
        return [schema.check_strictly("search", line) for line in done.stdout.splitlines()]

    def test_gateway_is_found_by_its_address(self):
        self.start_gateway()
        here = ["search", "-h", "127.0.0.1", "-p", self.gateway.port, "-C", "1"]
        self.assertEqual(self.found(self.command(*here, "--json")),
                         [{"gateway_id": 7, "address": f"127.0.0.1:{self.gateway.port}",
                           "advertise_s": None}])
        table = self.command(*here)
        self.assert_done(table)
        self.assertRegex(table.stdout, rf"(?m)^ *7 +127\.0\.0\.1:{self.gateway.port} +-$")

    def test_gateway_is_found_in_its_group_and_tells_how_often_it_advertises(self):
        port = self.ports.take()
        self.start_gateway(gateway={"advertise": "1s"}, udp_lan={
            "multicast": f"225.1.1.1:{port}", "interface": "lo"})
        # The second advertisement comes after a second, whenever the search began.
        (found,) = self.found(self.command("search", "--interface", "lo", "-p", port, "--json",
                                           "-W", "2.5"))
        self.assertEqual((found["gateway_id"], found["advertise_s"]), (7, 1))

    def test_nobody_there_is_said_with_status_1(self):
        self.start_gateway()
        for place in (["-h", "127.0.0.1"], ["--interface", "lo"]):
            self.assert_done(self.command("search", *place, "-p", self.ports.take(), "-W", "0.3"),
                             NONE_FOUND, "no gateway answered")

    def test_interface_that_does_not_exist_is_named(self):
        done = self.command("search", "--interface", "nowhere0", "-p", self.ports.take())
        self.assert_done(done, USAGE, "nowhere0")


class Serial(Command):
    """The command on one end of a line, the gateway on the other: two pseudo terminals, and what
    comes out of one is put into the other."""

    def line(self, framing):
        gateway_end = self.pty("barn", framing)
        command_end = PtyLink(self.directory / "tty-command")
        self.addCleanup(command_end.close)
        self.start_gateway()
        self.wait_link("barn")
        self.ends = {gateway_end.master: command_end.master, command_end.master: gateway_end.master}
        return ["--serial", command_end.path, "--framing", framing]

    def carry_until(self, condition, what):
        def carried():
            for fd in select.select(list(self.ends), [], [], 0)[0]:
                os.write(self.ends[fd], os.read(fd, 4096))
            return condition()
        wait_until(carried, what)

    def go(self, framing):
        link = self.line(framing)
        sub = self.spawn_sub("-i", "on-line", "-t", "down", "-q", "1", "-C", "1", to_gateway=link)
        said = bytearray()
        os.set_blocking(sub.stderr.fileno(), False)
        def subscribed():
            said.extend(sub.stderr.buffer.read() or b"")
            return b"subscribed" in said
        self.carry_until(subscribed, "the device on the line has subscribed")
        os.set_blocking(sub.stderr.fileno(), True)
        self.broker.client().publish("down", bytes(range(0x41, 0x5B)))
        self.carry_until(lambda: sub.poll() is not None, "the device has got its message")
        self.assertEqual(sub.communicate()[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ\n")
        self.assertEqual(sub.returncode, OK)
        watcher = self.broker.client()
        watcher.subscribe("up")
        payload = self.directory / "payload"
        payload.write_bytes(b"\xc0\xdb\x01\x00up")
        pub = spawn([BIN / "dormouse", "pub", *link, "-t", "up", "-q", "1", "-f", payload],
                    stderr=subprocess.PIPE)
        self.addCleanup(self.reap, pub)
        self.carry_until(lambda: pub.poll() is not None, "the message is published")
        self.assertEqual(pub.returncode, OK, pub.stderr.read())
        self.assertEqual(watcher.receive(), [("up", b"\xc0\xdb\x01\x00up")])

    def test_raw_line_carries_both_directions(self):
        self.go("raw")

    def test_slip_line_carries_both_directions(self):
        self.go("slip")

    def test_search_finds_the_gateway_on_the_line(self):
        link = self.line("slip")
        search = spawn([BIN / "dormouse", "search", *link, "-C", "1", "--json", "-W", "30"],
                       stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.reap, search)
        self.carry_until(lambda: search.poll() is not None, "the search has ended")
        self.assertEqual(schema.check_json("search", search.stdout.read()),
                         {"gateway_id": 7, "address": str(link[1]), "advertise_s": None})

    def test_device_that_is_missing_is_named(self):
        done = self.command("pub", "--serial", self.directory / "nothing", "-t", "a", "-m", "x")
        self.assertIn(done.returncode, (USAGE, CONNECTION))
        self.assertIn("nothing", done.stderr)
        self.assertIn("No such file", done.stderr)


class Operator(Command):
    def operator(self, *arguments):
        return self.command("--socket", self.gateway.socket, *arguments)

    def test_status_as_json_has_every_key(self):
        self.pty("barn")
        self.start_gateway()
        done = self.operator("--json", "status")
        self.assert_done(done)
        status = schema.check_json("status", done.stdout)
        self.assertLessEqual({"version", "pid", "name", "gateway_id", "uptime_ms", "broker",
                              "links", "store", "sessions", "queue", "spool", "input"},
                             set(status))
        self.assertEqual((status["name"], status["gateway_id"]), ("test", 7))
        self.assertLessEqual({"url", "state", "version", "error", "connects"},
                             set(status["broker"]))
        self.assertEqual([(link["kind"], link["name"]) for link in status["links"]],
                         [("udp", "lan"), ("serial", "barn")])
        self.assertLessEqual({"path", "degraded", "error", "commits"}, set(status["store"]))
        self.assertEqual(set(status["sessions"]),
                         {"disconnected", "active", "asleep", "lost", "awake", "total"})

    def test_sessions_as_json_has_every_key(self):
        self.start_gateway()
        device = self.device("d").connect(keepalive=90)
        device.subscribe("a/#")
        device.sleep(1200)
        done = self.operator("sessions", "--json")
        self.assert_done(done)
        (session,) = schema.check_json("sorted_sessions", done.stdout)["sessions"]
        port = device.link.socket.getsockname()[1]
        known = {"client_id": "d", "clean": False, "state": "asleep", "keepalive_s": 90,
                 "sleep_s": 1200, "subscriptions": ["a/#"], "topics": 0, "queued": 0,
                 "queued_octets": 0, "delivered": 0, "dropped": 0,
                 "address": f"udp:lan:127.0.0.1:{port}"}
        self.assertEqual({key: session[key] for key in known}, known)
        self.assertLess(session["last_contact_ms"], 60000)

    def test_tables_show_device_links_and_broker(self):
        self.start_gateway()
        self.device("greenhouse-7").connect()
        status = self.operator("status")
        self.assert_done(status)
        for word in ("lan", f"127.0.0.1:{self.gateway.port}", self.broker.url, "connected"):
            self.assertIn(word, status.stdout)
        sessions = self.operator("sessions")
        self.assert_done(sessions)
        self.assertIn("greenhouse-7", sessions.stdout)
        self.assertIn("active", sessions.stdout)

    def test_untrusted_client_id_is_escaped_on_the_terminal(self):
        self.start_gateway()
        self.device("\x1b[2Jevil").connect()
        shown = self.operator("sessions")
        self.assert_done(shown)
        self.assertNotIn("\x1b", shown.stdout)
        self.assertIn("[2Jevil", shown.stdout)
        self.assertNotIn("\x1b", self.gateway.text())

    def test_socket_is_found_by_the_configuration_file(self):
        self.start_gateway()
        self.assert_done(self.command("-c", self.gateway.file, "status"))

    def test_no_gateway_is_said_with_status_2(self):
        self.assert_done(self.operator("status"), CONNECTION, "no gateway answers")

    def test_wrong_usage_is_said_with_status_1(self):
        for arguments in ([], ["nothing"], ["status", "extra"], ["forget"], ["--nonsense"]):
            self.assert_done(self.command(*arguments), USAGE)


class Check(Command):
    BROKER = False

    def test_good_file_is_ok(self):
        self.gateway.write_config()
        done = self.command("check", self.gateway.file)
        self.assert_done(done)
        self.assertIn("ok", done.stdout)

    def test_example_needs_only_a_link_to_be_good(self):
        example = self.command("check", "--example")
        self.assert_done(example)
        path = self.directory / "example.conf"
        path.write_text(example.stdout)
        self.assert_done(self.command("check", path), USAGE, "no [udp NAME] and no [serial NAME]")
        path.write_text(example.stdout.replace("#[udp lan]", "[udp lan]"))
        self.assert_done(self.command("check", path))

    def client(self, client_id, status=0):
        self.gateway.write_config()
        done = self.command("check", self.gateway.file, "--client", client_id)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout.splitlines()

    def test_section_of_a_client_is_shown_with_what_follows(self):
        self.gateway.config.update({
            "sessions": {"retry": "90s", "queue_bytes": "3M"},
            "client pump-?": {"publish": "p/%c/#", "topics.20": "p/%c/speed", "links": "lan",
                              "max_age": "never", "store_after": "1500ms", "tolerance": "2.5"},
            "client *": {"subscribe": "all", "topics.7": "other"},
            "topics": {"7": "common", "20": "hidden"}})
        lines = self.client("pump-3")
        self.assertEqual(lines[0], "[client pump-?]")
        for line in ("publish = p/pump-3/#", "; subscribe: everything is allowed", "links = lan",
                     "retry = 90s", "queue_bytes = 3M", "max_age = never", "store_after = 1500ms",
                     "tolerance = 2.5", "overflow = drop_oldest", "topics.20 = p/pump-3/speed",
                     "topics.7 = common  ; of [topics]", "queue_messages = 1000"):
            self.assertIn(line, lines)
        self.assertNotIn("topics.20 = hidden  ; of [topics]", lines)
        lines = self.client("pump-/")
        self.assertEqual(lines[:2], ["[client *]", "; not [client pump-?]: it uses %c, and the "
                                     "client id has +, # or / in it"])
        self.assertIn("subscribe = all", lines)

    def test_names_of_a_client_at_the_broker_are_shown(self):
        self.gateway.config["broker"]["topic_prefix"] = "farm/"
        self.gateway.config["client pump-*"] = {"topic_prefix": "p/%c/", "topics.3": "speed"}
        self.gateway.config["map"] = {"rule": "sensors/+/t -> site1/%1/temperature"}
        lines = self.client("pump-3")
        for line in ("topic_prefix = p/pump-3/", "; any/name is farm/p/pump-3/any/name at the broker",
                     "; sensors/x/t is farm/p/pump-3/site1/x/temperature at the broker"):
            self.assertIn(line, lines)
        self.assertIn("; sensors/x/t is farm/site1/x/temperature at the broker", self.client("b"))

    def client_json(self, client_id, status=0):
        self.gateway.write_config()
        done = self.command("check", self.gateway.file, "--client", client_id, "--json")
        self.assertEqual(done.returncode, status, done.stderr)
        return schema.check_json("check", done.stdout)

    def test_the_same_for_programs(self):
        self.gateway.file.touch(0o600)
        self.gateway.config["broker"].update(topic_prefix="farm/", username="gw", password="x")
        self.gateway.config.update({
            "client pump-*": {"upstream": "own", "username": "pump", "publish": "p/%c/#",
                              "links": "lan", "topic_prefix": "p/%c/", "topics.3": "speed/%c"},
            "client own-*": {"upstream": "own"}, "topics": {"7": "common"}})
        found = self.client_json("pump-3")
        self.assertEqual((found["section"], found["refused"]), ("pump-*", None))
        self.assertEqual(found["settings"]["upstream"], "own")
        self.assertEqual(found["settings"]["retry"], "1s")
        self.assertEqual(found["login"], {"username": "pump", "password": False})
        self.assertEqual(found["publish"], ["p/pump-3/#"])
        self.assertIsNone(found["subscribe"])
        self.assertEqual(found["topics"], [{"id": 3, "name": "speed/pump-3", "link": None},
                                           {"id": 7, "name": "common", "link": None}])
        self.assertEqual(found["names"], [{"device": "any/name",
                                           "broker": "farm/p/pump-3/any/name"}])
        self.assertEqual(self.client_json("own-1")["login"], {"username": "gw", "password": True})
        self.assertIsNone(self.client_json("plain")["login"])
        self.assertIn("; at the broker it is the client pump-3, user pump", self.client("pump-3"))
        self.assertIn("; at the broker it is the client own-1, user gw with a password",
                      self.client("own-1"))
        self.gateway.config["sessions"]["unknown_clients"] = "reject"
        self.assertIn("no section matches", self.client_json("plain", USAGE)["refused"])
        self.assert_done(self.command("check", self.gateway.file, "--json"), USAGE,
                         "--json needs --client")

    def test_client_that_would_be_refused_is_told_why(self):
        self.gateway.config["sessions"] = {"unknown_clients": "reject", "client_id_max": "10"}
        self.gateway.config["client a*"] = {}
        self.assertEqual(self.client("abc")[0], "[client a*]")
        self.assertEqual(self.client("b", USAGE), [
            "; no [client] section",
            "; CONNECT is refused: no section matches, and unknown_clients = reject"])
        self.assertEqual(self.client("a2345678901", USAGE)[1],
                         "; CONNECT is refused: the client id is longer than client_id_max")

    def test_what_is_shown_of_a_client_is_a_section(self):
        self.gateway.config["client a"] = {"publish": "x/#", "address": "udp:lan:1.2.3.4:5"}
        shown = self.client("a")
        path = self.directory / "again.ini"
        path.write_text("[udp lan]\n" + "\n".join(shown) + "\n")
        self.assert_done(self.command("check", path))
        self.assertIn("address = udp:lan:1.2.3.4:5", shown)

    def test_fragments_beside_it_count(self):  # design section 9
        self.gateway.write_config()
        fragments = self.directory / "conf.d"
        fragments.mkdir()
        (fragments / "10-bad.ini").write_text("[gateway]\nid = none\n")
        done = self.command("check", self.gateway.file)
        self.assert_done(done, USAGE, f"{fragments}/10-bad.ini:2: [gateway] id")

    def test_password_that_others_can_read_is_refused(self):
        self.gateway.config["broker"].update(username="u", password="secret")
        self.gateway.write_config()
        os.chmod(self.gateway.file, 0o644)
        done = self.command("check", self.gateway.file)
        self.assert_done(done, USAGE, "[broker] password: others may use this file")
        self.assertNotIn("secret", done.stderr + done.stdout)
        os.chmod(self.gateway.file, 0o640)
        self.assert_done(self.command("check", self.gateway.file))


if __name__ == "__main__":
    main()
