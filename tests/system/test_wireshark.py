# SPDX-License-Identifier: Apache-2.0
"""Wireshark reads what the gateway sends: every type of message that it has, captured live.

The dissector of Wireshark 4.0 knows encapsulation (0xFE), with one defect: it reads the node id as an
unsigned integer, so that ids of no octets or of more than four end in "Malformed Packet", although
the text leaves them opaque. The node of this test has an id of two octets."""

import collections
import fcntl
import os
import socket
import struct
import sys

import mqttsn as sn
from device import Device, GroupLink, NodeLink
from harness import SystemTest, main, spawn, wait_until

# Also "may" PINGREQ, which this gateway never sends (R78).
SENT_BY_A_GATEWAY = {
    sn.ADVERTISE, sn.GWINFO, sn.CONNACK, sn.WILLTOPICREQ, sn.WILLMSGREQ, sn.REGISTER, sn.REGACK,
    sn.PUBLISH, sn.PUBACK, sn.PUBCOMP, sn.PUBREC, sn.PUBREL, sn.SUBACK, sn.UNSUBACK, sn.PINGRESP,
    sn.DISCONNECT, sn.WILLTOPICRESP, sn.WILLMSGRESP, sn.ENCAPSULATED}
FIELDS = ("udp.srcport", "udp.payload", "mqttsn.msg.type", "mqttsn.msg.len", "mqttsn.return.code",
          "mqttsn.qos", "mqttsn.dup", "_ws.malformed", "_ws.expert.message")
Seen = collections.namedtuple("Seen", "port payload types lengths codes qos dup malformed expert")
PROBE = sn.message(sn.PINGRESP)              # from a stranger it means nothing
MALFORMED_PROBE = sn.message(sn.PUBACK, b"\0")  # nor does this, and tshark must say what it is
LONG = bytes(300)


def numbers(text):
    return [int(word, 0) for word in text.split(",") if word]


class Capture:
    """tshark on the loopback interface, which prints a line for each datagram at once."""

    def __init__(self, directory, ports):
        self.output = directory / "tshark.log"
        self.errors = directory / "tshark-errors.log"
        arguments = ["tshark", "-i", "lo", "-n", "-l", "-T", "fields", "-E", "separator=|",
                     "-f", " or ".join(f"udp port {port}" for port in ports)]
        for port in ports:
            arguments += ["-d", f"udp.port=={port},mqttsn"]
        for field in FIELDS:
            arguments += ["-e", field]
        with open(self.output, "wb") as out, open(self.errors, "wb") as errors:
            self.process = spawn(arguments, stdout=out, stderr=errors)

    def wait_ready(self, probe):
        wait_until(lambda: self.says("Capturing on"), "tshark captures")
        # It says so a little before it is true: a datagram that was seen proves it.
        def is_seen():
            probe.send(PROBE)
            return self.datagrams()
        wait_until(is_seen, "tshark saw a datagram")

    def says(self, words):
        text = self.errors.read_text(errors="replace")
        assert self.process.poll() is None, f"tshark ended: {text}"
        return words in text

    def datagrams(self):
        found = []
        for line in self.output.read_text(errors="replace").splitlines(keepends=True):
            if not line.endswith("\n"):
                break  # still being written
            port, payload, types, lengths, codes, qos, dup, bad, expert = (
                line.rstrip("\n").split("|", len(FIELDS) - 1))
            found.append(Seen(int(port), bytes.fromhex(payload), numbers(types), numbers(lengths),
                              numbers(codes), numbers(qos), numbers(dup), bad, expert))
        return found

    def close(self):
        self.process.terminate()
        self.process.wait()


class Wireshark(SystemTest):
    def setUp(self):
        super().setUp()
        self.group_port = self.ports.take()
        self.capture = Capture(self.directory, (self.gateway.port, self.group_port))
        self.addCleanup(self.capture.close)
        self.start_gateway(gateway={"advertise": "1s"}, udp_lan={
            "multicast": f"225.1.1.1:{self.group_port}", "interface": "lo",
            "forwarders": "127.0.0.1", "topics.7": "seven"})
        self.publisher = self.broker.client()
        self.capture.wait_ready(self.device("probe").link)

    def of_gateway(self):
        return [seen for seen in self.capture.datagrams() if seen.port == self.gateway.port]

    def wait_advertised(self):
        wait_until(lambda: any(sn.ADVERTISE in seen.types for seen in self.of_gateway()),
                   "the gateway advertises")

    def search(self):
        link = GroupLink("225.1.1.1", self.group_port)
        self.addCleanup(link.close)
        link.send(sn.searchgw())
        while sn.decode(link.receive()[0]).kind != sn.GWINFO:
            pass  # ADVERTISE comes to the group as well

    def tell_wills(self):
        device = self.device("will").connect_with_will("will/topic", b"lost", retain=True)
        device.accepted(sn.will_topic("will/other", kind=sn.WILLTOPICUPD), sn.WILLTOPICRESP)
        device.ask(sn.will_topic("a/#", kind=sn.WILLTOPICUPD), sn.WILLTOPICRESP)
        device.accepted(sn.message(sn.WILLMSGUPD, b"gone"), sn.WILLMSGRESP)
        device.disconnect()

    def publish_to_the_broker(self):
        device = self.device("up")
        device.ask(sn.connect("up", protocol=2), sn.CONNACK)  # refused
        device.connect()
        topic_id = device.register("up")
        device.ask(sn.register(1, "up/#"), sn.REGACK)  # refused
        device.publish(topic_id, b"zero", qos=0)
        device.publish(topic_id, b"one", qos=1)
        device.ask(sn.publish(topic_id, 9, b"two", qos=2), sn.PUBREC)
        device.ask(sn.step(sn.PUBREL, 9), sn.PUBCOMP)
        device.publish(999, b"unknown id", qos=1)
        device.publish(0, b"reserved type", qos=1, kind=3)
        device.ping()
        return device, topic_id

    def get_from_the_broker(self):
        device = self.device("down").connect()
        device.subscribe("down/+", qos=2)
        device.subscribe("down/name", qos=1)
        device.subscribe(7, kind=sn.PREDEFINED)
        device.subscribe(sn.short_name("xy"), kind=sn.SHORT)
        device.ask(sn.subscribe(20, 99, kind=sn.PREDEFINED), sn.SUBACK)  # refused: no such id
        device.ask(sn.subscribe(21, "a/#/b"), sn.SUBACK)                 # refused: no filter
        for topic, payload, qos in (("down/name", b"0", 0), ("down/name", LONG, 1), ("seven", b"", 1),
                                    ("xy", b"short", 1), ("down/new", b"1", 1)):
            self.publisher.publish(topic, payload, qos)
            device.take()
        self.publisher.publish("down/new", b"2", qos=2)
        message = device.expect(sn.PUBLISH)
        device.expect(sn.PUBLISH)  # after T_retry, with DUP
        device.ask(sn.step(sn.PUBREC, message.msg_id), sn.PUBREL)
        device.send(sn.step(sn.PUBCOMP, message.msg_id))
        device.unsubscribe("down/+")
        device.sleep()
        device.wake()
        device.disconnect()

    def talk_through_a_forwarder(self):
        node = Device("node", NodeLink(self.device("forwarder").link, b"\xab\xcd")).connect()
        node.subscribe("node")
        self.publisher.publish("node", LONG)
        node.take()
        node.disconnect()

    def meet_congestion(self, device, topic_id):
        self.broker.kill()
        self.gateway.wait_broker("waiting")
        device.send(sn.publish(topic_id, 0, b"lost", qos=0))
        self.assertEqual(device.expect(sn.PUBACK).code, sn.CONGESTION)

    def check(self, sent):
        for seen in sent:
            what = f"{seen.payload.hex()}: {seen}"
            self.assertEqual((seen.malformed, seen.expert), ("", ""), what)
            self.assertTrue(seen.types, f"not dissected: {what}")
            self.assertEqual(sum(seen.lengths), len(seen.payload), what)
        self.assertEqual({kind for seen in sent for kind in seen.types}, SENT_BY_A_GATEWAY)
        self.assertEqual(self.codes(sent, sn.PUBACK), {0, 1, 2, 3})
        self.assertEqual(self.codes(sent, sn.SUBACK), {0, 2, 3})
        for kind in (sn.CONNACK, sn.REGACK, sn.WILLTOPICRESP):
            self.assertEqual(self.codes(sent, kind), {0, 3}, sn.NAMES[kind])
        published = [seen for seen in sent if seen.types == [sn.PUBLISH]]
        self.assertEqual({seen.qos[0] for seen in published}, {0, 1, 2})
        self.assertEqual({seen.dup[0] for seen in published}, {0, 1})
        self.assertIn(9 + len(LONG), {seen.lengths[0] for seen in published})

    def codes(self, sent, kind):
        return {seen.codes[0] for seen in sent if seen.types == [kind]}

    def test_every_type_of_message_is_dissected_without_a_complaint(self):  # R81, reference 1.2, R2
        self.tell_wills()
        device, topic_id = self.publish_to_the_broker()
        self.get_from_the_broker()
        self.talk_through_a_forwarder()
        self.search()
        self.wait_advertised()
        self.meet_congestion(device, topic_id)
        self.device("probe").send(MALFORMED_PROBE)  # behind all others; shows what a complaint is
        (seen,) = wait_until(lambda: [seen for seen in self.capture.datagrams()
                                      if seen.payload == MALFORMED_PROBE], "tshark saw the last")
        self.assertIn("Malformed", seen.malformed)
        self.check(self.of_gateway())


def get_the_right_to_capture():
    """Who is not root runs the test in a network of its own, where it may capture."""
    if os.geteuid() != 0:
        os.execvp("unshare", ["unshare", "-rn", sys.executable, "-B", *sys.argv])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # loopback is down there
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(probe, 0x8913, request))[1]  # SIOCGIFFLAGS
        if not flags & 1:
            fcntl.ioctl(probe, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))  # SIOCSIFFLAGS


if __name__ == "__main__":
    get_the_right_to_capture()
    main()
