# SPDX-License-Identifier: Apache-2.0
"""What programs read is what docs/schema says, and the schemas refuse everything else. Every other
system test checks the state that it leaves as well (SystemTest.check_answers)."""

import http.client
import json
import socket
import unittest

import jsonschema

import mqttsn as sn
import schema
from framings import Aquila
from harness import SystemTest, main, wait_until
from test_operator import OperatorTest

TOKEN = "a-token-for-tests"


class Files(unittest.TestCase):
    def test_files_are_schemas(self):
        self.assertTrue(schema.files())
        for path, content in schema.files().items():
            with self.subTest(path.name):
                jsonschema.Draft202012Validator.check_schema(content)

    def test_names_are_in_one_file_only(self):
        names = [name for content in schema.files().values() for name in content["$defs"]]
        self.assertEqual(len(names), len(set(names)))

    def test_objects_are_closed_and_complete(self):
        for content in schema.files().values():
            for name, one in content["$defs"].items():
                if "properties" not in one:
                    continue
                with self.subTest(name):
                    self.assertIs(one["additionalProperties"], False)
                    required = [*one["required"], *one.get("then", {}).get("required", [])]
                    self.assertEqual(set(one["properties"]) - schema.OPTIONAL, set(required))
                    self.assertEqual([key for key, member in one["properties"].items()
                                      if not member.get("description")], [])

    def test_wrong_answers_are_noticed(self):
        right = '{"dropped":1,"kept":0}'
        schema.check_strictly("drop", right)
        for wrong in ('{"dropped":1}', '{"dropped":1,"kept":0,"kept":0}', '{"dropped":-1,"kept":0}',
                      '{"dropped":1.5,"kept":0}', "[]", "{"):
            with self.assertRaises((AssertionError, json.JSONDecodeError)):
                schema.check_json("drop", wrong)


class Answers(OperatorTest):
    """Of one gateway with something of everything."""

    def start(self):
        self.port = self.ports.take()
        token = self.directory / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        self.bridge = self.pty("field", "aquila")
        self.start_gateway(topics={"7": "by/number"},
                           sessions={"queue_qos0": "always", "max_age": "1h", "retry": "30s"},
                           control={"http": f"127.0.0.1:{self.port}", "token_file": token})

    def radio_node(self):
        message = sn.connect("node")
        self.bridge.write(Aquila.close_frame(bytes([43, 90, 5 + len(message), 0xFE, 1, 1, 0])
                                             + message))
        self.gateway.wait_state("node", "active")

    def sleeper(self):
        """With a will, each kind of subscription, a refused one, and messages of each QoS."""
        device = self.device("sleeper").connect_with_will("gone", b"dead", retain=True)
        device.subscribe("a/#", 2)
        device.subscribe("a/name")
        device.subscribe(int.from_bytes(b"ab", "big"), kind=sn.SHORT)
        device.subscribe(7, kind=sn.PREDEFINED)
        device.ask(sn.subscribe(9, "no/#/filter"), sn.SUBACK)
        device.sleep()
        for qos in (2, 1, 0):
            self.broker.client().publish("a/name", b"hello", qos)
        self.gateway.wait_queued("sleeper", 3)

    def busy(self):
        """With a message that it has not acknowledged."""
        device = self.device("busy").connect()
        device.subscribe("b", 2)
        self.broker.client().publish("b", b"hello", 2)
        device.expect(sn.PUBLISH)

    def request(self, path, method="GET"):
        peer = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.addCleanup(peer.close)
        peer.request(method, f"/api/v1/{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        return peer.getresponse()

    def trace_lines(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(10)
            peer.connect(str(self.gateway.socket))
            peer.sendall(b'{"command":"trace","client_id":"traced"}\n')
            stream = peer.makefile()
            first = stream.readline()
            self.device("traced").connect()
            return [first, stream.readline(), stream.readline()]

    def test_every_answer_is_as_documented_and_nothing_else_would_be(self):
        self.start()
        self.radio_node()
        self.sleeper()
        self.busy()
        ask = self.gateway.ask_text
        texts = {
            "status": [ask("status"), self.ask("--json", "status")],
            "sessions": [ask("sessions"), ask("sessions", state="asleep", limit=1)],
            "sorted_sessions": [self.ask("--json", "sessions", "--sort", "id")],
            "show": [ask("show", client_id=one) for one in ("sleeper", "busy", "node")],
            "queue": [ask("queue", client_id=one) for one in ("sleeper", "busy", "node")],
            "links": [self.ask("--json", "ports")],
            "pair": [ask("pair", link="field", on=True), ask("pair", link="field", on=False)],
            "log": [ask("log"), ask("log", level="info, packet=debug"), self.ask("--json", "log")],
            "trace": [*self.trace_lines(), '{"lost":3}'],
            "drop": [ask("drop", client_id="busy"), self.ask("--json", "queue", "--drop", "sleeper")],
            "disconnect": [ask("disconnect", client_id="busy")],
            "forget": [ask("forget", client_id="busy")],
            "error": [ask("show"), ask("nonsense"), ask("log", level="radio=debug")],
        }
        for name, answers in texts.items():
            for text in answers:
                with self.subTest(name, text=text):
                    schema.check_strictly(name, text)

    def test_answers_over_http_are_the_same(self):
        self.start()
        self.sleeper()
        events = self.request("events")
        for event, name in (("status", "status"), ("sessions", "session_list")):
            self.assertEqual(events.readline(), f"event: {event}\n".encode())
            schema.check_strictly(name, events.readline().removeprefix(b"data: "))
            events.readline()
        for path, name in (("status", "status"), ("sessions?limit=1", "sessions"),
                           ("sessions/sleeper", "show"), ("sessions/sleeper/queue", "queue"),
                           ("sessions/nobody", "error"), ("sessions?limit=x", "error"),
                           ("nothing", "error")):
            with self.subTest(path):
                schema.check_strictly(name, self.request(path).read())
        for action, name in (("drop-queue", "drop"), ("disconnect", "disconnect"),
                             ("forget", "forget"), ("forget", "error")):
            with self.subTest(action):
                schema.check_json(name, self.request(f"sessions/sleeper/{action}", "POST").read())

    def test_udp_link_has_nothing_of_a_serial_one(self):
        self.start()
        lan, field = self.gateway.status()["links"]
        self.assertEqual(schema.faults("link", lan), [])
        for name in set(field) - set(lan):
            self.assertTrue(schema.faults("link", {**lan, name: field[name]}), name)


class States(SystemTest):
    """check_answers looks at what these leave."""

    def test_no_device_and_no_broker(self):
        self.broker.kill()
        self.start_gateway(online=False)
        self.gateway.wait_broker("waiting")
        self.assertTrue(self.gateway.status()["broker"]["error"])

    def test_after_a_restart(self):
        self.start_gateway()
        device = self.device("d").connect_with_will("gone", b"")
        device.subscribe("t")
        device.sleep()
        self.broker.client().publish("t", b"kept")
        self.wait_kept("d", 1)
        self.restart_gateway()
        self.assertIsNone(self.gateway.sessions()["d"]["last_contact_ms"])

    def test_sessions_that_left(self):
        self.start_gateway()
        for name, leave in (("left", sn.disconnect()), ("clean", None), ("lost", None)):
            device = self.device(name).connect(clean=name == "clean",
                                               keepalive=1 if name == "lost" else 600)
            if leave is not None:
                device.ask(leave, sn.DISCONNECT)
        self.gateway.wait_state("lost", "lost")

    def test_serial_port_that_is_away(self):
        line = self.pty("barn")
        self.start_gateway()
        line.send(sn.encapsulate(b"\x01\xab", sn.connect("node")))
        self.gateway.wait_state("node", "active")
        line.unplug()
        wait_until(lambda: not self.gateway.status()["links"][1]["up"], "the link is down")


if __name__ == "__main__":
    main()
