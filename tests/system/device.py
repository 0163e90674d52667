# SPDX-License-Identifier: Apache-2.0
"""Devices as the gateway meets them: over UDP and over a real pseudo terminal."""

import fcntl
import os
import pathlib
import pty
import select
import socket
import struct
import time
import tty

import mqttsn as sn

SIOCGIFFLAGS = 0x8913

ANSWER_S = 10  # far above any delay of the gateway, even under sanitizers on a busy machine


class Silence(AssertionError):
    """Nothing came in time."""


class UdpLink:
    """A device with a UDP port of its own."""

    def __init__(self, port):
        self.gateway = ("127.0.0.1", port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))

    def send(self, raw):
        self.socket.sendto(raw, self.gateway)

    def receive(self, seconds):
        self.socket.settimeout(max(seconds, 0.001))
        try:
            raw, source = self.socket.recvfrom(65536)
        except (TimeoutError, BlockingIOError):
            raise Silence(f"no datagram for {seconds:.1f} s") from None
        assert source == self.gateway, f"datagram from {source}"
        return raw

    def move(self):
        """A new source port, as after a long sleep behind NAT (R95)."""
        port = self.gateway[1]
        self.close()
        self.__init__(port)

    def close(self):
        self.socket.close()


def interface_flags(name):
    """By ioctl, since a container may have no /sys."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe, SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
    return struct.unpack("16xH22x", answer)[0]


def interface_for_ipv6_groups():
    """(name, link-local address) of an interface, or None. Loopback has no route to IPv6 groups."""
    try:
        lines = pathlib.Path("/proc/net/if_inet6").read_text().splitlines()
    except FileNotFoundError:
        return None  # a kernel without IPv6
    for line in lines:
        octets, _, _, scope, _, name = line.split()
        if scope == "20" and interface_flags(name) & 0x1001 == 0x1001:  # IFF_UP, IFF_MULTICAST
            return name, socket.inet_ntop(socket.AF_INET6, bytes.fromhex(octets))
    return None


class GroupLink:
    """A device that looks for gateways: a member of a multicast group.
    `receive` tells where a datagram came from, which is the address of a gateway."""

    def __init__(self, group, port, interface="lo"):
        family = socket.AF_INET6 if ":" in group else socket.AF_INET
        index = socket.if_nametoindex(interface)
        self.group = (group, port, 0, index) if family == socket.AF_INET6 else (group, port)
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.group)
        packed = socket.inet_pton(family, group)
        if family == socket.AF_INET:
            # Datagrams leave from this address; of itself the kernel never takes it for a group.
            request = struct.pack("=4s4si", packed, socket.inet_aton("127.0.0.1"), index)
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
        else:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                                   packed + struct.pack("=i", index))
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)

    def send(self, raw):
        self.socket.sendto(raw, self.group)

    def receive(self, seconds=ANSWER_S):
        """(octets, (address, port)); what this socket sent itself comes back and is left out."""
        self.socket.settimeout(seconds)
        while True:
            raw, source = self.socket.recvfrom(65536)
            if source[1] != self.group[1]:
                return raw, source[:2]

    def close(self):
        self.socket.close()


def slip_encode(raw):
    return b"\xc0" + raw.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def take_slip(buffer):
    """Removes one frame from the bytearray; None while it is not complete."""
    while True:
        end = buffer.find(b"\xc0")
        if end < 0:
            return None
        frame = bytes(buffer[:end])
        del buffer[:end + 1]
        if frame:  # delimiters stand on both sides: between two frames there is an empty one
            return frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


def take_raw(buffer):
    """Removes one message, by its length field; None while it is not complete."""
    if len(buffer) < 3 and buffer[:1] == b"\x01" or not buffer:
        return None
    length = int.from_bytes(buffer[1:3], "big") if buffer[0] == 1 else buffer[0]
    if buffer[1:2] == bytes([sn.ENCAPSULATED]):
        # The outer length does not count the message inside.
        length += buffer[length] if len(buffer) > length else 1
    if len(buffer) < length:
        return None
    raw = bytes(buffer[:length])
    del buffer[:length]
    return raw


class StreamLink:
    """The radio at the far end of a serial line, whatever that is for the kernel."""

    def __init__(self, path, framing="raw"):
        self.path = path
        self.framing = framing
        self.master = -1  # this end
        self.buffer = bytearray()

    def write(self, octets):
        view = memoryview(octets)
        while view:
            view = view[os.write(self.master, view):]

    def send(self, raw):
        self.write(slip_encode(raw) if self.framing == "slip" else raw)

    def read(self, seconds):
        """Whatever has come; nothing after so many seconds."""
        if not select.select([self.master], [], [], max(seconds, 0))[0]:
            return b""
        octets = os.read(self.master, 4096)
        assert octets, f"{self.path} was closed"
        return octets

    def receive(self, seconds):
        deadline = time.monotonic() + seconds
        take = take_slip if self.framing == "slip" else take_raw
        while True:
            raw = take(self.buffer)
            if raw is not None:
                return raw
            octets = self.read(deadline - time.monotonic())
            if not octets:
                raise Silence(f"no message on {self.path} for {seconds:.1f} s")
            self.buffer += octets


class PtyLink(StreamLink):
    """A pseudo terminal under a name that stays."""

    def __init__(self, path, framing="raw"):
        super().__init__(path, framing)
        self.slave = -1
        self.plug()

    def plug(self):
        # The other end stays open here, too, so that the port survives a gateway that is killed.
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.buffer = bytearray()
        os.symlink(os.ttyname(self.slave), self.path)

    def unplug(self):
        """What pulling out the adapter does: the gateway's end hangs up, the name goes away."""
        os.unlink(self.path)
        self.close()

    def close(self):
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)
        self.master = self.slave = -1


class NodeLink:
    """A node behind a forwarder: one of several on a link that is open already (R111)."""

    def __init__(self, link, node_id):
        self.link = link
        self.header = sn.encapsulate(node_id, b"")

    def send(self, raw):
        self.link.send(self.header + raw)

    def receive(self, seconds):
        raw = self.link.receive(seconds)
        assert raw.startswith(self.header), f"not for this node: {raw.hex()}"
        return raw[len(self.header):]


class Device:
    """A device that speaks MQTT-SN 1.2 and insists on the exact order of messages."""

    def __init__(self, client_id, link):
        self.client_id = client_id
        self.link = link
        self.names = {}  # topic id: name, as the gateway said
        self.msg_id = 0

    def next_msg_id(self):
        self.msg_id += 1
        return self.msg_id

    def send(self, raw):
        self.link.send(raw)

    def receive(self, seconds=ANSWER_S):
        return sn.decode(self.link.receive(seconds))

    def expect(self, kind, seconds=ANSWER_S):
        packet = self.receive(seconds)
        assert packet.kind == kind, (f"{self.client_id}: {sn.NAMES[kind]} expected, "
                                     f"{sn.NAMES[packet.kind]} came: {packet.raw.hex()}")
        return packet

    def ask(self, raw, kind):
        """A request and its answer; nothing may come before it. Returns the answer."""
        self.send(raw)
        return self.expect(kind)

    def accepted(self, raw, kind):
        answer = self.ask(raw, kind)
        assert answer.code == sn.ACCEPTED, f"{sn.NAMES[kind]} with code {answer.code}"
        return answer

    def connect(self, clean=False, keepalive=600):
        if clean:
            self.names = {}
        self.accepted(sn.connect(self.client_id, clean, keepalive), sn.CONNACK)
        return self

    def connect_with_will(self, topic, message, qos=1, retain=False, keepalive=600):
        """The handshake of R16."""
        self.ask(sn.connect(self.client_id, keepalive=keepalive, will=True), sn.WILLTOPICREQ)
        self.ask(sn.will_topic(topic, qos, retain), sn.WILLMSGREQ)
        self.accepted(sn.message(sn.WILLMSG, message), sn.CONNACK)
        return self

    def register(self, name):
        msg_id = self.next_msg_id()
        answer = self.accepted(sn.register(msg_id, name), sn.REGACK)
        assert answer.msg_id == msg_id and 0 < answer.topic_id < 0xFFFF, answer
        self.names[answer.topic_id] = name
        return answer.topic_id

    def subscribe(self, topic, qos=1, kind=sn.NORMAL):
        msg_id = self.next_msg_id()
        answer = self.accepted(sn.subscribe(msg_id, topic, qos, kind), sn.SUBACK)
        assert answer.msg_id == msg_id, answer
        if kind == sn.NORMAL and answer.topic_id:
            self.names[answer.topic_id] = topic
        return answer.topic_id

    def unsubscribe(self, topic):
        self.ask(sn.unsubscribe(self.next_msg_id(), topic), sn.UNSUBACK)

    def publish(self, topic_id, data, qos=1, kind=sn.NORMAL, retain=False):
        """QoS 1 waits for the acknowledgement and returns its code."""
        msg_id = self.next_msg_id() if qos in (1, 2) else 0
        raw = sn.publish(topic_id, msg_id, data, qos, kind, retain=retain)
        if qos != 1:
            self.send(raw)
            return sn.ACCEPTED
        answer = self.ask(raw, sn.PUBACK)
        assert (answer.topic_id, answer.msg_id) == (topic_id, msg_id), answer
        return answer.code

    def disconnect(self):
        self.ask(sn.disconnect(), sn.DISCONNECT)

    def sleep(self, duration=600):
        self.ask(sn.disconnect(duration), sn.DISCONNECT)
        return self

    def acknowledge(self, packet):
        if packet.kind == sn.REGISTER:
            self.names[packet.topic_id] = packet.data.decode()
            self.send(sn.regack(packet.topic_id, packet.msg_id))
        elif packet.kind == sn.PUBLISH and sn.qos_of(packet) == 1:
            self.send(sn.puback(packet.topic_id, packet.msg_id))

    def take(self, count=1):
        """Receives so many messages, with the registrations they need. Returns the PUBLISHes."""
        messages = []
        while len(messages) < count:
            packet = self.receive()
            assert packet.kind in (sn.REGISTER, sn.PUBLISH), packet
            self.acknowledge(packet)
            if packet.kind == sn.PUBLISH:
                messages.append(packet)
        return messages

    def wake(self, client_id=True):
        """One awake period (R97). Returns all that came before PINGRESP, acknowledged."""
        packets = []
        self.send(sn.pingreq(self.client_id if client_id else ""))
        while True:
            packet = self.receive()
            if packet.kind == sn.PINGRESP:
                return packets
            assert packet.kind in (sn.REGISTER, sn.PUBLISH), packet
            packets.append(packet)
            self.acknowledge(packet)

    def before_barrier(self):
        """What was sent to the device until now: all that comes before the answer to a REGISTER,
        which is answered in every state of a session. A link keeps the order of messages."""
        packets = []
        self.send(sn.register(0x7777, "barrier"))
        while True:
            packet = self.receive()
            if packet.kind == sn.REGACK and packet.msg_id == 0x7777:
                return packets
            packets.append(packet)

    def ping(self):
        self.ask(sn.pingreq(), sn.PINGRESP)

    def text_of(self, packet):
        """(topic name, payload) of a PUBLISH, by the ids that the gateway announced."""
        if sn.kind_of_topic(packet) == sn.NORMAL:
            name = self.names.get(packet.topic_id, f"unknown id {packet.topic_id}")
        else:
            name = packet.topic_id
        return name, packet.data
