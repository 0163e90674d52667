# SPDX-License-Identifier: Apache-2.0
"""What the operator sees and does: every command of `dormouse` that asks a running gateway."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import time

import mqttsn as sn
import schema
from harness import BIN, ROOT, SystemTest, main, run, spawn, wait_until

LEVELS = ["error", "warning", "notice", "info", "debug"]
ID, TOPIC, PAYLOAD = "ident-4711", "place/of/4711", b"hello"


class OperatorTest(SystemTest):
    def ask(self, *arguments, status=0):
        """What the command prints; its exit status is as expected."""
        done = self.command("--socket", self.gateway.socket, *arguments)
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def json(self, *arguments):
        name = {"sessions": "sorted_sessions"}.get(arguments[0], arguments[0])
        if "--drop" in arguments:
            name = "drop"
        return schema.check_json(name, self.ask("--json", *arguments))

    def sleeper(self, *payloads, qos=1, client_id=ID):
        """A sleeping device and what waits for it."""
        device = self.device(client_id).connect()
        device.subscribe(TOPIC, qos)
        device.sleep()
        broker = self.broker.client()
        for payload in payloads:
            broker.publish(TOPIC, payload, qos)
        self.gateway.wait_queued(client_id, len(payloads))
        return device

    def live(self, *arguments, **how):
        """A command that goes on; the test ends it."""
        process = spawn([BIN / "dormouse", "--socket", self.gateway.socket, *arguments],
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)
        def end():
            process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def interrupt(self, process):
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
        self.assertEqual((process.returncode, errors), (0, ""))
        return rest


class Show(OperatorTest):
    def test_device_with_its_queue_subscriptions_and_history(self):
        self.start_gateway()
        self.sleeper(PAYLOAD, b"more")
        shown = self.json("show", ID)
        self.assertEqual((shown["state"], shown["clean"]), ("asleep", False))
        self.assertEqual(shown["subscriptions"][0]["filter"], TOPIC)
        self.assertEqual(shown["subscriptions"][0]["qos"], 1)
        self.assertEqual(shown["subscriptions"][0]["made_by"], "name")
        self.assertEqual(shown["topics"][0]["name"], TOPIC)
        self.assertEqual([shown["queue"][key] for key in ("messages", "qos1", "waiting")],
                         [2, 2, 2])
        self.assertIsNone(shown["will"])
        self.assertGreater(shown["timers"]["supervision_ms"], 0)
        self.assertEqual([one["event"] for one in shown["history"]],
                         ["asleep", "subscribed", "connected"])
        text = self.ask("show", ID)
        for words in (f"{ID}: asleep, persistent", TOPIC, "2 messages", "sleeps for",
                      "subscribed with QoS 1", "Will      none"):
            self.assertIn(words, text)

    def test_how_a_subscription_was_made(self):
        self.start_gateway(topics={"7": "by/number"})
        device = self.device(ID).connect()
        device.subscribe(int.from_bytes(b"ab", "big"), kind=sn.SHORT)
        device.subscribe(7, kind=sn.PREDEFINED)
        made = {one["filter"]: one["made_by"] for one in self.json("show", ID)["subscriptions"]}
        self.assertEqual(made, {"ab": "short", "by/number": "predefined"})

    def test_unanswered_message_is_told_with_the_time_of_its_repetition(self):
        self.start_gateway(sessions={"retry": "30s"})
        device = self.device(ID).connect()
        device.subscribe(TOPIC, 1)
        self.broker.client().publish(TOPIC, PAYLOAD)
        device.expect(sn.PUBLISH)
        timers = self.json("show", ID)["timers"]
        self.assertEqual(timers["exchange"], "PUBLISH")
        self.assertTrue(0 < timers["retry_ms"] <= 30000, timers)
        self.assertIn("PUBLISH is not answered", self.ask("show", ID))

    def test_refused_request_is_among_the_errors(self):
        self.start_gateway()
        device = self.device(ID).connect()
        device.ask(sn.subscribe(1, "no/#/filter"), sn.SUBACK)
        errors = self.json("show", ID)["errors"]
        self.assertEqual([one["event"] for one in errors], ["not_subscribed"])
        self.assertIn("SUBSCRIBE refused: not supported", self.ask("show", ID))

    def test_unknown_device_is_refused(self):
        self.start_gateway()
        for command in ("show", "queue", "disconnect", "forget"):
            self.assertIn("no session with this client id", self.ask(command, "nobody", status=3))
        self.assertIn("no session", self.ask("queue", "nobody", "--drop", status=3))


class Queue(OperatorTest):
    def test_messages_are_listed_in_order(self):
        self.start_gateway()
        self.sleeper(PAYLOAD, b"longer one")
        messages = self.json("queue", ID)["messages"]
        self.assertEqual([(one["topic"], one["octets"], one["qos"], one["progress"], one["stored"])
                          for one in messages],
                         [(TOPIC, 5, 1, "waiting", True), (TOPIC, 10, 1, "waiting", True)])
        self.assertIn("waiting", self.ask("queue", ID))

    def test_drop_gives_them_up_for_good(self):
        self.start_gateway()
        device = self.sleeper(PAYLOAD, b"more")
        self.assertIn("2 messages given up, 0 kept", self.ask("queue", ID, "--drop"))
        self.assertEqual(self.json("queue", ID), {"messages": []})
        self.assertEqual(self.gateway.status()["queue"]["dropped"]["operator"], 2)
        self.assertIn("2 by the operator", self.ask("status"))
        self.wait_no_traces(PAYLOAD)  # deletions are written behind
        self.restart_gateway()
        self.assertEqual(device.wake(), [])

    def test_drop_keeps_qos2_that_the_device_may_hold(self):
        self.start_gateway()
        device = self.device(ID).connect()
        device.subscribe(TOPIC, 2)
        broker = self.broker.client()
        broker.publish(TOPIC, b"first", 2)
        device.expect(sn.PUBLISH)
        broker.publish(TOPIC, b"second", 2)
        self.gateway.wait_queued(ID, 2)
        self.assertEqual(self.json("queue", ID, "--drop"), {"dropped": 1, "kept": 1})
        wait_until(lambda: self.broker.unacknowledged() == set(), "the broker has its answers")


class Disconnect(OperatorTest):
    def test_active_device_is_told_and_its_session_stays(self):
        self.start_gateway()
        device = self.device(ID).connect()
        device.subscribe(TOPIC, 1)
        self.assertEqual(self.ask("disconnect", ID), "disconnected\n")
        device.expect(sn.DISCONNECT)
        self.assertEqual(self.gateway.sessions()[ID]["state"], "disconnected")
        self.assertIn("not connected", self.ask("disconnect", ID, status=3))
        self.broker.client().publish(TOPIC, PAYLOAD)
        self.gateway.wait_queued(ID, 1)

    def test_clean_session_ends(self):
        self.start_gateway()
        device = self.device(ID).connect(clean=True)
        self.assertEqual(self.json("disconnect", ID), {"disconnected": True})
        device.expect(sn.DISCONNECT)
        self.assertNotIn(ID, self.gateway.sessions())


class Sessions(OperatorTest):
    def fleet(self):
        self.start_gateway()
        self.device("beta-1").connect()
        self.device("alpha-1").connect()
        self.sleeper(PAYLOAD, client_id="gamma-1")

    def ids(self, *arguments):
        return [one["client_id"] for one in self.json("sessions", *arguments)["sessions"]]

    def test_chosen_and_sorted(self):
        self.fleet()
        self.assertEqual(self.ids("--sort", "id"), ["alpha-1", "beta-1", "gamma-1"])
        self.assertEqual(self.ids("--sort", "queue"), ["gamma-1", "alpha-1", "beta-1"])
        self.assertEqual(self.ids("--sort", "state"), ["alpha-1", "beta-1", "gamma-1"])
        self.assertEqual(self.ids("--sort", "contact")[0], "gamma-1")
        self.assertEqual(self.ids("--state", "asleep"), ["gamma-1"])
        self.assertEqual(self.ids("--filter", "?????-1"), ["alpha-1", "gamma-1"])
        self.assertEqual(self.ids("--filter", "b*", "--state", "lost"), [])
        self.assertEqual([line.split()[0] for line in
                          self.ask("sessions", "--sort", "id").splitlines()],
                         ["CLIENT", "alpha-1", "beta-1", "gamma-1"])

    def test_wrong_words_are_refused(self):
        self.start_gateway()
        self.assertIn("--sort takes", self.ask("sessions", "--sort", "size", status=1))
        self.assertIn("state is one of", self.ask("sessions", "--state", "tired", status=3))
        self.assertIn("a value is needed", self.ask("sessions", "--state", status=1))
        self.assertIn("unknown option", self.ask("status", "--watch", status=1))

    def test_watch_prints_every_second_until_interrupted(self):
        self.fleet()
        process = self.live("sessions", "--watch", "--sort", "id")
        first = [process.stdout.readline() for _ in range(5)]
        self.assertEqual([line.split()[:1] for line in first],
                         [["CLIENT"], ["alpha-1"], ["beta-1"], ["gamma-1"], []])
        self.assertTrue(process.stdout.readline().startswith("CLIENT"))
        self.interrupt(process)

    def test_watch_redraws_a_terminal(self):
        self.fleet()
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = spawn([BIN / "dormouse", "--socket", self.gateway.socket, "sessions", "--watch"],
                        stdout=theirs)
        self.addCleanup(process.kill)
        os.close(theirs)
        seen = b""
        while seen.count(b"\x1b[H\x1b[J") < 2:
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 0)
        self.assertIn(b"alpha-1", seen)

    def test_watch_ends_with_the_gateway(self):
        self.start_gateway()
        process = self.live("sessions", "--watch")
        process.stdout.readline()
        self.gateway.kill()
        self.assertEqual(process.wait(20), 2)


class Trace(OperatorTest):
    def test_packets_of_one_device_in_both_directions(self):
        self.start_gateway()
        process = self.live("--json", "trace", ID)
        self.assertEqual(schema.check_json("trace", process.stdout.readline()), {"tracing": ID})
        self.device("other").connect()
        device = self.device(ID).connect()
        device.ping()
        device.disconnect()
        lines = [schema.check_json("trace", process.stdout.readline()) for _ in range(6)]
        self.assertEqual([(one["direction"], one["packet"].split()[0]) for one in lines],
                         [("from", "CONNECT"), ("to", "CONNACK"), ("from", "PINGREQ"),
                          ("to", "PINGRESP"), ("from", "DISCONNECT"), ("to", "DISCONNECT")])
        self.assertLess(abs(lines[0]["time_ms"] / 1000 - time.time()), 60)
        self.assertEqual(self.interrupt(process), "")

    def test_as_text(self):
        self.start_gateway()
        device = self.device(ID).connect()
        process = self.live("trace", ID)
        def shown():  # it says nothing before the first packet
            device.ping()
            return select.select([process.stdout], [], [], 0.1)[0]
        wait_until(shown, "a packet is shown")
        line = process.stdout.readline()
        self.assertRegex(line, r"^\d\d:\d\d:\d\d\.\d{3}  from  udp:lan:127.0.0.1:\d+  PINGREQ")
        self.interrupt(process)

    def open_trace(self):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(peer.close)
        peer.settimeout(10)
        peer.connect(str(self.gateway.socket))
        peer.sendall(json.dumps({"command": "trace", "client_id": ID}).encode() + b"\n")
        return peer

    def test_silence_does_not_end_it(self):
        self.start_gateway()
        device = self.device(ID).connect()
        stream = self.open_trace().makefile()
        self.assertIn("tracing", stream.readline())
        time.sleep(11)  # longer than a connection that asks nothing may stay
        device.ping()
        self.assertIn("PINGREQ", stream.readline())

    def test_four_at_once_and_no_more(self):
        self.start_gateway()
        peers = [self.open_trace() for _ in range(4)]
        for peer in peers:
            self.assertIn("tracing", peer.makefile().readline())
        self.assertIn("too many traces", self.ask("trace", ID, status=3))
        peers[0].close()
        wait_until(lambda: "tracing" in self.open_trace().makefile().readline(), "one is free")

    def test_slow_reader_loses_lines_and_is_told_how_many(self):
        self.start_gateway()
        peer = self.open_trace()
        stream = peer.makefile()
        self.assertIn("tracing", stream.readline())
        device = self.device(ID).connect()
        before = 2
        pings = 3000
        for _ in range(pings):  # far more than the socket and the buffer hold
            device.ping()
        seen, lost = 0, 0
        while lost == 0:
            line = schema.check_json("trace", stream.readline())
            seen += "packet" in line
            lost += line.get("lost", 0)
        self.assertEqual(seen + lost, before + 2 * pings)
        device.ping()
        self.assertIn("PINGREQ", stream.readline())

    def test_gateway_that_ends_is_told(self):
        self.start_gateway()
        process = self.live("--json", "trace", ID)
        process.stdout.readline()
        self.gateway.close()
        _, errors = process.communicate(timeout=20)
        self.assertEqual((process.returncode, errors),
                         (2, "dormouse: the gateway ended the trace\n"))


class Log(OperatorTest):
    def test_level_changes_at_run_time(self):
        self.start_gateway()
        self.assertIn("warning", self.ask("log", "warning"))
        self.device("quiet").connect()
        self.assertEqual(self.json("log", "debug"), {"level": "debug"})
        self.device("loud").connect()
        self.assertIn("client loud", self.gateway.text())
        self.assertNotIn("client quiet", self.gateway.text())
        self.assertIn("level is not LEVEL or MODULE=LEVEL", self.ask("log", "shout", status=3))

    def test_module_changes_alone_and_back_to_what_was_configured(self):
        self.gateway.debug = []
        self.start_gateway(gateway={"log_level": "warning, udp=error"})
        self.assertEqual(self.ask("log"), "the gateway logs: warning, udp=error\n")
        self.assertEqual(self.json("log", "packet=debug"),
                         {"level": "warning, packet=debug, udp=error"})
        self.device("talker").connect()
        self.assertIn("packet: debug: ", self.gateway.text())
        self.assertNotIn("client talker", self.gateway.text())
        self.assertEqual(self.json("log", "info, packet=error"), {"level": "info, packet=error"})
        self.assertEqual(self.json("log", "default"), {"level": "warning, udp=error"})
        self.assertIn("one argument at most", self.ask("log", "info,", "udp=debug", status=1))
        self.assertEqual(self.json("log"), {"level": "warning, udp=error"})

    def test_debug_of_the_command_line_is_the_default(self):
        self.start_gateway()
        self.assertEqual(self.json("log", "info"), {"level": "info"})
        self.assertEqual(self.json("log", "default"), {"level": "debug"})

    def test_unknown_module_is_told_those_that_there_are(self):
        self.start_gateway()
        said = self.ask("log", "radio=debug", status=3)
        self.assertIn("a module that does not exist; modules are access, app, ", said)
        modules = said.rpartition("modules are ")[2].strip()
        told = " ".join(self.command("log", "--help").stdout.split())
        self.assertIn(f"Modules: {modules}.", told)


class Hostile(OperatorTest):
    def test_odd_requests_get_an_error_and_change_nothing(self):
        self.start_gateway()
        self.device(ID).connect()
        commands = ("show", "queue", "drop", "disconnect", "forget", "trace")
        for wrong in (None, 7, True, [], {}, [ID], {"id": ID}):
            for command in commands:
                self.assertIn("error", self.gateway.ask(command, client_id=wrong))
            self.assertIn("error", self.gateway.ask("log", level=wrong))
            self.assertIn("error", self.gateway.ask("sessions", state=wrong))
            self.assertIn("error", self.gateway.ask("sessions", filter=wrong))
            self.assertIn("error", self.gateway.ask(wrong))
        for command in commands:
            self.assertIn("error", self.gateway.ask(command))
        for huge in ("x" * 3900, "", "\u00e9" * 600, "%s%n", ID + "x", ID[:-1]):
            for command in ("show", "queue", "drop", "disconnect", "forget"):
                self.assertIn("error", self.gateway.ask(command, client_id=huge))
        self.assertEqual(self.gateway.sessions()[ID]["state"], "active")

    def test_request_that_is_no_object_gets_an_error(self):
        self.start_gateway()
        for line in (b"", b"[]", b"7", b"null", b"{", b'{"command":', b"[" * 2000, b"\xff\xfe"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                peer.settimeout(10)
                peer.connect(str(self.gateway.socket))
                peer.sendall(line + b"\n")
                schema.check_json("error", peer.makefile().readline())


class CommandLine(OperatorTest):
    BROKER = False

    def test_exit_statuses_are_in_the_help(self):
        text = self.command("--help").stdout
        for words in ("Exit status: 0 done; 1 wrong usage", "2 no\nconnection", "3 the gateway"):
            self.assertIn(words, text)
        for command in ("show", "queue", "trace", "disconnect", "log"):
            self.assertIn(f"\n  {command} ", text)
            self.assertIn("Usage: dormouse", self.command(command, "--help").stdout)

    def test_no_gateway_is_a_lost_connection(self):
        for arguments in (("show", ID), ("queue", ID), ("disconnect", ID), ("log", "debug"),
                          ("sessions", "--watch"), ("trace", ID)):
            self.assertIn("no gateway answers", self.ask(*arguments, status=2))

    def test_missing_argument_is_wrong_usage(self):
        for command in ("show", "queue", "disconnect", "trace"):
            self.assertIn("one argument is needed", self.ask(command, status=1))


class Completion(SystemTest):
    BROKER = False
    FILE = ROOT / "tools/completion/dormouse.bash"

    def complete(self, *words):
        """What bash offers for the last of the words."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
                  '_dormouse; printf "%s\\n" "${COMPREPLY[@]}"')
        done = run(["bash", "-c", script, "bash", self.FILE, "dormouse", *words],
                   env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_script_is_valid(self):
        self.assertEqual(run(["bash", "-n", self.FILE]).returncode, 0)

    def test_commands_options_and_values(self):
        self.assertEqual(self.complete("s"), ["status", "sessions", "show", "sub", "search"])
        self.assertEqual(self.complete("sessions", "--s"), ["--socket", "--sort", "--state"])
        self.assertEqual(self.complete("sessions", "--sort", ""),
                         ["id", "state", "contact", "queue"])
        self.assertEqual(self.complete("--json", "log", "d"), ["debug", "default", "discovery="])
        self.assertEqual(self.complete("log", "info,p"), ["info,packet=", "info,pairing="])
        self.assertEqual(self.complete("log", "packet", "="), LEVELS)  # as bash splits the word
        self.assertEqual(self.complete("log", "packet", "=", "d"), ["debug"])
        self.assertEqual(self.complete("queue", "x", "--d"), ["--drop"])
        self.assertEqual(self.complete("pair", "barn", "o"), ["on", "off"])
        self.assertEqual(self.complete("import", "--network", "dtls"), ["dtls", "dtls6"])
        self.assertEqual(self.complete("import", ""), ["paho"])

    def test_every_module_of_the_help_is_offered(self):
        modules = self.command("log", "--help").stdout.partition("Modules: ")[2].partition(".")[0]
        self.assertEqual(self.complete("log", ""),
                         [*LEVELS, "default", *(f"{name}=" for name in modules.replace(",", "").split())])

    def test_every_command_of_the_help_is_offered(self):
        lines = self.command("--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
        self.assertEqual(sorted(self.complete("")),
                         sorted(line.split()[0] for line in lines.splitlines()))

    def test_client_ids_of_the_gateway(self):
        self.broker.start()
        self.start_gateway()
        self.device("attic-1").connect()
        self.device("barn-1").connect()
        self.assertEqual(self.complete("--socket", str(self.gateway.socket), "show", "a"),
                         ["attic-1"])


if __name__ == "__main__":
    main()
