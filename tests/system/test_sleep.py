# SPDX-License-Identifier: Apache-2.0
"""Sleeping devices (MQTT-SN 1.2 section 6.14, design section 1 rules 1 to 4): what waits for them
survives the gateway, and a restart is invisible to them."""

import mqttsn as sn
from device import Device, NodeLink
from harness import SystemTest, main


class Sleep(SystemTest):
    def go_through_restart(self, device, link=None):
        """Three messages for a sleeper, SIGKILL before it wakes, and what it must see then."""
        first = device.connect().subscribe("cmd/one")
        second = device.subscribe("cmd/two")
        device.sleep()
        broker = self.broker.client()
        sent = [("cmd/one", b"1"), ("cmd/two", b"\xc0\xdb2"), ("cmd/one", b"3")]
        for topic, payload in sent:
            broker.publish(topic, payload)
        self.wait_kept(device.client_id, 3)
        self.restart_gateway()
        if link is not None:
            self.wait_link(link)
        packets = device.wake()
        self.assertEqual([p.kind for p in packets], [sn.PUBLISH] * 3)  # no REGISTER (rule 3)
        self.assertEqual([p.topic_id for p in packets], [first, second, first])
        self.assertEqual(self.texts(device, packets), sent)
        self.assertEqual([sn.qos_of(p) for p in packets], [1, 1, 1])
        self.assertEqual(device.wake(), [])  # once
        self.assertEqual(self.gateway.sessions()[device.client_id]["queued"], 0)

    def test_udp_sleeper_gets_its_messages_once_in_order_after_sigkill(self):
        self.start_gateway()
        self.go_through_restart(self.device("sleeper"))

    def test_raw_serial_sleeper_gets_its_messages_once_in_order_after_sigkill(self):
        link = self.pty("barn")
        self.start_gateway()
        self.wait_link("barn")
        self.go_through_restart(Device("sleeper", link), "barn")

    def test_slip_serial_sleeper_gets_its_messages_once_in_order_after_sigkill(self):
        link = self.pty("barn", "slip")
        self.start_gateway()
        self.wait_link("barn")
        self.go_through_restart(Device("sleeper", link), "barn")

    def test_nodes_behind_one_serial_forwarder_sleep_apart(self):  # R111 to R113
        link = self.pty("barn")
        self.start_gateway()
        self.wait_link("barn")
        one, two = (Device(f"node-{i}", NodeLink(link, bytes([0, i]))) for i in (1, 2))
        for device, topic in ((one, "for/one"), (two, "for/two")):
            device.connect().subscribe(topic)
            device.sleep()
        broker = self.broker.client()
        broker.publish("for/two", b"2")
        broker.publish("for/one", b"1")
        self.wait_kept(one.client_id, 1)
        self.wait_kept(two.client_id, 1)
        self.restart_gateway()
        self.wait_link("barn")
        self.assertEqual(self.texts(two, two.wake()), [("for/two", b"2")])
        self.assertEqual(self.texts(one, one.wake()), [("for/one", b"1")])

    def test_qos_0_is_kept_while_asleep(self):  # R91
        self.start_gateway()
        device = self.device("sleeper").connect()
        device.subscribe("cmd", qos=1)
        device.sleep()
        broker = self.broker.client()
        broker.publish("cmd", b"zero", qos=0)
        broker.publish("cmd", b"one", qos=1)
        self.wait_kept("sleeper", 2)
        packets = device.wake()
        self.assertEqual(self.texts(device, packets), [("cmd", b"zero"), ("cmd", b"one")])
        self.assertEqual([sn.qos_of(p) for p in packets], [0, 1])

    def test_qos_2_of_the_broker_is_delivered_once_as_qos_1(self):  # R65
        self.start_gateway()
        device = self.device("sleeper").connect()
        device.subscribe("cmd", qos=1)
        device.sleep()
        broker = self.broker.client()
        broker.publish("cmd", b"twice acknowledged", qos=2)
        self.wait_kept("sleeper", 1)
        self.restart_gateway()
        packets = device.wake()
        self.assertEqual(self.texts(device, packets), [("cmd", b"twice acknowledged")])
        self.assertEqual([sn.qos_of(p) for p in packets], [1])

    def test_nothing_is_sent_to_a_sleeping_device(self):  # R91
        self.start_gateway()
        device = self.device("sleeper").connect()
        device.subscribe("cmd/#")
        device.sleep()
        broker = self.broker.client()
        for payload in (b"1", b"2", b"3"):
            broker.publish("cmd/new", payload)
        self.wait_kept("sleeper", 3)
        self.assertEqual(device.before_barrier(), [])
        self.restart_gateway()
        self.assertEqual(device.before_barrier(), [])
        self.assertEqual(self.gateway.sessions()["sleeper"]["state"], "asleep")
        self.assertEqual(len(self.texts(device, device.wake())), 3)
        self.assertEqual(device.before_barrier(), [])

    def test_wildcard_subscriber_gets_register_in_the_awake_period(self):  # R56, R97
        self.start_gateway()
        device = self.device("sleeper").connect()
        self.assertEqual(device.subscribe("cmd/#"), 0)  # R69: a filter has no id
        device.sleep()
        broker = self.broker.client()
        broker.publish("cmd/reset", b"1")
        broker.publish("cmd/reset", b"2")
        self.wait_kept("sleeper", 2)
        self.restart_gateway()
        packets = device.wake()
        self.assertEqual([p.kind for p in packets], [sn.REGISTER, sn.PUBLISH, sn.PUBLISH])
        self.assertEqual(self.texts(device, packets), [("cmd/reset", b"1"), ("cmd/reset", b"2")])
        # Known from now on, over sleep and restart: rule 3.
        broker.publish("cmd/reset", b"3")
        self.wait_kept("sleeper", 1)
        self.restart_gateway()
        packets = device.wake()
        self.assertEqual([p.kind for p in packets], [sn.PUBLISH])
        self.assertEqual(self.texts(device, packets), [("cmd/reset", b"3")])

    def test_pingreq_without_client_id_wakes_a_known_address(self):  # R95
        self.start_gateway()
        device = self.device("sleeper").connect()
        device.subscribe("cmd")
        device.sleep()
        self.broker.client().publish("cmd", b"1")
        self.wait_kept("sleeper", 1)
        self.restart_gateway()  # the address is known from the database
        self.assertEqual(self.texts(device, device.wake(client_id=False)), [("cmd", b"1")])

    def test_pingreq_with_client_id_from_a_new_port_moves_the_session(self):  # R95
        self.start_gateway()
        device = self.device("sleeper").connect()
        device.subscribe("cmd")
        device.sleep()
        self.broker.client().publish("cmd", b"1")
        self.wait_kept("sleeper", 1)
        device.link.move()
        self.assertEqual(self.texts(device, device.wake()), [("cmd", b"1")])
        self.broker.client().publish("cmd", b"2")
        self.wait_kept("sleeper", 1)
        self.assertEqual(self.texts(device, device.wake(client_id=False)), [("cmd", b"2")])

    def test_pingreq_of_an_unknown_client_is_answered_with_disconnect(self):  # R95
        self.start_gateway()
        self.device("nobody").ask(sn.pingreq("nobody"), sn.DISCONNECT)

    def test_a_second_pingreq_repeats_the_open_message_and_nothing_more(self):  # R96
        self.start_gateway(sessions={"retry": "1h"})
        device = self.device("sleeper").connect()
        device.subscribe("cmd")
        device.sleep()
        broker = self.broker.client()
        broker.publish("cmd", b"1")
        broker.publish("cmd", b"2")
        self.wait_kept("sleeper", 2)
        first = device.ask(sn.pingreq("sleeper"), sn.PUBLISH)
        again = device.ask(sn.pingreq("sleeper"), sn.PUBLISH)
        self.assertEqual((again.msg_id, again.data), (first.msg_id, b"1"))
        self.assertTrue(again.flags & sn.DUP)
        device.acknowledge(again)
        second = device.expect(sn.PUBLISH)
        self.assertEqual((second.data, second.flags & sn.DUP), (b"2", 0))
        device.acknowledge(second)
        device.expect(sn.PINGRESP)

    def test_killed_in_the_middle_of_an_awake_period_the_message_comes_again(self):  # rule 2
        self.start_gateway()
        device = self.device("sleeper").connect()
        device.subscribe("cmd")
        device.sleep()
        broker = self.broker.client()
        broker.publish("cmd", b"1")
        broker.publish("cmd", b"2")
        self.wait_kept("sleeper", 2)
        first = device.ask(sn.pingreq("sleeper"), sn.PUBLISH)
        self.restart_gateway()  # the PUBACK was lost on the way
        packets = device.wake()
        self.assertEqual(self.texts(device, packets), [("cmd", b"1"), ("cmd", b"2")])
        self.assertEqual(packets[0].msg_id, first.msg_id)  # rule 3

    def test_new_duration_while_asleep_is_answered(self):  # R81, R101
        self.start_gateway()
        device = self.device("sleeper").connect().sleep(600)
        device.sleep(1200)
        self.assertEqual(self.gateway.sessions()["sleeper"]["sleep_s"], 1200)
        self.assertEqual(self.gateway.sessions()["sleeper"]["state"], "asleep")

    def test_sleeping_longer_than_announced_is_lost_and_keeps_its_messages(self):  # R92, R103
        self.start_gateway(sessions={"tolerance": "1.1"})
        device = self.device("sleeper").connect()
        device.subscribe("cmd")
        device.sleep(1)
        self.gateway.wait_state("sleeper", "lost")
        self.broker.client().publish("cmd", b"kept")
        self.wait_kept("sleeper", 1)
        device.ask(sn.pingreq("sleeper"), sn.DISCONNECT)  # R85: told at its next message
        device.connect()
        self.assertEqual(self.texts(device, device.take()), [("cmd", b"kept")])


if __name__ == "__main__":
    main()
