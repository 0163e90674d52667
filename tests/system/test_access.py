# SPDX-License-Identifier: Apache-2.0
"""What the configuration allows a device: to connect, from where, which topics; and how operators
see what was refused."""

import mqttsn as sn
from device import Device
from harness import SystemTest, main


class Access(SystemTest):
    def setUp(self):
        super().setUp()
        self.gateway.config["client pump-*"] = {
            "publish": "pumps/%c/#", "subscribe": "pumps/%c/cmd/#", "topics.20": "pumps/%c/speed",
            "topics.21": "yard/lamp"}

    def denied(self):
        return self.gateway.status()["input"]["denied"]

    def connect_code(self, client_id):
        device = self.device(client_id)
        return device.ask(sn.connect(client_id), sn.CONNACK).code

    def subscribe_code(self, device, topic):
        return device.ask(sn.subscribe(device.next_msg_id(), topic, 1), sn.SUBACK).code

    def test_only_known_clients_connect(self):  # M13
        self.start_gateway(sessions={"unknown_clients": "reject"})
        self.assertEqual(self.connect_code("stranger"), sn.NOT_SUPPORTED)
        self.assertEqual(self.connect_code("pump-/1"), sn.NOT_SUPPORTED)
        self.assertEqual(self.connect_code("pump-1"), sn.ACCEPTED)
        self.assertEqual(self.denied(), 2)
        self.assertIn("client stranger: the configuration does not allow CONNECT",
                      self.gateway.text())
        shown = self.command("--socket", self.gateway.socket, "show", "pump-1")
        self.assertIn("Section   [client pump-*]", shown.stdout)

    def test_topics_that_are_not_in_the_lists_are_refused(self):  # R109
        self.start_gateway()
        watcher = self.broker.client("watcher")
        watcher.subscribe("#")
        pump = self.device("pump-1").connect()
        self.assertEqual(pump.publish(20, b"fast", kind=sn.PREDEFINED), sn.ACCEPTED)
        self.assertEqual(pump.publish(21, b"on", kind=sn.PREDEFINED), sn.NOT_SUPPORTED)
        register = pump.ask(sn.register(pump.next_msg_id(), "pumps/pump-2/speed"), sn.REGACK)
        self.assertEqual(register.code, sn.NOT_SUPPORTED)
        self.assertEqual(self.subscribe_code(pump, "pumps/#"), sn.NOT_SUPPORTED)
        self.assertEqual(self.subscribe_code(pump, "pumps/pump-1/cmd/+"), sn.ACCEPTED)
        watcher.publish("pumps/pump-1/cmd/stop", b"now")
        self.assertEqual(self.texts(pump, pump.take()), [("pumps/pump-1/cmd/stop", b"now")])
        self.assertEqual(self.denied(), 3)
        self.assertEqual(watcher.receive(2), [("pumps/pump-1/speed", b"fast"),
                                              ("pumps/pump-1/cmd/stop", b"now")])

    def test_client_is_bound_to_its_link_and_address(self):  # R109
        barn = self.pty("barn")
        self.gateway.config["client node-*"] = {"links": "barn"}
        self.gateway.config["client fixed"] = {"address": "udp:lan:127.0.0.1:1"}
        self.start_gateway()
        self.wait_link("barn")
        self.assertEqual(self.connect_code("node-1"), sn.NOT_SUPPORTED)
        self.assertEqual(self.connect_code("fixed"), sn.NOT_SUPPORTED)
        Device("node-1", barn).connect()

    def test_narrower_lists_count_after_a_restart(self):
        self.start_gateway()
        pump = self.device("pump-1").connect()
        pump.subscribe("pumps/pump-1/cmd/#")
        pump.subscribe("pumps/pump-1/cmd/a")
        pump.sleep()
        self.gateway.config["client pump-*"]["subscribe"] = "pumps/%c/cmd/a"
        self.restart_gateway()
        self.assertEqual(self.gateway.sessions()["pump-1"]["subscriptions"], ["pumps/pump-1/cmd/a"])
        self.assertIn("does not allow the subscription any more on pumps/pump-1/cmd/#",
                      self.gateway.text())
        pump.send(sn.pingreq("pump-1"))
        pump.expect(sn.DISCONNECT)  # it was told otherwise, and begins again
        pump.connect()
        self.assertEqual(self.subscribe_code(pump, "pumps/pump-1/cmd/#"), sn.NOT_SUPPORTED)


class Names(SystemTest):
    """The same topic has one name for a device and another one at the broker."""

    def setUp(self):
        super().setUp()
        self.gateway.config["broker"]["topic_prefix"] = "farm/"
        self.gateway.config["map"] = {"rule": "sensors/+/t -> site1/%1/temperature"}
        self.gateway.config["client pump-*"] = {"topic_prefix": "p/%c/", "publish": "sensors/#"}

    def test_messages_go_up_and_down_under_their_names(self):
        self.start_gateway()
        watcher = self.broker.client("watcher")
        watcher.subscribe("#")
        pump, meter = self.device("pump-1").connect(), self.device("meter").connect()
        self.assertEqual(pump.publish(pump.register("sensors/7/t"), b"19"), sn.ACCEPTED)
        for device in (pump, meter):
            device.subscribe("sensors/+/t")
        watcher.publish("farm/site1/8/temperature", b"20")
        self.assertEqual(self.texts(meter, meter.take()), [("sensors/8/t", b"20")])
        watcher.publish("farm/sensors/8/t", b"nobody's")
        watcher.publish("farm/p/pump-1/site1/8/temperature", b"21")
        self.assertEqual(self.texts(pump, pump.take()), [("sensors/8/t", b"21")])
        meter.ping()  # nothing came before the answer
        self.assertEqual(watcher.receive(4)[0], ("farm/p/pump-1/site1/7/temperature", b"19"))

    def test_wildcards_that_a_rule_touches_in_part_are_refused(self):
        self.start_gateway()
        meter = self.device("meter").connect()
        for topic, code in (("#", sn.NOT_SUPPORTED), ("sensors/#", sn.NOT_SUPPORTED),
                            ("site1/5/temperature", sn.NOT_SUPPORTED), ("sensors/5/t", sn.ACCEPTED),
                            ("other/#", sn.ACCEPTED)):
            answer = meter.ask(sn.subscribe(meter.next_msg_id(), topic, 1), sn.SUBACK)
            self.assertEqual((topic, answer.code), (topic, code))

    def test_will_is_published_under_its_name_at_the_broker(self):
        self.start_gateway(sessions={"tolerance": "1.1"})
        watcher = self.broker.client("watcher")
        watcher.subscribe("#")
        self.device("pump-1").connect_with_will("sensors/1/t", b"gone", keepalive=1)
        self.assertEqual(watcher.receive(), [("farm/p/pump-1/site1/1/temperature", b"gone")])

    def test_kill_changes_neither_ids_nor_what_waits(self):
        self.start_gateway()
        pump = self.device("pump-1").connect()
        pump.subscribe("sensors/+/t")
        known = pump.register("sensors/7/t")
        pump.sleep()
        broker = self.broker.client()
        broker.publish("farm/p/pump-1/site1/7/temperature", b"one")
        self.wait_kept("pump-1", 1)
        self.restart_gateway()
        broker.publish("farm/p/pump-1/site1/7/temperature", b"two")
        self.gateway.wait_queued("pump-1", 2)
        self.assertEqual(self.gateway.sessions()["pump-1"]["subscriptions"], ["sensors/+/t"])
        packets = pump.wake()
        self.assertEqual([p.kind for p in packets], [sn.PUBLISH, sn.PUBLISH])
        self.assertEqual({p.topic_id for p in packets}, {known})

    def test_other_prefix_takes_the_subscriptions_along(self):
        self.start_gateway()
        pump = self.device("pump-1").connect()
        pump.subscribe("sensors/+/t")
        pump.sleep()
        self.gateway.config["client pump-*"]["topic_prefix"] = "q/"
        self.restart_gateway()
        self.broker.wait_subscribed(2)
        broker = self.broker.client()
        broker.publish("farm/p/pump-1/site1/7/temperature", b"old")
        broker.publish("farm/q/site1/7/temperature", b"new")
        self.gateway.wait_queued("pump-1", 1)
        self.assertEqual(self.texts(pump, pump.wake()), [("sensors/7/t", b"new")])


class Settings(SystemTest):
    def test_each_client_has_the_limits_of_its_section(self):
        self.gateway.config["client small"] = {"queue_messages": "2"}
        self.start_gateway()
        devices = [self.device(name).connect() for name in ("small", "large")]
        for device in devices:
            device.subscribe("t")
            device.sleep()
        broker = self.broker.client()
        for number in range(5):
            broker.publish("t", b"%d" % number)
        self.gateway.wait_queued("large", 5)
        self.gateway.wait_queued("small", 2)
        self.assertEqual(self.texts(devices[0], devices[0].wake()), [("t", b"3"), ("t", b"4")])


if __name__ == "__main__":
    main()
