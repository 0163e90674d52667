# SPDX-License-Identifier: Apache-2.0
"""A broker that breaks MQTT 5: it is told why, and the gateway goes on. What is merely odd is borne."""

import socket
import struct

import mqtt
import mqttsn as sn
from harness import SystemTest, main, wait_until

ACCEPTED = bytes.fromhex("200300 00 00")
UNSUBACK, PINGREQ, PINGRESP, AUTH = 11, 12, 13, 15
MALFORMED, PROTOCOL, ALIAS, TOO_LONG = 0x81, 0x82, 0x94, 0x95


def publish(packet_id, qos=1, topic="cmd", properties=b"", payload=b"x"):
    body = mqtt.text(topic) + (struct.pack(">H", packet_id) if qos else b"")
    return mqtt.packet(mqtt.PUBLISH, body + bytes([len(properties)]) + properties + payload,
                       qos << 1)


def ack(kind, packet_id, flags=0, more=b""):
    return mqtt.packet(kind, struct.pack(">H", packet_id) + more, flags)


class HostileBroker(SystemTest):
    BROKER = False

    def setUp(self):
        super().setUp()
        self.listener = socket.create_server(("127.0.0.1", self.broker.port))
        self.listener.settimeout(10)
        self.addCleanup(self.listener.close)

    def accept(self, connack=ACCEPTED):
        """The next connection, after its CONNECT; one that only wipes is answered and passed."""
        while True:
            connection = self.listener.accept()[0]
            connection.settimeout(10)
            stream = connection.makefile("rb")
            self.addCleanup(connection.close)
            self.addCleanup(stream.close)
            kind, _, body = mqtt.read_packet(stream)
            self.assertEqual((kind, body[6]), (mqtt.CONNECT, 5))
            wipes = body[7] & 2
            connection.sendall(ACCEPTED if wipes else connack)
            if not wipes:
                return connection, stream

    def reason(self, stream):
        """The reason of the DISCONNECT, None if the connection ends without one."""
        try:
            while True:
                kind, _, body = mqtt.read_packet(stream)
                if kind == mqtt.DISCONNECT:
                    return body[0] if body else 0
        except (EOFError, OSError):
            return None

    def test_breach_is_told_and_survived(self):
        breaches = [
            ("CONNACK twice", ACCEPTED, PROTOCOL),
            ("a client's packet", mqtt.packet(PINGREQ, b""), MALFORMED),
            ("AUTH", mqtt.packet(AUTH, b""), MALFORMED),
            ("type 0", b"\0\0", MALFORMED),
            ("PUBACK with flags", ack(mqtt.PUBACK, 1, 4), MALFORMED),
            ("PUBREL without its flag", ack(mqtt.PUBREL, 1), MALFORMED),
            ("PUBACK of id 0", ack(mqtt.PUBACK, 0), MALFORMED),
            ("PUBACK without an id", mqtt.packet(mqtt.PUBACK, b""), MALFORMED),
            ("length of five octets", b"\x30\xff\xff\xff\xff\x01", MALFORMED),
            ("QoS 3", publish(1, 3), MALFORMED),
            ("QoS 1 with id 0", publish(0), MALFORMED),
            ("wildcard in a topic", publish(1, topic="a/#"), MALFORMED),
            ("no topic", publish(1, topic=""), MALFORMED),
            ("unknown property", publish(1, properties=b"\x7f\0"), MALFORMED),
            ("property of CONNACK", publish(1, properties=b"\x21\0\1"), MALFORMED),
            ("topic alias", publish(1, properties=b"\x23\0\1"), ALIAS),
            ("topic alias instead of a topic", publish(1, topic="", properties=b"\x23\0\1"), ALIAS),
            ("SUBACK with two codes", ack(mqtt.SUBACK, 1, more=b"\0\0\0"), MALFORMED),
            ("SUBACK with no code", ack(mqtt.SUBACK, 1, more=b"\0"), MALFORMED),
            ("UNSUBACK with two codes", ack(UNSUBACK, 1, more=b"\0\0\0"), MALFORMED),
            ("longer than we allow", b"\x30\xff\xff\x7f", TOO_LONG),
        ]
        self.start_gateway(online=False, broker={"receive_maximum": 3})
        for name, octets, expected in breaches:
            with self.subTest(name):
                self.gateway.kill()  # or the back-off would grow
                self.gateway.start(online=False)
                connection, stream = self.accept()
                self.gateway.wait_broker("connected")
                connection.sendall(octets)
                self.assertEqual(self.reason(stream), expected)
                wait_until(lambda: self.gateway.status()["broker"]["error"], "the reason is told")
                self.assertRegex(self.gateway.text(), "upstream: warning: .*broker sent ")

    def test_oddities_are_borne(self):
        self.start_gateway(online=False)
        connection, stream = self.accept()
        self.gateway.wait_broker("connected")
        device = self.device("dev").connect()
        topic_id = device.register("up")
        for packet in (ack(mqtt.PUBACK, 77), ack(mqtt.PUBREC, 77), ack(mqtt.PUBCOMP, 77),
                       ack(mqtt.PUBREL, 77, 2), ack(mqtt.SUBACK, 77, more=b"\0\0"),
                       ack(UNSUBACK, 77, more=b"\0\0"), mqtt.packet(PINGRESP, b""),
                       publish(5, 1, "nobody/asked"), publish(6, 2, "nobody/asked"),
                       publish(0, 0, "nobody/asked"), publish(7, 1, "cmd", b"\x0b\x09")):
            connection.sendall(packet)
        answers = [mqtt.read_packet(stream) for _ in range(4)]  # one for each that wants one
        self.assertEqual(sorted((kind, body) for kind, _, body in answers),
                         [(mqtt.PUBACK, b"\0\5"), (mqtt.PUBACK, b"\0\7"), (mqtt.PUBREC, b"\0\6"),
                          (mqtt.PUBCOMP, b"\0\x4d\x92")])
        connection.sendall(publish(6, 2, "nobody/asked"))
        self.assertEqual(mqtt.read_packet(stream)[0], mqtt.PUBREC)
        connection.sendall(ack(mqtt.PUBREL, 6, 2))
        self.assertEqual(mqtt.read_packet(stream)[0], mqtt.PUBCOMP)
        device.send(sn.publish(topic_id, 9, b"still here", 1, sn.NORMAL))
        kind, _, body = mqtt.read_packet(stream)
        self.assertEqual(kind, mqtt.PUBLISH)
        packet_id = body[4:6]
        # Answers of the wrong kind are of no message.
        connection.sendall(mqtt.packet(mqtt.PUBCOMP, packet_id))
        connection.sendall(mqtt.packet(mqtt.PUBREC, packet_id + b"\x97"))
        connection.sendall(mqtt.packet(mqtt.PUBACK, packet_id))
        self.assertEqual(device.expect(sn.PUBACK).code, sn.ACCEPTED)
        self.assertEqual(self.gateway.status()["broker"]["connects"], 1)

    def test_more_messages_at_a_time_than_allowed_are_taken(self):
        """Mosquitto 2.0 sends them; a connection that ended for it would end again and again."""
        self.start_gateway(online=False, broker={"receive_maximum": 3})
        connection, stream = self.accept()
        self.gateway.wait_broker("connected")
        for qos, answer in ((1, mqtt.PUBACK), (2, mqtt.PUBREC)):
            ids = range(1, 2001)
            connection.sendall(b"".join(publish(i, qos) for i in ids))
            answers = [mqtt.read_packet(stream) for _ in ids]
            self.assertEqual([(kind, body) for kind, _, body in answers],
                             [(answer, struct.pack(">H", i)) for i in ids])
        self.assertEqual(self.gateway.status()["broker"]["connects"], 1)


if __name__ == "__main__":
    main()
