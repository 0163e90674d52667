# SPDX-License-Identifier: Apache-2.0
"""Nothing a peer gives can crash, block or fill the gateway (design section 1 rule 6, MQTT-SN
reference section 4). DORMOUSE_SEED repeats a random run."""

import os
import random
import shutil
import socket
import stat

import mqttsn as sn
from device import Device, PtyLink, Silence
from harness import SystemTest, main, wait_until

TOPIC = "control/topic"

VALID = {
    "SEARCHGW": sn.message(sn.SEARCHGW, b"\x01"),
    "CONNECT": sn.connect("mutant"),
    "CONNECT with will": sn.connect("mutant", will=True),
    "WILLTOPIC": sn.message(sn.WILLTOPIC, b"\x00will"),
    "WILLMSG": sn.message(sn.WILLMSG, b"bye"),
    "REGISTER": sn.register(1, "mutant/topic"),
    "REGACK": sn.regack(1, 1),
    "PUBLISH": sn.publish(1, 1, b"mutant", qos=1),
    "PUBLISH short": sn.publish(sn.short_name("mu"), 0, b"mutant", kind=sn.SHORT),
    "PUBLISH qos -1": sn.publish(7, 0, b"mutant", qos=3, kind=sn.PREDEFINED),
    "PUBLISH long": sn.publish(1, 2, bytes(300), qos=1),
    "PUBACK": sn.puback(1, 1),
    "PUBREC": sn.message(sn.PUBREC, b"\x00\x01"),
    "PUBREL": sn.message(sn.PUBREL, b"\x00\x01"),
    "PUBCOMP": sn.message(sn.PUBCOMP, b"\x00\x01"),
    "SUBSCRIBE": sn.subscribe(1, "mutant/#", qos=1),
    "SUBSCRIBE pre-defined": sn.subscribe(2, 7, kind=sn.PREDEFINED),
    "UNSUBSCRIBE": sn.unsubscribe(1, "mutant/#"),
    "PINGREQ": sn.pingreq("mutant"),
    "PINGRESP": sn.message(sn.PINGRESP),
    "DISCONNECT": sn.disconnect(60),
    "WILLTOPICUPD": sn.message(sn.WILLTOPICUPD, b"\x00will"),
    "WILLMSGUPD": sn.message(sn.WILLMSGUPD, b"bye"),
    "encapsulated": sn.encapsulate(b"\x01\x02", sn.pingreq()),
}


class Attack(SystemTest):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("DORMOUSE_SEED", random.randrange(1 << 32)))
        self.random = random.Random(self.seed)

    def control(self):
        """A well-behaved device whose session nobody else may touch."""
        self.watcher = self.broker.client()
        self.watcher.subscribe(TOPIC + "/up")
        device = self.device("control").connect()
        device.subscribe(TOPIC)
        self.up = device.register(TOPIC + "/up")
        return device

    def stable_part(self, device):
        session = self.gateway.sessions()[device.client_id]
        keys = ("client_id", "clean", "state", "address", "keepalive_s", "subscriptions", "topics",
                "queued", "dropped")
        return {key: session[key] for key in keys}

    def assert_works(self, device):
        self.watcher.publish(TOPIC, b"down")
        self.assertEqual(self.texts(device, device.take()), [(TOPIC, b"down")])
        self.assertEqual(device.publish(self.up, b"up"), sn.ACCEPTED)
        self.assertEqual(self.watcher.receive(), [(TOPIC + "/up", b"up")])
        wait_until(lambda: not self.broker.unacknowledged(), "the broker has the acknowledgement")

    def mutate(self, raw):
        octets = bytearray(raw)
        for _ in range(self.random.randrange(1, 4)):
            action, at = self.random.randrange(3), self.random.randrange(len(octets) + 1)
            if action == 0 and at < len(octets):
                octets[at] = self.random.randrange(256)
            elif action == 1:
                octets[at:at] = self.random.randbytes(self.random.randrange(1, 20))
            else:
                del octets[at:at + self.random.randrange(1, 8)]
        if octets and self.random.random() < 0.7:
            octets[0] = len(octets) & 0xFF  # else nearly all fail at the first check
        return bytes(octets)

    def nonsense(self):
        if self.random.random() < 0.3:
            return self.random.randbytes(self.random.randrange(0, 400))
        return self.mutate(self.random.choice(list(VALID.values())))


class Datagrams(Attack):
    def test_random_datagrams_leave_the_control_device_alone(self):  # M53
        print(f"DORMOUSE_SEED={self.seed}", flush=True)
        self.start_gateway(udp_lan={"qos_minus_one": "yes", "topics.7": "mutant/seven"})
        control = self.control()
        before = self.stable_part(control)
        attackers = [self.device("mutant").link for _ in range(4)]
        for _ in range(60):
            for _ in range(80):
                self.random.choice(attackers).send(self.nonsense())
            control.ping()  # nothing else comes to it, and the socket's buffer does not overflow
        self.assertEqual(self.stable_part(control), before)
        self.assert_works(control)
        self.restart_gateway()
        self.assert_works(control)

    # Valid for MQTT-SN or not, Mosquitto closes the connection that carries them: control and
    # non-characters (MQTT 5 section 1.5.4), more than 200 levels, half a shared subscription.
    POISON = ["a\x01", "a\x1f", "a\x7f", "a\x85", "a\ufdd0", "a\uffff", "a\U0010ffff",
              "/" * 201, "a/" * 300 + "a", "+/" * 210 + "#", "$share"]

    def test_topic_that_the_broker_cannot_take_stops_nobody(self):
        for topic in self.POISON:
            with self.subTest(topic=ascii(topic)[:40]):
                self.start_gateway()
                try:
                    self.spread_poison(topic)
                finally:
                    self.gateway.kill()
                    shutil.rmtree(self.gateway.state)

    def spread_poison(self, topic):
        """One device subscribes and publishes to it; another must not notice."""
        control = self.device("control").connect(clean=True)
        up = control.register(TOPIC)
        device = self.device("mutant").connect(clean=True)
        device.ask(sn.subscribe(1, topic, qos=1), sn.SUBACK)
        answer = device.ask(sn.register(2, topic), sn.REGACK)
        if answer.code == sn.ACCEPTED:
            device.publish(answer.topic_id, b"x")
        self.assertEqual(control.publish(up, b"up"), sn.ACCEPTED)
        broker = self.gateway.status()["broker"]
        self.assertEqual((broker["state"], broker["connects"]), ("connected", 1), broker["error"])

    def test_every_truncation_of_every_message_is_dropped_in_silence(self):  # M1 to M4
        self.start_gateway()
        device = self.device("mutant").connect()
        count = 0
        for name, raw in VALID.items():
            for size in range(len(raw)):
                if raw[1] == sn.ENCAPSULATED and size > raw[0]:
                    continue  # a forwarder's header with less behind it: below
                device.send(raw[:size])
                count += 1
                if count % 50 == 0:  # the socket's buffer holds not many more
                    self.assertEqual(device.before_barrier(), [], name)
            self.assertEqual(device.before_barrier(), [], name)
        self.assertEqual(self.gateway.sessions()["mutant"]["state"], "active")
        self.assertEqual(self.rejected(), count)

    def rejected(self):
        status = self.gateway.status()
        return (status["input"]["malformed"] + status["input"]["unsupported"]
                + sum(link["rx_dropped"] for link in status["links"]))

    def test_message_with_octets_behind_it_is_dropped(self):  # R3, M3
        self.start_gateway()
        device = self.device("mutant").connect()
        device.send(sn.disconnect() + b"\x00")
        device.send(sn.disconnect() + sn.disconnect())
        self.assertEqual(device.before_barrier(), [])

    def test_reserved_types_are_dropped(self):  # R4, M5
        self.start_gateway()
        device = self.device("mutant").connect()
        for kind in [0x03, 0x11, 0x19, *range(0x1E, 0xFE), 0xFF]:
            device.send(sn.message(kind, b"\x00\x01"))
        self.assertEqual(device.before_barrier(), [])

    def test_encapsulation_from_a_peer_that_is_no_forwarder_is_dropped(self):  # R116, M48
        self.start_gateway(udp_lan={"forwarders": "127.0.0.2"})
        device = self.device("honest").connect()
        for inner in (sn.connect("smuggled"), sn.pingreq("honest"), sn.disconnect(), b""):
            device.send(sn.encapsulate(b"\x01", inner))
        self.assertEqual(device.before_barrier(), [])
        self.assertEqual(list(self.gateway.sessions()), ["honest"])

    def test_bad_encapsulation_from_a_forwarder_is_dropped(self):  # R114, R117, M48
        self.start_gateway(udp_lan={"forwarders": "127.0.0.1"})
        device = self.device("honest").connect()
        for raw in (b"\x01\xfe\x00", b"\x02\xfe\x00", b"\x03\xfe\x00", b"\xff\xfe\x00\x01",
                    sn.encapsulate(b"\x01", b"\x02"), sn.encapsulate(b"\x01", b"\x05\x16"),
                    sn.encapsulate(b"\x01", sn.encapsulate(b"\x02", sn.connect("nested")))):
            device.send(raw)
        self.assertEqual(device.before_barrier(), [])
        self.assertEqual(list(self.gateway.sessions()), ["honest"])

    def test_giant_datagrams_are_dropped(self):
        self.start_gateway()
        device = self.device("big").connect()
        topic_id = device.register("big")
        for size in (1401, 9000, 65507):
            device.send(sn.publish(topic_id, 1, bytes(size - 9), qos=1))
            device.send(bytes(size))
            self.assertEqual(device.before_barrier(), [])
        self.assertEqual(device.publish(topic_id, bytes(1400 - 9)), sn.ACCEPTED)  # exactly the mtu

    def test_message_longer_than_the_link_takes_is_dropped_and_counted(self):  # R6
        self.start_gateway(udp_lan={"mtu": "60"})
        device = self.device("small").connect()
        device.subscribe(TOPIC)
        broker = self.broker.client()
        broker.publish(TOPIC, bytes(54))  # 61 octets
        broker.publish(TOPIC, bytes(53))
        self.assertEqual(len(device.take()[0].data), 53)
        self.assertEqual(self.gateway.status()["queue"]["dropped"]["too_long"], 1)

    def test_unknown_peer_gets_at_most_one_disconnect_a_second(self):  # M45: no amplification
        self.start_gateway()
        stranger = self.device("stranger")
        for _ in range(100):
            stranger.send(sn.pingreq())
            stranger.send(sn.publish(1, 1, b"x", qos=1))
        stranger.send(sn.connect("stranger"))
        answers = []
        while not answers or answers[-1].kind != sn.CONNACK:
            answers.append(stranger.receive())
        self.assertLessEqual(len(answers) - 1, 2)

    def test_more_clients_than_allowed_get_congestion(self):  # M14
        self.start_gateway(sessions={"max_clients": 3})
        devices = [self.device(f"d{i}") for i in range(3)]
        for device in devices:
            device.connect()
        refused = self.device("d3").ask(sn.connect("d3"), sn.CONNACK)
        self.assertEqual(refused.code, sn.CONGESTION)
        devices[0].connect()  # those who have a session go on

    def test_bad_requests_get_the_code_of_their_rule(self):
        self.start_gateway()
        stranger = self.device("s")
        for raw in (sn.connect("s", protocol=2), sn.connect(""), sn.connect("a\0b")):  # R19, R20
            self.assertEqual(stranger.ask(raw, sn.CONNACK).code, sn.NOT_SUPPORTED)
        device = self.device("d").connect()
        cases = [
            (sn.register(1, "a/#"), sn.REGACK, sn.NOT_SUPPORTED),                      # M19
            (sn.message(sn.REGISTER, b"\0\0\0\1"), sn.REGACK, sn.NOT_SUPPORTED),       # M18
            (sn.message(sn.REGISTER, b"\0\0\0\1\xff\xfe"), sn.REGACK, sn.NOT_SUPPORTED),
            (sn.publish(77, 1, b"", qos=1), sn.PUBACK, sn.INVALID_TOPIC_ID),           # M24
            (sn.publish(77, 0, b"", qos=0), sn.PUBACK, sn.INVALID_TOPIC_ID),           # M24
            (sn.publish(0, 1, b"", qos=1), sn.PUBACK, sn.INVALID_TOPIC_ID),            # M25
            (sn.publish(0xFFFF, 1, b"", qos=1), sn.PUBACK, sn.INVALID_TOPIC_ID),       # M25
            (sn.publish(9, 1, b"", 1, sn.PREDEFINED), sn.PUBACK, sn.INVALID_TOPIC_ID),  # M24
            (sn.publish(1, 1, b"", 1, 3), sn.PUBACK, sn.NOT_SUPPORTED),                # M26
            (sn.publish(sn.short_name("a+"), 1, b"", 1, sn.SHORT), sn.PUBACK,
             sn.NOT_SUPPORTED),                                                        # M27
            (sn.subscribe(1, "a/#/b"), sn.SUBACK, sn.NOT_SUPPORTED),                   # R71
            (sn.message(sn.SUBSCRIBE, b"\0\0\1"), sn.SUBACK, sn.NOT_SUPPORTED),        # M40
            (sn.message(sn.SUBSCRIBE, b"\1\0\1\7"), sn.SUBACK, sn.NOT_SUPPORTED),      # M39
            (sn.subscribe(1, 9, kind=sn.PREDEFINED), sn.SUBACK, sn.INVALID_TOPIC_ID),  # M42
        ]
        for raw, kind, code in cases:
            self.assertEqual(device.ask(raw, kind).code, code, raw.hex())
        device.ask(sn.unsubscribe(1, "never/seen"), sn.UNSUBACK)  # R72
        device.ask(sn.message(sn.UNSUBSCRIBE, b"\1\0\1\7"), sn.UNSUBACK)  # M43


class SerialLine(Attack):
    def ask_patiently(self, device, raw, kind):
        """As a device on a noisy line does: repeats until it is answered, ignores the rest."""
        for _ in range(50):
            device.send(raw)
            try:
                while True:
                    packet = device.receive(0.2)
                    if packet.kind == kind:
                        return packet
            except (Silence, AssertionError):
                continue  # what nonsense has provoked
        raise AssertionError("no answer on the line")

    def garbage(self, framing):
        print(f"DORMOUSE_SEED={self.seed}", flush=True)
        link = self.pty("barn", framing)
        self.start_gateway()
        self.wait_link("barn")
        control = self.control()
        before = self.stable_part(control)
        for _ in range(40):
            link.write(self.random.randbytes(self.random.randrange(1, 300)))
            link.send(self.mutate(self.random.choice(list(VALID.values()))))
            control.ping()
        self.assertEqual(self.stable_part(control), before)
        self.assert_works(control)
        on_line = Device("on-line", link)
        while "on-line" not in self.gateway.sessions():  # a CONNACK may answer the nonsense
            self.ask_patiently(on_line, sn.connect("on-line", clean=True), sn.CONNACK)
        self.ask_patiently(on_line, sn.pingreq(), sn.PINGRESP)
        self.assertGreater(self.gateway.status()["links"][1]["rx_garbage"], 0)

    def test_random_octets_on_a_raw_line(self):
        self.garbage("raw")

    def test_random_octets_on_a_slip_line(self):
        self.garbage("slip")

    def test_half_a_frame_and_silence_do_not_spoil_the_next_one(self):  # serial.md 2, rule 2
        link = self.pty("barn")
        self.start_gateway()
        self.wait_link("barn")
        device = Device("on-line", link).connect()
        link.write(sn.register(1, "cut/off")[:9])
        self.ask_patiently(device, sn.pingreq(), sn.PINGRESP)
        self.assertGreater(self.gateway.status()["links"][1]["rx_garbage"], 0)

    def test_missing_device_is_shown_as_down_and_served_when_it_appears(self):  # design section 7
        path = self.directory / "tty-later"
        self.gateway.config["serial later"] = {"device": path}
        self.start_gateway()
        shown = self.gateway.status()["links"][1]
        self.assertEqual((shown["name"], shown["up"], shown["device"]), ("later", False, str(path)))
        self.assertIn("No such file", shown["error"])
        link = PtyLink(path)
        self.addCleanup(link.close)
        self.wait_link("later")
        Device("on-line", link).connect().ping()

    def test_unplugged_port_pauses_its_sessions_and_serves_another_adapter(self):
        link = self.pty("barn")
        self.start_gateway(sessions={"tolerance": "1.1"})
        self.wait_link("barn")
        device = Device("on-line", link).connect(keepalive=1)
        device.subscribe(TOPIC)
        self.device("witness").connect(keepalive=1)
        device.ping()
        link.unplug()
        self.wait_link("barn", up=False)
        self.broker.client().publish(TOPIC, b"meanwhile")
        self.wait_kept("on-line", 1)
        self.gateway.wait_state("witness", "lost")  # silence counts for it, not for the other
        self.assertEqual(self.gateway.sessions()["on-line"]["state"], "active")
        link.plug()
        self.wait_link("barn")
        self.assertEqual(self.texts(device, device.take()), [(TOPIC, b"meanwhile")])
        self.assertGreaterEqual(self.gateway.status()["links"][1]["reopens"], 1)


class ControlSocket(Attack):
    def connect(self):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(peer.close)
        peer.settimeout(10)
        peer.connect(str(self.gateway.socket))
        return peer

    def exchange(self, octets):
        """The answer; empty if the gateway closes without one."""
        peer = self.connect()
        try:
            peer.sendall(octets)
            with peer.makefile("rb") as stream:
                return stream.read()
        except (BrokenPipeError, ConnectionResetError):
            return b""
        finally:
            peer.close()

    def test_garbage_is_answered_with_an_error_or_an_end(self):
        self.start_gateway()
        for line in (b"\n", b"{}\n", b"[]\n", b"null\n", b"{\"command\":7}\n", b"\xff\xfe\0\0\n",
                     b"{\"command\":\"forget\"}\n", b"{\"command\":\"forget\",\"client_id\":[]}\n",
                     b"{\"command\":\"nothing\"}\n", b"[" * 3000 + b"\n", b"{" * 4000 + b"\n",
                     b"{\"command\":\"status\"\n", b"GET / HTTP/1.1\r\n\r\n"):
            self.assertIn(b"\"error\"", self.exchange(line), line)
        self.assertEqual(self.exchange(b"x" * 100000), b"")  # no line end within the limit
        for _ in range(200):
            self.exchange(self.random.randbytes(self.random.randrange(1, 300)) + b"\n")
        self.assertEqual(self.gateway.status()["pid"], self.gateway.process.pid)

    def test_fifty_connections_with_half_requests_do_not_stop_the_gateway(self):
        self.start_gateway()
        device = self.device("d").connect()
        peers = [self.connect() for _ in range(50)]
        for peer in peers:
            try:
                peer.sendall(b"{\"command\":")
            except (BrokenPipeError, ConnectionResetError):
                pass  # beyond the limit it is closed at once
        device.ping()
        for peer in peers:
            peer.close()
        wait_until(self.gateway.answers, "the control socket answers again")

    def test_the_socket_is_for_owner_and_group_only(self):  # design section 9
        self.start_gateway()
        self.assertEqual(stat.S_IMODE(os.stat(self.gateway.socket).st_mode), 0o660)

    def test_the_database_is_for_the_owner_only(self):  # design section 8
        self.start_gateway()
        self.assertEqual(stat.S_IMODE(os.stat(self.gateway.state).st_mode), 0o700)
        for path in self.gateway.state.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)


if __name__ == "__main__":
    main()
