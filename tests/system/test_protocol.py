# SPDX-License-Identifier: Apache-2.0
"""What MQTT-SN 1.2 adds to plain publishing, from device to broker: wills, QoS 2, discovery,
forwarders and long messages. The rows of docs/conformance.md that need real time or a real network."""

import mqttsn as sn
from device import Device, GroupLink, NodeLink, interface_for_ipv6_groups
from harness import SystemTest, main, wait_until

TOPIC = "house/cmd"
LONG = bytes(range(256)) * 2  # needs the 3-octet length (R1)


class Will(SystemTest):
    def setUp(self):
        super().setUp()
        self.start_gateway()
        self.watcher = self.broker.client()
        self.watcher.subscribe("dev/#")

    def dead_device(self):
        """Says no more than its will; its socket is gone."""
        device = self.device("dev").connect_with_will("dev/state", b"lost", retain=True, keepalive=1)
        device.link.close()

    def assert_published_once(self):
        self.assertEqual(self.watcher.receive(), [("dev/state", b"lost")])
        self.gateway.wait_state("dev", "lost")
        self.broker.client().publish("dev/marker", b"")
        self.assertEqual(self.watcher.receive(), [("dev/marker", b"")])
        late = self.broker.client()
        late.subscribe("dev/state")
        self.assertEqual(late.receive(), [("dev/state", b"lost")], "the will is retained")

    def test_will_of_a_silent_device_is_published_once_with_retain(self):  # R16, R74, R103
        self.dead_device()
        self.assert_published_once()

    def test_will_of_a_device_that_dies_with_the_gateway_is_published(self):  # R31, R103
        self.dead_device()
        self.restart_gateway()
        self.assert_published_once()


class ExactlyOnce(SystemTest):
    """QoS 2 with SIGKILL between PUBREC and PUBREL (R50, R60, R97; design section 1 rule 1)."""

    def setUp(self):
        super().setUp()
        self.start_gateway()

    def publish(self, device, topic_id, msg_id, payload, dup=False):
        message = sn.publish(topic_id, msg_id, payload, qos=2, dup=dup)
        self.assertEqual(device.ask(message, sn.PUBREC).msg_id, msg_id)

    def release(self, device, msg_id):
        self.assertEqual(device.ask(sn.step(sn.PUBREL, msg_id), sn.PUBCOMP).msg_id, msg_id)

    def test_uplink_killed_before_pubrel_reaches_the_subscriber_once(self):  # R45, R50
        watcher = self.broker.client()
        watcher.subscribe(TOPIC, qos=2)
        device = self.device("up").connect()
        topic_id = device.register(TOPIC)
        self.publish(device, topic_id, 9, b"once")
        self.restart_gateway()
        self.publish(device, topic_id, 9, b"once", dup=True)  # as if PUBREC had been lost
        self.release(device, 9)
        self.publish(device, topic_id, 10, b"next")
        self.release(device, 10)
        self.assertEqual(watcher.receive(2), [(TOPIC, b"once"), (TOPIC, b"next")])

    def downlink(self):
        """A device that has got the PUBLISH and not answered it yet."""
        device = self.device("down").connect()
        device.subscribe(TOPIC, qos=2)
        self.publisher = self.broker.client()
        self.publisher.publish(TOPIC, b"once", qos=2)
        return device, device.expect(sn.PUBLISH)

    def finish(self, device, released, msg_id):
        """The device takes the message out of its set and hears nothing of it any more."""
        self.assertEqual(released.msg_id, msg_id)
        device.send(sn.step(sn.PUBCOMP, msg_id))
        self.publisher.publish(TOPIC, b"next", qos=1)
        self.assertEqual(device.text_of(device.take()[0]), (TOPIC, b"next"))
        wait_until(lambda: not self.broker.unacknowledged(), "the broker has all acknowledgements")

    def test_downlink_killed_before_it_reads_pubrec_goes_on_under_its_msg_id(self):  # R50, R60
        device, message = self.downlink()
        with self.gateway.paused():
            device.send(sn.step(sn.PUBREC, message.msg_id))
            self.restart_gateway()
        again = device.expect(sn.PUBLISH)  # a device knows it by its MsgId
        self.assertEqual((again.msg_id, again.data), (message.msg_id, b"once"))
        self.assertTrue(again.flags & sn.DUP)
        released = device.ask(sn.step(sn.PUBREC, message.msg_id), sn.PUBREL)
        self.finish(device, released, message.msg_id)

    def test_downlink_killed_after_pubrel_sends_no_publish_again(self):  # R60
        device, message = self.downlink()
        device.ask(sn.step(sn.PUBREC, message.msg_id), sn.PUBREL)
        self.restart_gateway()
        self.finish(device, device.expect(sn.PUBREL), message.msg_id)


class Discovery(SystemTest):
    def search(self, host, group, interface):
        """A device that knows the group only learns the gateway's address from what it hears."""
        port = self.ports.take()
        template = "[{}]:{}" if ":" in host else "{}:{}"
        self.start_gateway(gateway={"advertise": "1s"}, udp_lan={
            "listen": template.format(host, self.gateway.port),
            "multicast": template.format(group, port), "interface": interface})
        link = GroupLink(group, port, interface)
        self.addCleanup(link.close)
        link.send(sn.searchgw())
        seen = set()
        while seen != {sn.GWINFO, sn.ADVERTISE}:
            raw, source = link.receive()
            self.assertEqual(source, (host.partition("%")[0], self.gateway.port))
            packet = sn.decode(raw)
            self.assertEqual(packet.code, 7)
            if packet.kind == sn.ADVERTISE:
                self.assertEqual(packet.duration, 1)
            seen.add(packet.kind)

    def test_ipv4_group_gets_gwinfo_and_advertise_from_the_gateways_address(self):  # R8, R11
        self.search("127.0.0.1", "225.1.1.1", "lo")

    def test_ipv6_group_gets_gwinfo_and_advertise_from_the_gateways_address(self):  # R8, R11
        found = interface_for_ipv6_groups()
        if found is None:
            self.skipTest("no interface takes IPv6 groups")
        interface, address = found
        # A group of interface-local scope: nothing of the test leaves the machine.
        self.search(f"{address}%{interface}", "ff11::feed:1", interface)

    def test_serial_line_is_advertised_and_searched(self):  # R8, R11
        link = self.pty("barn")
        self.gateway.config["serial barn"]["advertise"] = "yes"
        self.start_gateway(gateway={"advertise": "1s"})
        self.wait_link("barn")
        device = Device("finder", link)
        advertised = device.expect(sn.ADVERTISE)
        self.assertEqual((advertised.code, advertised.duration), (7, 1))
        device.send(sn.searchgw())
        packet = device.receive()
        while packet.kind == sn.ADVERTISE:
            packet = device.receive()
        self.assertEqual((packet.kind, packet.code), (sn.GWINFO, 7))


class Forwarder(SystemTest):
    def test_nodes_of_one_forwarder_with_equal_msg_ids_are_served_apart(self):  # R7, R111 to R113
        self.start_gateway(udp_lan={"forwarders": "127.0.0.1"})
        radio = self.device("forwarder").link
        nodes = [Device(f"node-{n}", NodeLink(radio, n)) for n in (b"\x01", b"\x02", b"\x00\x01")]
        watcher = self.broker.client()
        watcher.subscribe("up/#")
        for device in nodes:
            device.connect()
            device.subscribe(f"down/{device.client_id}")
            self.assertEqual(device.publish(device.register(f"up/{device.client_id}"), b"x"),
                             sn.ACCEPTED)
        self.assertEqual({device.msg_id for device in nodes}, {nodes[0].msg_id})
        self.assertEqual(watcher.receive(3), [(f"up/{d.client_id}", b"x") for d in nodes])
        for device in nodes:
            watcher.publish(f"down/{device.client_id}", device.client_id.encode())
            self.assertEqual(device.take()[0].data, device.client_id.encode())

    def test_search_through_a_forwarder_is_answered_through_it_with_the_radius(self):  # R112, M49
        self.start_gateway(udp_lan={"forwarders": "127.0.0.1"})
        radio = self.device("forwarder").link
        radio.send(sn.encapsulate(b"\xab\xcd", sn.searchgw(radius=2)))
        self.assertEqual(radio.receive(10), bytes.fromhex("05fe02abcd030207"))


    def test_device_roams_between_a_forwarder_and_direct_access(self):  # R115
        self.start_gateway(udp_lan={"forwarders": "127.0.0.1"})
        direct = self.device("roamer").connect()
        topic_id = direct.subscribe(TOPIC)
        radio = self.device("forwarder").link
        behind = Device("roamer", NodeLink(radio, b"\x01"))
        behind.names = {topic_id: TOPIC}
        direct.sleep()
        publisher = self.broker.client()
        for device, payload in ((behind, b"1"), (direct, b"2"), (behind, b"3")):
            publisher.publish(TOPIC, payload)
            self.wait_kept("roamer", 1)
            self.assertEqual(self.texts(device, device.wake()), [(TOPIC, payload)])
        direct.connect()
        publisher.publish(TOPIC, b"4")
        self.assertEqual(direct.take()[0].data, b"4")


class Payload(SystemTest):
    def test_empty_retained_message_of_a_device_clears_the_topic(self):  # R54
        self.start_gateway()
        device = self.device("writer").connect()
        topic_id = device.register("kept/a")
        marker = device.register("kept/b")
        for target, payload in ((topic_id, b"old"), (topic_id, b""), (marker, b"there")):
            self.assertEqual(device.publish(target, payload, retain=True), sn.ACCEPTED)
        late = self.broker.client()
        late.subscribe("kept/#")
        self.assertEqual(late.receive(), [("kept/b", b"there")])

    def test_message_with_a_three_octet_length_passes_both_ways(self):  # R1, R2
        self.start_gateway()
        watcher = self.broker.client()
        watcher.subscribe("up")
        device = self.device("long").connect()
        device.subscribe(TOPIC)
        topic_id = device.register("up")
        for size in (248, 249, 512):  # 255 octets in all, 258, and more
            self.assertEqual(device.publish(topic_id, LONG[:size]), sn.ACCEPTED)
            self.assertEqual(watcher.receive(), [("up", LONG[:size])])
            watcher.publish(TOPIC, LONG[:size])
            packet = device.take()[0]
            self.assertEqual((packet.data, packet.raw[0] == 1), (LONG[:size], size > 248))

    def test_short_messages_in_the_long_form_are_understood(self):  # R1
        self.start_gateway()
        device = self.device("long")
        for short, kind in ((sn.connect("long"), sn.CONNACK), (sn.register(1, "t"), sn.REGACK),
                            (sn.pingreq(), sn.PINGRESP), (sn.disconnect(), sn.DISCONNECT)):
            body = short[1:]
            device.ask(b"\x01" + (len(body) + 3).to_bytes(2, "big") + body, kind)


if __name__ == "__main__":
    main()
