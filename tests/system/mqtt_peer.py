# SPDX-License-Identifier: Apache-2.0
"""An MQTT 3.1.1 client with a session of its own that outlives broken connections and brokers: it
repeats what was not acknowledged, in order. Never blocks; the world (torture.py) tells it when."""

import random
import socket
import struct
import time

import mqtt

RECONNECT_S = 0.05


def take_packet(buffer):
    """Removes one packet from the bytearray: (kind, flags, body); None while it is incomplete."""
    length = shift = 0
    for at in range(1, min(len(buffer), 5)):
        length |= (buffer[at] & 0x7F) << shift
        shift += 7
        if buffer[at] < 0x80:
            end = at + 1 + length
            if len(buffer) < end:
                return None
            head, body = buffer[0], bytes(buffer[at + 1:end])
            del buffer[:end]
            return head >> 4, head & 15, body
    return None


class Peer:
    def __init__(self, world, port, client_id, filters=(), on_message=None):
        self.world = world
        self.port = port
        self.client_id = client_id
        self.filters = filters
        self.on_message = on_message
        self.socket = None
        self.online = False         # CONNACK came, and SUBACK if there are filters
        self.retry_at = 0.0
        self.packet_id = random.randrange(1, 60000)
        self.outbox = {}            # packet id: [topic, payload, qos, released, callback]
        self.unreleased = set()     # QoS 2 towards us

    def tick(self):
        if self.socket is None and time.monotonic() >= self.retry_at:
            self.connect()

    def connect(self):
        self.retry_at = time.monotonic() + RECONNECT_S
        try:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=1)
        except OSError:
            return
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.world.watch(self.socket, self.on_readable)
        body = mqtt.text("MQTT") + bytes([4, 0]) + struct.pack(">H", 0) + mqtt.text(self.client_id)
        self.send(mqtt.packet(mqtt.CONNECT, body))

    def drop(self):
        """The connection is gone; the session stays."""
        if self.socket is not None:
            self.world.unwatch(self.socket)
            self.socket.close()
        self.socket, self.online = None, False

    def send(self, octets):
        try:
            if self.socket is not None:
                self.socket.sendall(octets)
        except OSError:
            self.drop()

    def on_readable(self):
        try:
            octets = self.socket.recv(65536)
        except OSError:
            octets = b""
        if not octets:
            self.drop()
            return
        self.buffer += octets
        while self.socket is not None and (packet := take_packet(self.buffer)) is not None:
            self.handle(*packet)

    def handle(self, kind, flags, body):
        packet_id = body[:2]
        if kind == mqtt.CONNACK:
            self.on_connack(bool(body[0]))
        elif kind == mqtt.SUBACK:
            self.online = True
        elif kind == mqtt.PUBLISH:
            self.take_message(flags, body)
        elif kind == mqtt.PUBREL:
            self.unreleased.discard(packet_id)
            self.send(mqtt.packet(mqtt.PUBCOMP, packet_id))
        elif kind == mqtt.PUBREC and packet_id in self.outbox:
            self.outbox[packet_id][3] = True
            self.send(mqtt.packet(mqtt.PUBREL, packet_id, 2))
        elif kind in (mqtt.PUBACK, mqtt.PUBCOMP) and packet_id in self.outbox:
            self.outbox.pop(packet_id)[4]()

    def on_connack(self, session_present):
        if not session_present:
            self.unreleased.clear()
        for packet_id, (topic, payload, qos, released, _) in list(self.outbox.items()):
            if released:
                self.send(mqtt.packet(mqtt.PUBREL, packet_id, 2))
            else:
                self.send_publish(packet_id, topic, payload, qos, dup=True)
        if self.filters and not session_present:
            topics = b"".join(mqtt.text(name) + b"\x02" for name in self.filters)
            self.send(mqtt.packet(mqtt.SUBSCRIBE, struct.pack(">H", 1) + topics, 2))
        else:
            self.online = True

    def take_message(self, flags, body):
        size = struct.unpack(">H", body[:2])[0]
        topic, rest, qos = body[2:2 + size].decode(), body[2 + size:], flags >> 1 & 3
        packet_id, payload = (rest[:2], rest[2:]) if qos else (b"", rest)
        known = qos == 2 and packet_id in self.unreleased
        if qos == 2:
            self.unreleased.add(packet_id)
        if not known:
            self.on_message(topic, payload)
        if qos:
            self.send(mqtt.packet(mqtt.PUBACK if qos == 1 else mqtt.PUBREC, packet_id))

    def publish(self, topic, payload, qos, on_accepted):
        """`on_accepted` is called when the broker has taken responsibility."""
        self.packet_id = self.packet_id % 65535 + 1
        packet_id = struct.pack(">H", self.packet_id)
        self.outbox[packet_id] = [topic, payload, qos, False, on_accepted]
        if self.online:
            self.send_publish(packet_id, topic, payload, qos)

    def send_publish(self, packet_id, topic, payload, qos, dup=False):
        flags = qos << 1 | (8 if dup else 0)
        self.send(mqtt.packet(mqtt.PUBLISH, mqtt.text(topic) + packet_id + payload, flags))
