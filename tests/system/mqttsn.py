# SPDX-License-Identifier: Apache-2.0
"""MQTT-SN 1.2 messages as octets: builders that check nothing, so that tests can send anything."""

import struct
from collections import namedtuple

ADVERTISE, SEARCHGW, GWINFO = 0x00, 0x01, 0x02
CONNECT, CONNACK = 0x04, 0x05
WILLTOPICREQ, WILLTOPIC, WILLMSGREQ, WILLMSG = 0x06, 0x07, 0x08, 0x09
REGISTER, REGACK = 0x0A, 0x0B
PUBLISH, PUBACK, PUBCOMP, PUBREC, PUBREL = 0x0C, 0x0D, 0x0E, 0x0F, 0x10
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 0x12, 0x13, 0x14, 0x15
PINGREQ, PINGRESP, DISCONNECT = 0x16, 0x17, 0x18
WILLTOPICUPD, WILLTOPICRESP, WILLMSGUPD, WILLMSGRESP = 0x1A, 0x1B, 0x1C, 0x1D
ENCAPSULATED = 0xFE

NAMES = {number: name for name, number in list(globals().items())
         if name.isupper() and isinstance(number, int)}

NORMAL, PREDEFINED, SHORT = 0, 1, 2
DUP, RETAIN, WILL, CLEAN = 0x80, 0x10, 0x08, 0x04
ACCEPTED, CONGESTION, INVALID_TOPIC_ID, NOT_SUPPORTED = range(4)


def message(kind, body=b""):
    """A whole message with the shortest header (R2)."""
    if len(body) + 2 <= 255:
        return bytes([len(body) + 2, kind]) + body
    return b"\x01" + struct.pack(">HB", len(body) + 4, kind) + body


def connect(client_id, clean=False, keepalive=60, will=False, protocol=1):
    flags = (CLEAN if clean else 0) | (WILL if will else 0)
    return message(CONNECT, struct.pack(">BBH", flags, protocol, keepalive) + client_id.encode())


def searchgw(radius=1):
    return message(SEARCHGW, bytes([radius]))


def will_topic(topic, qos=0, retain=False, kind=WILLTOPIC):
    """WILLTOPIC, or WILLTOPICUPD as `kind`."""
    return message(kind, bytes([(qos & 3) << 5 | (RETAIN if retain else 0)]) + topic.encode())


def register(msg_id, name):
    return message(REGISTER, struct.pack(">HH", 0, msg_id) + name.encode())


def regack(topic_id, msg_id, code=ACCEPTED):
    return message(REGACK, struct.pack(">HHB", topic_id, msg_id, code))


def publish(topic_id, msg_id, data, qos=0, kind=NORMAL, dup=False, retain=False):
    flags = (DUP if dup else 0) | (qos & 3) << 5 | (RETAIN if retain else 0) | kind
    return message(PUBLISH, struct.pack(">BHH", flags, topic_id, msg_id) + data)


def puback(topic_id, msg_id, code=ACCEPTED):
    return message(PUBACK, struct.pack(">HHB", topic_id, msg_id, code))


def step(kind, msg_id):
    """PUBREC, PUBREL or PUBCOMP."""
    return message(kind, struct.pack(">H", msg_id))


def subscribe(msg_id, topic, qos=0, kind=NORMAL):
    """`topic` is a name, or a number for the other kinds."""
    body = topic.encode() if kind == NORMAL else struct.pack(">H", topic)
    return message(SUBSCRIBE, struct.pack(">BH", (qos & 3) << 5 | kind, msg_id) + body)


def unsubscribe(msg_id, topic):
    return message(UNSUBSCRIBE, struct.pack(">BH", NORMAL, msg_id) + topic.encode())


def pingreq(client_id=""):
    return message(PINGREQ, client_id.encode())


def disconnect(duration=None):
    return message(DISCONNECT, b"" if duration is None else struct.pack(">H", duration))


def encapsulate(node_id, inner):
    """As a forwarder does (0xFE): the length covers the outer header only."""
    return bytes([3 + len(node_id), ENCAPSULATED, 0]) + node_id + inner


def short_name(text):
    """A short topic name as the number that stands in its place."""
    return struct.unpack(">H", text.encode())[0]


# `code` of ADVERTISE and GWINFO is the GwId.
Packet = namedtuple("Packet", "kind flags topic_id msg_id code duration data raw")


def decode(raw):
    """What a gateway may send. Raises AssertionError for what it must not."""
    body = raw[4:] if raw[:1] == b"\x01" else raw[2:]
    length = struct.unpack(">H", raw[1:3])[0] if raw[:1] == b"\x01" else raw[0]
    kind = raw[3] if raw[:1] == b"\x01" else raw[1]
    assert length == len(raw), f"length field of {raw.hex()}"
    assert raw[0] != 1 or length > 255, f"long form without need (R2): {raw.hex()}"
    layouts = {CONNACK: ("c", ">B"), REGISTER: ("tm", ">HH"), REGACK: ("tmc", ">HHB"),
               PUBLISH: ("ftm", ">BHH"), PUBACK: ("tmc", ">HHB"), SUBACK: ("ftmc", ">BHHB"),
               UNSUBACK: ("m", ">H"), PUBCOMP: ("m", ">H"), PUBREC: ("m", ">H"),
               PUBREL: ("m", ">H"), ADVERTISE: ("cd", ">BH"), GWINFO: ("c", ">B"),
               PINGREQ: ("", ">"), PINGRESP: ("", ">"), DISCONNECT: ("", ">"),
               WILLTOPICREQ: ("", ">"), WILLMSGREQ: ("", ">"), WILLTOPICRESP: ("c", ">B"),
               WILLMSGRESP: ("c", ">B")}
    assert kind in layouts, f"the gateway sent type {kind:#x}: {raw.hex()}"
    letters, layout = layouts[kind]
    size = struct.calcsize(layout)
    assert len(body) == size or (len(body) > size and kind in (PUBLISH, REGISTER)), raw.hex()
    found = dict(zip(letters, struct.unpack(layout, body[:size])))
    return Packet(kind, found.get("f", 0), found.get("t", 0), found.get("m", 0),
                  found.get("c", 0), found.get("d", 0), body[size:], raw)


def is_whole(raw):
    """What a serial line delivers may be torn."""
    length = int.from_bytes(raw[1:3], "big") if raw[:1] == b"\x01" else raw[:1] and raw[0]
    return len(raw) >= 2 and length == len(raw)


def qos_of(packet):
    return packet.flags >> 5 & 3


def kind_of_topic(packet):
    return packet.flags & 3
