# SPDX-License-Identifier: Apache-2.0
"""Serial radios of every framing on pseudo terminals (design section 7): nothing is lost when a
port is unplugged, radios that refuse, link quality, and the keys of a port."""

import time
import unittest

import mqttsn as sn
from device import Device
from framings import (RADIOS, Aquila, Cobs, Hc12, Hdlc, LoRaLink, RadioHead, Raw, Slip, Xbee,
                      XbeeEscaped)
from harness import SystemTest, main, wait_until

# A PUBLISH whose data hits every escape.
MESSAGE = bytes.fromhex("0d0c627431 0000c0db7e7d0011")


class Captured:
    """What a radio without a port would write."""

    def __init__(self):
        self.octets = b""

    def write(self, octets):
        self.octets += octets


class Vectors(unittest.TestCase):
    """This side of the framings, by frames that were recorded or made by hand."""

    # framing, node, from the gateway, to the gateway
    FRAMES = (
        (Raw, None, "0d0c6274310000c0db7e7d0011", None),
        (Raw, b"\1\2", "05fe0001020d0c6274310000c0db7e7d0011", None),  # radius 0
        (Slip, None, "c00d0c6274310000dbdcdbdd7e7d0011c0", None),
        (Hdlc, None, "7e0d0c6274310000c0db7d5e7d5d0011fd957e", None),
        (Xbee, bytes.fromhex("0013a20040a1b2c3"),
         "7e001b10010013a20040a1b2c3fffe00000d0c6274310000c0db7e7d00111f", ""),
        (XbeeEscaped, bytes.fromhex("0013a20040a1b2c3"),
         "7e001b1001007d33a20040a1b2c3fffe00000d0c6274310000c0db7d5e7d5d007d311f",
         "7e001990007d33a20040a1b2c3" "1234010d0c6274310000c0db7d5e7d5d007d3156"),
        (Aquila, b"\1\2", "c005fe0101020d0c6274310000dbdcdbdd7e7d0011f5dcc0",
         "c0304012fe0101020d0c6274310000dbdcdbdd7e7d00115ea2c0"),
        (LoRaLink, b"\5", "7e001005400d0c6274310000c0db7d5e7d5d007d31f3",
         "7e001405ffc00009400d0c6274310000c0db7d5e7d5d007d312b"),
        (Hc12, b"\1", None, "af01000d0d0c6274310000c0db7e7d00117c"),
        (RadioHead, b"\2", None, None),
    )

    def radio(self, kind):
        radio = kind()
        radio.line = radio.reader = Captured()
        return radio

    def test_frames_of_the_gateway_are_understood_octet_by_octet(self):
        for kind, node, frame, _ in self.FRAMES:
            if not frame:
                continue
            radio = self.radio(kind)
            for octet in bytes.fromhex(frame):
                self.assertEqual(len(radio.inboxes[node]), 0, kind.FRAMING)
                radio.hear(bytes([octet]))
            self.assertEqual(list(radio.inboxes[node]), [MESSAGE], kind.FRAMING)
            self.assertEqual(radio.buffer, b"")

    def test_frames_of_nodes_are_as_recorded(self):
        for kind, node, same, own in self.FRAMES:
            frame = same if own is None else own
            if frame:
                self.assertEqual(self.radio(kind).frame(node, MESSAGE).hex(), frame, kind.FRAMING)

    def test_cobs_frames_are_as_recorded(self):  # one delimiter is enough, two are safer
        frame = bytes.fromhex("00060d0c62743101" "05c0db7e7d04114b2600")
        self.assertEqual(Cobs().encode(MESSAGE), frame)
        for length in (1, 253, 254, 255, 600):
            for octet in b"\0\1":
                raw = bytes([octet]) * length
                self.assertEqual(Cobs().decode(bytearray(Cobs().encode(raw))), raw)

    def test_radiohead_frames_are_as_recorded(self):
        frame = bytes.fromhex("100201020300" "0d0c6274310000c0db7e7d0011100347de")
        self.assertEqual(RadioHead().frame(b"\2", MESSAGE, number=3), frame)
        radio = self.radio(RadioHead)
        for octet in RadioHead.close_frame(b"\2", b"\1", 0x10, 0, MESSAGE):
            radio.hear(bytes([octet]))
        self.assertEqual(list(radio.inboxes[b"\2"]), [MESSAGE])
        self.assertEqual(radio.line.octets, RadioHead.close_frame(b"\1", b"\2", 0x10, 0x80, b"!"))

    def test_hc12_frame_of_the_gateway_is_understood(self):
        radio = self.radio(Hc12)
        radio.hear(bytes.fromhex("af00010d0d0c6274310000c0db7e7d00117c"))
        self.assertEqual(list(radio.inboxes[b"\1"]), [MESSAGE])

    def test_wrong_checks_are_noticed(self):
        for kind, node, frame, _ in self.FRAMES:
            if frame and kind not in (Raw, Slip):
                octets = bytearray.fromhex(frame)
                octets[-4] ^= 1
                with self.assertRaises(AssertionError, msg=kind.FRAMING):
                    self.radio(kind).hear(octets)


class Node(Device):
    """Also takes QoS 2, and repeats: a message is new by its MsgId (R60)."""

    def __init__(self, client_id, link):
        super().__init__(client_id, link)
        self.messages = []  # (topic, payload), each once
        self.last = 0       # MsgId of the last QoS 1 message
        self.unreleased = set()

    def note(self, packet):
        if packet.kind != sn.PUBLISH:
            return
        repeat = packet.flags & sn.DUP and packet.msg_id == self.last
        if sn.qos_of(packet) == 2:
            repeat = packet.msg_id in self.unreleased
            self.unreleased.add(packet.msg_id)
        elif sn.qos_of(packet) == 1:
            self.last = packet.msg_id
        if not repeat:
            self.messages.append(self.text_of(packet))

    def acknowledge(self, packet):
        super().acknowledge(packet)
        if packet.kind == sn.PUBLISH and sn.qos_of(packet) == 2:
            self.send(sn.step(sn.PUBREC, packet.msg_id))
        elif packet.kind == sn.PUBREL:
            self.unreleased.discard(packet.msg_id)
            self.send(sn.step(sn.PUBCOMP, packet.msg_id))

    def take_until(self, kind, payload=None):
        """Takes what comes, until the first of a kind, which is noted and not answered."""
        while True:
            packet = self.receive()
            self.note(packet)
            if packet.kind == kind and payload in (None, packet.data):
                return packet
            assert packet.kind in (sn.REGISTER, sn.PUBLISH, sn.PUBREL), packet
            self.acknowledge(packet)

    def wake(self, client_id=True):
        self.send(sn.pingreq(self.client_id if client_id else ""))
        self.take_until(sn.PINGRESP)
        return self.taken()

    def taken(self):
        messages, self.messages = self.messages, []
        return messages

    def take_one(self):
        """The next message, however often it is sent."""
        while not self.messages:
            packet = self.receive()
            self.note(packet)
            self.acknowledge(packet)
        return self.taken()[0]

    def publish_once(self, topic_id, data):
        """QoS 2, the whole exchange."""
        msg_id = self.next_msg_id()
        self.ask(sn.publish(topic_id, msg_id, data, qos=2), sn.PUBREC)
        self.ask(sn.step(sn.PUBREL, msg_id), sn.PUBCOMP)


class RadioTest(SystemTest):
    def radio(self, kind, name="port", keys=(), **how):
        radio = kind(self.directory / f"tty-{name}", **how)
        self.addCleanup(radio.close)
        self.gateway.config[f"serial {name}"] = {**radio.config(), **dict(keys)}
        return radio

    def start(self, kind, keys=(), sessions=None, **how):
        """One radio of this kind, and the gateway."""
        radio = self.radio(kind, keys=keys, **how)
        self.start_gateway(sessions=sessions or {})
        self.wait_link("port")
        return radio

    def link(self, name="port"):
        return next(link for link in self.gateway.status()["links"] if link["name"] == name)

    def nodes(self, name="port"):
        return {node["address"].rpartition(":")[2]: node for node in self.link(name)["nodes"]}

    def wait_count(self, name, value, link="port"):
        wait_until(lambda: self.link(link)[name] == value, f"{name} is {value}")

    def replug(self, radio, name="port"):
        radio.unplug()
        self.wait_link(name, False)
        radio.plug()
        self.wait_link(name)

    def subscriber(self, radio, at=0, topic="cmd"):
        """A node that is connected and listens."""
        node = Node(f"n{at}", radio.node(radio.NODES[at])).connect()
        node.subscribe(topic, qos=2)
        return node


class EveryFraming(RadioTest):
    """Two nodes of one port; a test for each framing is added below."""

    def publish_up(self, node, watcher):
        topic_id = node.register("up")
        self.assertEqual(node.publish(topic_id, b"\xc0\x7e1"), sn.ACCEPTED)
        node.publish_once(topic_id, b"\x10\x7d2")
        self.assertEqual(watcher.receive(2), [("up", b"\xc0\x7e1"), ("up", b"\x10\x7d2")])

    def check(self, kind):
        radio = self.start(kind)
        broker, watcher = self.broker.client(), self.broker.client("watcher")
        watcher.subscribe("up", qos=2)
        near, far = (self.subscriber(radio, at, topic) for at, topic in ((0, "a"), (1, "b")))
        self.publish_up(near, watcher)
        self.publish_up(far, watcher)
        near.sleep()
        far.sleep()
        sent = {topic: [(topic, payload + topic.encode()) for payload in (b"\xc0", b"\x7e", b"\0")]
                for topic in "ab"}
        for qos, *messages in zip((1, 2, 1), sent["a"], sent["b"]):
            for topic, payload in messages:
                broker.publish(topic, payload, qos)
        self.wait_kept(near.client_id, 3)
        self.wait_kept(far.client_id, 3)

        near.send(sn.pingreq(near.client_id))
        near.take_until(sn.PUBLISH, b"\x7ea")
        self.replug(radio)  # before the device has answered a message of QoS 2
        near.send(sn.pingreq(near.client_id))
        near.take_until(sn.PUBREL)
        self.replug(radio)  # and in the middle of its exchange
        self.assertEqual(far.wake(), sent["b"])
        self.assertEqual(near.wake(), sent["a"])
        self.assertEqual((near.wake(), far.wake()), ([], []))
        self.assertEqual(near.unreleased, set())
        wait_until(lambda: not self.broker.unacknowledged(), "the gateway acknowledged everything")
        link = self.link()
        self.assertEqual((link["rx_garbage"], link["rx_crc_errors"], link["reopens"]), (0, 0, 2))
        self.assertEqual(len(link["nodes"]), 2)
        self.assertEqual(watcher.messages, [])


def add_tests():
    for kind in RADIOS:
        def test(self, kind=kind):
            self.check(kind)
        name = kind.FRAMING.replace("-", "_")
        setattr(EveryFraming, f"test_{name}_unplugged_while_awake_nothing_is_lost", test)


add_tests()


class ManyPorts(RadioTest):
    def test_ports_of_every_framing_serve_their_nodes_at_the_same_time(self):
        radios = [self.radio(kind, kind.FRAMING) for kind in RADIOS]
        self.start_gateway()
        nodes = []
        for number, radio in enumerate(radios):
            self.wait_link(radio.FRAMING)
            node = Node(f"n{number}", radio.node(radio.NODES[0])).connect()
            node.subscribe("all", qos=2)
            node.subscribe(f"only/{number}", qos=2)
            nodes.append(node.sleep())
        broker = self.broker.client()
        for number in range(len(radios)):
            broker.publish("all", b"%d" % number, 1 + number % 2)
            broker.publish(f"only/{number}", b"%d" % number)
        for node in nodes:
            self.wait_kept(node.client_id, len(radios) + 1)
        for node in nodes:
            node.send(sn.pingreq(node.client_id))
        for number, node in enumerate(nodes):
            node.take_until(sn.PINGRESP)
            messages = node.taken()
            self.assertEqual([data for topic, data in messages if topic == "all"],
                             [b"%d" % one for one in range(len(radios))])
            self.assertEqual([one for one in messages if one[0] != "all"],
                             [(f"only/{number}", b"%d" % number)])
        for radio in radios:
            link = self.link(radio.FRAMING)
            self.assertEqual((link["rx_garbage"], link["tx_unconfirmed"], link["tx_dropped"]),
                             (0, 0, 0), radio.FRAMING)


class Confirmations(RadioTest):
    """Radios that refuse a frame, or say nothing about it."""

    SESSIONS = {"retry": "1s"}

    def check_refusal(self, kind, unconfirmed=1, **how):
        radio = self.start(kind, sessions=self.SESSIONS, **how)
        node = self.subscriber(radio)
        radio.refuse = 1
        self.broker.client().publish("cmd", b"refused")
        self.assertEqual(node.take_one(), ("cmd", b"refused"))
        self.wait_count("tx_unconfirmed", unconfirmed)
        self.assertEqual(self.nodes()[radio.NODES[0].hex()]["unconfirmed"], unconfirmed)
        self.assertEqual(radio.refuse, 0)

    def test_xbee_that_gets_no_ack_from_the_node(self):
        self.check_refusal(Xbee)

    def test_xbee_escaped_that_gets_no_ack_from_the_node(self):
        self.check_refusal(XbeeEscaped)

    def test_aquila_nack(self):
        self.check_refusal(Aquila)

    def test_loralink_without_a_free_channel(self):
        self.check_refusal(LoRaLink)

    def check_silence(self, kind):
        """The radio loses a frame; the gateway waits for its word no longer than ack_timeout."""
        radio = self.start(kind, keys={"ack_timeout": "100ms"}, sessions=self.SESSIONS)
        node = self.subscriber(radio)
        radio.lose = 1
        self.broker.client().publish("cmd", b"lost")
        self.assertEqual(node.take_one(), ("cmd", b"lost"))
        self.wait_count("tx_unconfirmed", 1)

    def test_xbee_that_says_nothing(self):
        self.check_silence(Xbee)

    def test_aquila_that_says_nothing(self):
        self.check_silence(Aquila)

    def test_loralink_that_says_nothing(self):
        self.check_silence(LoRaLink)

    def test_radiohead_repeats_before_mqtt_sn_does(self):
        radio = self.start(RadioHead, sessions={"retry": "1m"})
        node = self.subscriber(radio)
        radio.lose = 2
        self.broker.client().publish("cmd", b"third time")
        packet = node.expect(sn.PUBLISH)
        self.assertEqual((packet.data, packet.flags & sn.DUP), (b"third time", 0))
        node.acknowledge(packet)
        self.wait_count("tx_repeats", 2)
        self.assertEqual(self.link()["tx_unconfirmed"], 0)

    def test_radiohead_gives_up_and_mqtt_sn_repeats(self):
        radio = self.start(RadioHead, sessions=self.SESSIONS)
        node = self.subscriber(radio)
        radio.lose = 4  # RadioHead's own repeats are three
        self.broker.client().publish("cmd", b"fifth time")
        self.assertEqual(node.take_one(), ("cmd", b"fifth time"))
        self.wait_count("tx_unconfirmed", 1)
        self.assertEqual(self.link()["tx_repeats"], 3)

    def test_radiohead_lost_acks_cause_repeats_that_nobody_sees(self):
        radio = self.start(RadioHead, sessions={"retry": "1m"})
        node = self.subscriber(radio)
        watcher = self.broker.client("watcher")
        watcher.subscribe("up")
        topic_id = node.register("up")
        radio.lose_acks = 1
        self.broker.client().publish("cmd", b"down")
        self.assertEqual(node.take_one(), ("cmd", b"down"))
        radio.wait_for(lambda: radio.repeats_heard == 1, "the repeat")
        radio.lose_theirs = 2  # three times the same frame of the node
        node.publish(topic_id, b"up", qos=0)
        node.publish(topic_id, b"end", qos=0)
        self.assertEqual(watcher.receive(2), [("up", b"up"), ("up", b"end")])

    def test_no_more_frames_are_out_than_the_radio_takes(self):
        radio = self.start(Xbee, sessions={"retry": "1m"})
        node = self.subscriber(radio)
        radio.hold = True
        broker = self.broker.client()
        for number in range(6):
            broker.publish("cmd", b"%d" % number, qos=0)
        self.wait_count("tx_waiting", 2)
        while radio.pump(0):
            pass
        self.assertEqual(len(radio.held), 4)
        radio.release()
        for number in range(6):
            self.assertEqual(node.take_one(), ("cmd", b"%d" % number))
        self.wait_count("tx_waiting", 0)
        self.assertEqual(self.link()["tx_unconfirmed"], 0)

    def test_frames_that_are_out_when_the_port_is_unplugged_come_again(self):
        radio = self.start(Xbee, sessions=self.SESSIONS)
        node = self.subscriber(radio)
        radio.lose = 6
        for number in range(6):
            self.broker.client().publish("cmd", b"%d" % number)
        radio.wait_for(lambda: radio.lose < 6, "the first message")
        self.replug(radio)
        radio.lose = 0
        for number in range(6):
            self.assertEqual(node.take_one(), ("cmd", b"%d" % number))
        self.assertEqual(node.wake(), [])


class Aquilas(RadioTest):
    def test_bridge_is_configured_when_it_asks(self):
        key = bytes(range(16))
        self.gateway.file.touch(0o600)
        radio = self.start(Aquila, keys={"pan": 9, "key": key.hex()})
        radio.say(1)  # the bridge has started
        radio.say(2)
        radio.wait_for(lambda: radio.configs, "the configuration")
        self.assertEqual(radio.configs, [(9, key)])
        self.subscriber(radio)
        self.assertEqual(self.link()["rx_garbage"], 0)

    def test_bridge_that_does_not_ask_is_configured_after_a_while(self):
        radio = self.start(Aquila)
        radio.wait_for(lambda: radio.configs, "the configuration")
        self.assertEqual(radio.configs, [(1, b"\xff" * 16)])


class Quality(RadioTest):
    def quality(self, radio, *names):
        self.subscriber(radio)
        node = self.nodes()[radio.NODES[0].hex()]
        self.assertGreater(node["messages"], 0)
        self.assertEqual({"rssi", "lqi", "snr"} & set(node), set(names))
        return [node[name] for name in names]

    def test_aquila_tells_lqi_and_rssi(self):
        radio = self.start(Aquila)
        self.assertEqual(self.quality(radio, "lqi", "rssi"), [Aquila.LQI, Aquila.RSSI])

    def test_loralink_tells_rssi_and_snr(self):
        radio = self.start(LoRaLink)
        self.assertEqual(self.quality(radio, "rssi", "snr"), [LoRaLink.RSSI, LoRaLink.SNR])

    def test_xbee_of_802_15_4_tells_rssi_and_is_answered_in_its_own_frames(self):
        radio = self.start(XbeeEscaped)
        radio.short = True
        self.assertEqual(self.quality(radio, "rssi"), [-40])

    def test_hc12_tells_nothing(self):
        self.assertEqual(self.quality(self.start(Hc12)), [])


class Payload(RadioTest):
    """The radio's own limit (AT NP)."""

    def test_radio_that_takes_less_lowers_the_mtu(self):
        radio = self.start(XbeeEscaped, payload=40)
        node = self.subscriber(radio)
        self.wait_count("mtu", 40)
        broker = self.broker.client()
        broker.publish("cmd", b"x" * 34)  # 41 octets
        broker.publish("cmd", b"y" * 33)
        self.assertEqual(node.take_one(), ("cmd", b"y" * 33))
        self.assertEqual(self.gateway.status()["queue"]["dropped"]["too_long"], 1)

    def test_radio_is_asked_again_when_it_comes_back(self):
        radio = self.start(Xbee, payload=40)
        radio.wait_for(lambda: radio.queries == 1, "the question")
        self.wait_count("mtu", 40)
        radio.payload = 100  # another radio
        self.replug(radio)
        radio.wait_for(lambda: radio.queries == 2, "the question")
        self.wait_count("mtu", 100)

    def test_radio_that_takes_more_or_does_not_tell_changes_nothing(self):
        for payload in (256, None):
            radio = self.radio(Xbee, f"p{payload}", payload=payload, keys={"mtu": 200})
        self.start_gateway()
        for payload in (256, None):
            self.wait_link(f"p{payload}")
            self.assertEqual(self.link(f"p{payload}")["mtu"], 200)
        radio.wait_for(lambda: radio.queries, "the question")
        self.subscriber(radio)
        self.assertEqual(self.link("pNone")["mtu"], 200)


class Keys(RadioTest):
    """Keys of a [serial] section, as its line shows them."""

    def test_max_nodes_refuses_more_and_counts_them(self):
        radio = self.start(Hc12, keys={"max_nodes": 1})
        first = self.subscriber(radio)
        late = Device("late", radio.node(radio.NODES[1]))
        late.send(sn.connect("late"))
        self.wait_count("nodes_refused", 1)
        first.ping()
        self.assertEqual(list(self.nodes()), ["01"])
        self.assertEqual(len(radio.inboxes[radio.NODES[1]]), 0)
        self.assertNotIn("late", self.gateway.sessions())

    def check_echo(self, kind):
        radio = self.radio(kind, keys={"echo": "discard"})
        radio.echo = True
        self.start_gateway()
        self.wait_link("port")
        node = self.subscriber(radio)            # 2 messages
        self.broker.client().publish("cmd", b"once")
        self.assertEqual(node.take_one(), ("cmd", b"once"))  # 1
        node.ping()                              # 1
        link = self.link()
        self.assertEqual((link["rx_datagrams"], link["rx_dropped"], link["rx_garbage"]), (4, 0, 0))
        self.assertEqual(self.gateway.status()["input"]["malformed"], 0)
        # A port that comes back does not wait for octets that were sent before.
        with self.gateway.paused():
            node.send(sn.pingreq())
        radio.echo = False
        self.replug(radio)
        radio.echo = True
        node.ping()

    def test_echo_of_a_shared_line_is_discarded(self):
        self.check_echo(Cobs)

    def test_echo_of_a_shared_line_without_framing_is_discarded(self):
        self.check_echo(Raw)

    def test_tx_prefix_stands_before_every_frame(self):
        radio = self.radio(Cobs, keys={"tx_prefix": "00 02 17"})
        radio.prefix = b"\x00\x02\x17"
        self.start_gateway()
        self.wait_link("port")
        node = self.subscriber(radio)
        self.broker.client().publish("cmd", b"prefixed")
        self.assertEqual(node.take_one(), ("cmd", b"prefixed"))

    def test_tx_prefix_stands_before_the_radio_s_own_frames(self):
        radio = self.radio(RadioHead, keys={"tx_prefix": "c0 ff ee"})
        radio.prefix = b"\xc0\xff\xee"
        self.start_gateway()
        self.wait_link("port")
        self.subscriber(radio)  # its frames are acknowledged

    def test_rx_trailer_is_no_part_of_the_messages(self):
        radio = self.radio(Raw, keys={"rx_trailer": 2})
        radio.trailer = b"\x02\x16"  # would be a PINGREQ
        self.start_gateway()
        self.wait_link("port")
        node = self.subscriber(radio)
        node.ping()
        link = self.link()
        self.assertEqual((link["rx_datagrams"], link["rx_garbage"]), (3, 0))

    def test_open_delay_sends_nothing_and_ignores_what_comes(self):
        radio = self.radio(Xbee, keys={"open_delay": "1s"})
        self.start_gateway()
        wait_until(lambda: "the radio starts" in self.link()["error"], "the port is open")
        Device("early", radio.node(radio.NODES[0])).send(sn.connect("early"))

        def asked():
            """Seen first, then the status: a port that has sent is up."""
            radio.pump(0)
            heard = radio.queries
            up = self.link()["up"]
            self.assertTrue(up or not heard, "sent during open_delay")
            return heard
        wait_until(asked, "the radio is asked")
        self.subscriber(radio)
        self.assertEqual(list(self.gateway.sessions()), ["n0"])
        self.assertEqual((self.link()["rx_datagrams"], self.link()["rx_dropped"]), (2, 0))

    def test_tx_gap_lies_between_frames(self):
        gap_s = 0.2
        radio = self.start(Raw, keys={"tx_gap": "200ms"}, sessions={"retry": "1m"})
        self.subscriber(radio)
        radio.heard_at.clear()
        broker = self.broker.client()
        for number in range(5):
            broker.publish("cmd", b"%d" % number, qos=0)
        radio.wait_for(lambda: len(radio.inboxes[None]) == 5, "the last of five")
        self.assertEqual(len(radio.heard_at), 5)  # never two at once
        # The first may have been seen late, and the last in time.
        self.assertGreater(radio.heard_at[-1] - radio.heard_at[0], 3 * gap_s)

    def test_turnaround_lies_between_what_is_heard_and_the_answer(self):
        radio = self.start(Cobs, keys={"turnaround": "300ms"})
        device = Device("d", radio.node(None))
        sent_at = time.monotonic()
        device.connect()
        self.assertGreater(radio.heard_at[-1] - sent_at, 0.3)

    def test_tx_rate_bounds_the_average(self):
        radio = self.start(Raw, keys={"tx_rate": 100})
        self.subscriber(radio)
        radio.heard_at.clear()
        broker = self.broker.client()
        for _ in range(5):
            broker.publish("cmd", b"x" * 13, qos=0)  # 20 octets, 200 ms
        radio.wait_for(lambda: len(radio.inboxes[None]) == 5, "the last of five")
        self.assertGreater(radio.heard_at[-1] - radio.heard_at[0], 0.6)

    def test_duty_cycle_leaves_the_air_to_others(self):
        radio = self.start(Raw, keys={"duty_cycle": "50%", "air_rate": 1600})
        self.subscriber(radio)
        radio.heard_at.clear()
        broker = self.broker.client()
        for _ in range(5):
            broker.publish("cmd", b"x" * 13, qos=0)  # 100 ms on the air, 100 ms of silence
        radio.wait_for(lambda: len(radio.inboxes[None]) == 5, "the last of five")
        self.assertGreater(radio.heard_at[-1] - radio.heard_at[0], 0.6)

    def test_short_tx_queue_loses_nothing_but_time(self):
        radio = self.start(Cobs, keys={"tx_queue": 2, "baud": 9600})
        node = self.subscriber(radio).sleep()
        broker = self.broker.client()
        sent = [("cmd", b"%d" % number) for number in range(30)]
        for number, (topic, payload) in enumerate(sent):
            broker.publish(topic, payload, qos=number % 2)
        self.gateway.wait_queued(node.client_id, len(sent))
        messages = node.wake()
        for first in (0, 1):  # QoS 1 may overtake QoS 0 on the line
            self.assertEqual([one for one in messages if int(one[1]) % 2 == first], sent[first::2])
        self.assertEqual(sum(self.gateway.status()["queue"]["dropped"].values()), 0)


class HangUps(RadioTest):
    def test_one_of_two_ports_is_enough_to_lose_a_radio(self):
        radio = self.start(LoRaLink)
        node = self.subscriber(radio)
        for port in radio.ports():
            port.unplug()
            self.wait_link("port", False)
            self.assertIn(str(port.path), self.link()["error"])
            port.plug()
            self.wait_link("port")
            self.broker.client().publish("cmd", b"again")
            self.assertEqual(node.take_one(), ("cmd", b"again"))

    def test_port_that_goes_before_open_delay_is_over_comes_back(self):
        radio = self.radio(Slip, keys={"open_delay": "1s"})
        self.start_gateway()
        wait_until(lambda: "the radio starts" in self.link()["error"], "the port is open")
        radio.unplug()
        wait_until(lambda: "the radio starts" not in self.link()["error"], "the port is lost")
        radio.plug()
        self.wait_link("port")
        self.subscriber(radio)
        self.assertEqual(self.link()["reopens"], 1)

    def test_what_waits_for_a_slow_line_when_it_hangs_up_comes_after_it_is_back(self):
        radio = self.start(Hdlc, keys={"baud": 300})
        node = self.subscriber(radio)
        broker = self.broker.client()
        sent = [("cmd", b"%d" % number * 20) for number in range(3)]
        for topic, payload in sent:
            broker.publish(topic, payload)
        node.expect(sn.PUBLISH)
        self.replug(radio)
        self.assertEqual([node.take_one() for _ in sent], sent)
        self.assertEqual(self.link()["tx_waiting"], 0)

    def test_nobody_reads_what_the_gateway_sends(self):
        """The pseudo terminal takes no more: frames wait, the port stays, and nothing is torn."""
        radio = self.start(Cobs, keys={"baud": 4000000, "tx_queue": 4})
        node = self.subscriber(radio)
        broker = self.broker.client()
        payload = b"x" * 200
        for _ in range(100):
            broker.publish("cmd", payload, qos=0)
        self.wait_count("tx_waiting", 4)
        self.assertTrue(self.link()["up"])
        broker.publish("cmd", b"end")
        node.acknowledge(node.take_until(sn.PUBLISH, b"end"))
        messages = node.taken() + node.wake(client_id=False)  # PINGRESP overtakes nothing
        self.assertEqual(messages.count(("cmd", b"end")), 1)
        self.assertEqual(set(messages), {("cmd", payload), ("cmd", b"end")})
        self.wait_count("tx_waiting", 0)


if __name__ == "__main__":
    main()
