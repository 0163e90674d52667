# SPDX-License-Identifier: Apache-2.0
"""A small MQTT 3.1.1 client for the broker's side of a test, and a peer that refuses MQTT 5."""

import socket
import struct

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK = range(1, 10)
DISCONNECT = 14


def text(string):
    octets = string.encode()
    return struct.pack(">H", len(octets)) + octets


def packet(kind, body, flags=0):
    length, left = b"", len(body)
    while True:
        left, digit = divmod(left, 128)[0], left % 128
        length += bytes([digit | (0x80 if left else 0)])
        if not left:
            return bytes([kind << 4 | flags]) + length + body


def read_packet(stream):
    """(kind, flags, body) of the next packet; raises EOFError at the end of the connection."""
    def octets(count):
        found = stream.read(count) if count else b""
        if found is None or len(found) < count:
            raise EOFError("the peer closed the MQTT connection")
        return found

    head, shift, length = octets(1)[0], 0, 0
    while True:
        digit = octets(1)[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return head >> 4, head & 15, octets(length)


class Client:
    """Blocking; what arrives while an answer is awaited is kept for `receive`."""

    def __init__(self, port, client_id):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        self.messages = []
        self.packet_id = 0
        body = text("MQTT") + bytes([4, 2]) + struct.pack(">H", 0) + text(client_id)
        self.socket.sendall(packet(CONNECT, body))
        assert self.wait_for(CONNACK)[1] == 0, "the broker refused the test's client"

    def close(self):
        self.stream.close()
        self.socket.close()

    def take_message(self, flags, body):
        size = struct.unpack(">H", body[:2])[0]
        topic, rest, qos = body[2:2 + size].decode(), body[2 + size:], flags >> 1 & 3
        if qos:
            packet_id, rest = rest[:2], rest[2:]
            self.socket.sendall(packet(PUBACK if qos == 1 else PUBREC, packet_id))
        self.messages.append((topic, rest, bool(flags & 1)))

    def wait_for(self, wanted):
        while True:
            kind, flags, body = read_packet(self.stream)
            if kind == PUBLISH:
                self.take_message(flags, body)
            elif kind == PUBREL:
                self.socket.sendall(packet(PUBCOMP, body))
            if kind == wanted:
                return body

    def publish(self, topic, payload, qos=1, retain=False):
        """Returns when the broker has taken responsibility."""
        flags = qos << 1 | (1 if retain else 0)
        self.packet_id += 1
        packet_id = struct.pack(">H", self.packet_id) if qos else b""
        self.socket.sendall(packet(PUBLISH, text(topic) + packet_id + payload, flags))
        if qos == 1:
            assert self.wait_for(PUBACK) == packet_id
        elif qos == 2:
            assert self.wait_for(PUBREC) == packet_id
            self.socket.sendall(packet(PUBREL, packet_id, 2))
            assert self.wait_for(PUBCOMP) == packet_id

    def subscribe(self, topic, qos=1):
        self.packet_id += 1
        body = struct.pack(">H", self.packet_id) + text(topic) + bytes([qos])
        self.socket.sendall(packet(SUBSCRIBE, body, 2))
        assert self.wait_for(SUBACK)[2] < 0x80

    def receive(self, count=1):
        """The next `count` messages as (topic, payload)."""
        while len(self.messages) < count:
            self.wait_for(PUBLISH)
        found, self.messages = self.messages[:count], self.messages[count:]
        return [(topic, payload) for topic, payload, _ in found]


class OldBroker:
    """Accepts MQTT 3.1.1 only: CONNECT of version 5 gets CONNACK 0x84, as its text demands."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(10)
        self.socket = self.stream = None

    def accept(self):
        """Takes one connection and answers its CONNECT. Returns the protocol level asked for."""
        self.drop()
        self.socket = self.listener.accept()[0]
        self.socket.settimeout(10)
        self.stream = self.socket.makefile("rb")
        kind, _, body = read_packet(self.stream)
        assert kind == CONNECT, kind
        level = body[6]
        if level == 5:
            self.socket.sendall(packet(CONNACK, b"\x00\x84\x00"))
            self.drop()
        else:
            self.socket.sendall(packet(CONNACK, b"\x00\x00"))
        return level

    def read(self, wanted):
        while True:
            kind, flags, body = read_packet(self.stream)
            if kind == wanted:
                return flags, body

    def send(self, kind, body, flags=0):
        self.socket.sendall(packet(kind, body, flags))

    def drop(self):
        if self.socket is not None:
            self.stream.close()
            self.socket.close()
            self.socket = None

    def close(self):
        self.drop()
        self.listener.close()
