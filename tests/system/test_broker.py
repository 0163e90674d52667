# SPDX-License-Identifier: Apache-2.0
"""The broker's side (design sections 4 to 6): outages, restarts with and without the session,
MQTT 3.1.1, retained messages and sharing one upstream subscription among devices."""

import struct

import mqtt
import mqttsn as sn
from harness import SystemTest, main, wait_until

TOPIC = "field/7"


class BrokerAbsent(SystemTest):
    BROKER = False

    def test_start_goes_on_and_status_tells(self):
        self.start_gateway(online=False)
        broker = wait_until(lambda: self.waiting(), "the broker is waited for")
        self.assertEqual(broker["url"], self.broker.url)
        self.assertIn("refused", broker["error"].lower())
        shown = self.command("--socket", self.gateway.socket, "status")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertRegex(shown.stdout, "(?i)waiting|connecting")

    def waiting(self):
        broker = self.gateway.status()["broker"]
        return broker if broker["state"] == "waiting" else None

    def test_everything_is_accepted_and_carried_out_in_order_later(self):
        self.start_gateway(online=False)
        device = self.device("early").connect()
        device.subscribe("orders/#")
        topic_id = device.register(TOPIC)
        sent = [(TOPIC, b"%d" % i) for i in range(20)]
        for _, payload in sent:
            self.assertEqual(device.publish(topic_id, payload), sn.ACCEPTED)
        device.ping()
        self.assertEqual(self.gateway.status()["spool"]["messages"], 20)
        watcher = self.start_broker_with_watcher(TOPIC)
        self.assertEqual(watcher.receive(20), sent)
        self.broker.wait_subscribed()
        watcher.publish("orders/1", b"go")
        self.assertEqual(self.texts(device, device.take()), [("orders/1", b"go")])
        wait_until(lambda: self.gateway.status()["spool"]["messages"] == 0, "the spool is empty")
        wait_until(lambda: self.gateway.rows("spool") == [], "the spool is empty on disk")

    def test_qos_0_is_refused_with_congestion(self):  # R53: not spooled, and not silently lost
        self.start_gateway(online=False)
        device = self.device("early").connect()
        topic_id = device.register(TOPIC)
        device.publish(topic_id, b"x", qos=0)
        answer = device.expect(sn.PUBACK)
        self.assertEqual((answer.topic_id, answer.msg_id, answer.code),
                         (topic_id, 0, sn.CONGESTION))
        self.assertEqual(self.gateway.status()["spool"]["dropped"], 1)

    def test_full_spool_is_answered_with_congestion_and_loses_nothing(self):  # design section 5
        self.start_gateway(online=False, sessions={"spool_bytes": "64k"})
        device = self.device("early").connect()
        topic_id = device.register(TOPIC)
        sent = []
        for i in range(100):
            payload = b"%03d" % i + bytes(997)
            code = device.publish(topic_id, payload)
            if code != sn.ACCEPTED:
                break
            sent.append((TOPIC, payload))
        self.assertEqual(code, sn.CONGESTION)
        self.assertEqual(len(sent), 65536 // (1000 + len(TOPIC) + 128))
        watcher = self.start_broker_with_watcher(TOPIC)
        self.assertEqual(watcher.receive(len(sent)), sent)
        self.gateway.wait_broker("connected")
        wait_until(lambda: self.gateway.status()["spool"]["messages"] == 0, "the spool is empty")
        self.assertEqual(device.publish(topic_id, b"room again"), sn.ACCEPTED)


class BrokerRestart(SystemTest):
    def test_with_its_session_the_queue_of_the_outage_arrives(self):
        self.start_gateway()
        device = self.device("reader").connect()
        device.subscribe(TOPIC)
        broker = self.broker.client()
        self.gateway.kill()
        broker.publish(TOPIC, b"kept by the broker")
        self.broker.wait_saved(b"kept by the broker")
        self.broker.kill()
        self.gateway.start(online=False)
        self.broker.start()
        self.assertEqual(self.texts(device, device.take()), [(TOPIC, b"kept by the broker")])

    def test_without_its_session_every_subscription_is_made_again(self):
        self.start_gateway()
        device = self.device("reader").connect()
        device.subscribe(TOPIC)
        device.subscribe("all/#")
        sleeper = self.device("sleeper").connect()
        sleeper.subscribe("all/#")
        sleeper.sleep()
        self.broker.kill()
        self.broker.forget_all()
        self.broker.start()
        self.broker.wait_subscribed(2)
        broker = self.broker.client()
        broker.publish(TOPIC, b"1")
        broker.publish("all/x", b"2")
        self.assertEqual(self.texts(device, device.take(2)), [(TOPIC, b"1"), ("all/x", b"2")])
        self.wait_kept("sleeper", 1)
        self.assertEqual(self.texts(sleeper, sleeper.wake()), [("all/x", b"2")])

    def test_without_its_session_what_was_on_its_way_is_published_again(self):
        self.start_gateway(sessions={"store_after": "0ms"})
        device = self.device("writer").connect()
        topic_id = device.register(TOPIC)
        sent = [(TOPIC, b"%d" % i) for i in range(5)]
        with self.broker.paused():  # it will never read what it gets now
            for _, payload in sent:
                self.assertEqual(device.publish(topic_id, payload), sn.ACCEPTED)
            self.broker.kill()
        self.broker.forget_all()
        watcher = self.start_broker_with_watcher(TOPIC)
        self.assertEqual(watcher.receive(5), sent)

    def test_uplink_of_an_outage_survives_gateway_kill_in_order(self):  # rule 2, design section 5
        self.start_gateway()
        device = self.device("writer").connect()
        topic_id = device.register(TOPIC)
        self.broker.kill()
        self.gateway.wait_broker("waiting")
        sent = [(TOPIC, b"%d" % i) for i in range(10)]
        for i, (_, payload) in enumerate(sent):
            self.assertEqual(device.publish(topic_id, payload), sn.ACCEPTED)
            if i == 4:
                self.restart_gateway(online=False)
        self.restart_gateway(online=False)
        watcher = self.start_broker_with_watcher(TOPIC)
        self.assertEqual(watcher.receive(10), sent)
        self.assertEqual(device.publish(topic_id, b"direct"), sn.ACCEPTED)
        self.assertEqual(watcher.receive(), [(TOPIC, b"direct")])

    def test_broker_that_hangs_costs_the_device_one_second_not_its_message(self):  # design 5

        self.start_gateway()
        device = self.device("writer").connect()
        topic_id = device.register(TOPIC)
        watcher = self.broker.client()
        watcher.subscribe(TOPIC)
        with self.broker.paused():
            self.assertEqual(device.publish(topic_id, b"in the spool"), sn.ACCEPTED)
            self.gateway.kill()
        self.gateway.start()
        self.assertEqual(watcher.receive(), [(TOPIC, b"in the spool")])


class Sharing(SystemTest):
    """One upstream connection for all devices (R108)."""

    def test_retained_message_reaches_a_new_subscriber_exactly_once(self):  # R108
        self.start_gateway()
        broker = self.broker.client()
        broker.publish(TOPIC, b"retained", retain=True)
        early = self.device("early").connect()
        early.subscribe(TOPIC)
        self.assertEqual(self.texts(early, early.take()), [(TOPIC, b"retained")])
        late = self.device("late").connect()
        late.subscribe(TOPIC)
        packets = late.take()
        self.assertEqual(self.texts(late, packets), [(TOPIC, b"retained")])
        self.assertTrue(packets[0].flags & sn.RETAIN)
        # Both get the live one; before it, the first got nothing a second time.
        broker.publish(TOPIC, b"live")
        for device in (early, late):
            packets = device.take()
            self.assertEqual(self.texts(device, packets), [(TOPIC, b"live")])
            self.assertFalse(packets[0].flags & sn.RETAIN)

    def test_retained_message_waits_for_a_subscriber_that_falls_asleep(self):
        self.start_gateway()
        self.broker.client().publish("state/1", b"retained", retain=True)
        device = self.device("sleeper").connect().sleep()
        device.subscribe("state/+")  # answered while asleep (3.13), the message is buffered
        self.wait_kept("sleeper", 1)
        self.restart_gateway()
        self.assertEqual(self.texts(device, device.wake()), [("state/1", b"retained")])

    def test_retain_of_a_device_reaches_the_broker(self):  # R54
        self.start_gateway()
        device = self.device("writer").connect()
        device.publish(device.register(TOPIC), b"kept", retain=True)
        watcher = self.broker.client()
        watcher.subscribe(TOPIC)
        self.assertEqual(watcher.receive(), [(TOPIC, b"kept")])

    def test_two_devices_on_one_filter_get_one_copy_each(self):  # R108
        self.start_gateway()
        devices = [self.device(f"d{i}").connect() for i in range(2)]
        for device in devices:
            device.subscribe(TOPIC)
        broker = self.broker.client()
        broker.publish(TOPIC, b"1")
        broker.publish(TOPIC, b"2")
        for device in devices:
            self.assertEqual(self.texts(device, device.take(2)), [(TOPIC, b"1"), (TOPIC, b"2")])
            self.assertEqual(device.before_barrier(), [])
        devices[0].unsubscribe(TOPIC)
        broker.publish(TOPIC, b"3")
        self.assertEqual(self.texts(devices[1], devices[1].take()), [(TOPIC, b"3")])
        self.assertEqual(devices[0].before_barrier(), [])

    def test_overlapping_filters_deliver_once(self):  # R108
        self.start_gateway()
        device = self.device("greedy").connect()
        for topic in ("a/b", "a/+", "a/#", "#"):
            device.subscribe(topic)
        broker = self.broker.client()
        broker.publish("a/b", b"1")
        broker.publish("a/b", b"2")
        self.assertEqual(self.texts(device, device.take(2)), [("a/b", b"1"), ("a/b", b"2")])
        self.assertEqual(device.before_barrier(), [])

    def test_qos_0_filter_of_one_does_not_downgrade_the_other(self):  # R108, design section 6
        self.start_gateway()
        careful = self.device("careful").connect()
        careful.subscribe(TOPIC, qos=1)
        careless = self.device("careless").connect()
        careless.subscribe(TOPIC, qos=0)
        self.broker.client().publish(TOPIC, b"1")
        self.assertEqual(sn.qos_of(careful.take()[0]), 1)
        self.assertEqual(sn.qos_of(careless.take()[0]), 0)

    def test_device_to_device_goes_through_the_broker_once(self):  # R108
        self.start_gateway()
        reader = self.device("reader").connect()
        reader.subscribe(TOPIC)
        writer = self.device("writer").connect()
        writer.publish(writer.register(TOPIC), b"hello")
        self.assertEqual(self.texts(reader, reader.take()), [(TOPIC, b"hello")])
        self.assertEqual(reader.before_barrier(), [])

    def test_fan_out_to_sleeping_devices_survives_a_kill_with_one_body(self):  # design section 4
        self.start_gateway()
        devices = [self.device(f"node-{i}").connect() for i in range(20)]
        for device in devices:
            device.subscribe("all")
            device.sleep()
        broker = self.broker.client()
        sent = [("all", b"%d" % i) for i in range(5)]
        for topic, payload in sent:
            broker.publish(topic, payload)
        for device in devices:
            self.wait_kept(device.client_id, 5)
        self.assertEqual(len(self.gateway.rows("message")), 5)
        self.assertEqual(len(self.gateway.rows("delivery")), 100)
        self.restart_gateway()
        for device in devices:
            self.assertEqual(self.texts(device, device.wake()), sent)
        wait_until(lambda: self.gateway.rows("message") == [], "no body is left on disk")
        self.assertEqual(self.gateway.rows("delivery"), [])

    def test_sleeping_devices_do_not_stall_the_others(self):  # R104, style guide: the trap of 20
        self.start_gateway()
        sleeper = self.device("sleeper").connect()
        sleeper.subscribe("bulk")
        sleeper.sleep()
        reader = self.device("reader").connect()
        reader.subscribe(TOPIC)
        broker = self.broker.client()
        for i in range(100):
            broker.publish("bulk", b"%d" % i)
        broker.publish(TOPIC, b"through")
        self.assertEqual(self.texts(reader, reader.take()), [(TOPIC, b"through")])
        self.wait_kept("sleeper", 100)
        self.assertEqual(len(sleeper.wake()), 100)

    def test_backlog_beyond_the_window_ends_no_connection(self):
        """Mosquitto 2.0 sends more than receive_maximum at a time as soon as messages wait for it."""
        self.start_gateway(broker={"receive_maximum": 10})
        device = self.device("sleeper").connect()
        device.subscribe("cmd")
        device.sleep()
        broker = self.broker.client()
        sent = [("cmd", b"%d" % i) for i in range(300)]
        with self.gateway.paused():
            for topic, payload in sent:
                broker.publish(topic, payload)
        self.wait_kept("sleeper", len(sent))
        self.assertEqual(self.gateway.status()["broker"]["connects"], 1)
        self.assertEqual(self.texts(device, device.wake()), sent)

    def test_shared_subscription_is_refused(self):  # design section 6
        self.start_gateway()
        answer = self.device("d").connect().ask(sn.subscribe(1, "$share/g/a"), sn.SUBACK)
        self.assertEqual((answer.code, answer.topic_id), (sn.NOT_SUPPORTED, 0))

    def test_topic_prefix_stands_before_every_name_at_the_broker_only(self):  # design section 9
        self.start_gateway(broker={"url": self.broker.url, "topic_prefix": "site1/"})
        device = self.device("d").connect()
        device.subscribe("cmd")
        broker = self.broker.client()
        broker.subscribe("site1/#")
        device.publish(device.register("up"), b"1")
        self.assertEqual(broker.receive(), [("site1/up", b"1")])
        broker.publish("site1/cmd", b"2")
        self.assertEqual(self.texts(device, device.take()), [("cmd", b"2")])


class OldVersion(SystemTest):
    def test_mosquitto_with_3_1_1_serves_both_directions_over_a_restart(self):
        self.start_gateway(broker={"url": self.broker.url, "version": "3.1.1"})
        self.assertEqual(self.gateway.status()["broker"]["version"], "3.1.1")
        broker = self.broker.client()
        broker.subscribe("up")
        device = self.device("d").connect()
        device.subscribe("cmd")
        self.assertEqual(device.publish(device.register("up"), b"1"), sn.ACCEPTED)
        self.assertEqual(broker.receive(), [("up", b"1")])
        device.sleep()
        broker.publish("cmd", b"2")
        self.wait_kept("d", 1)
        self.restart_gateway()
        self.assertEqual(self.texts(device, device.wake()), [("cmd", b"2")])

    def test_retained_message_over_3_1_1_reaches_each_new_subscriber_once(self):
        self.start_gateway(broker={"url": self.broker.url, "version": "3.1.1"})
        broker = self.broker.client()
        broker.publish(TOPIC, b"retained", retain=True)
        devices = [self.device(f"d{i}").connect() for i in range(2)]
        for device in devices:
            device.subscribe(TOPIC)
            self.assertEqual(self.texts(device, device.take()), [(TOPIC, b"retained")])
        broker.publish(TOPIC, b"live")
        for device in devices:
            self.assertEqual(self.texts(device, device.take()), [(TOPIC, b"live")])


class OldBroker(SystemTest):
    BROKER = False

    def test_auto_falls_back_to_3_1_1_when_version_5_is_refused(self):
        peer = mqtt.OldBroker(self.broker.port)
        self.addCleanup(peer.close)
        self.start_gateway(online=False)
        self.assertEqual(peer.accept(), 5)
        self.assertEqual(peer.accept(), 4)  # wipes what an older gateway may have left
        self.assertEqual(peer.accept(), 4)
        self.gateway.wait_broker("connected")
        self.assertEqual(self.gateway.status()["broker"]["version"], "3.1.1")
        device = self.device("d").connect()
        device.send(sn.subscribe(1, "cmd", qos=1))
        flags, body = peer.read(mqtt.SUBSCRIBE)
        self.assertEqual((flags, body[2:]), (2, mqtt.text("cmd") + b"\x02"))
        peer.send(mqtt.SUBACK, body[:2] + b"\x02")
        device.names[device.expect(sn.SUBACK).topic_id] = "cmd"
        peer.send(mqtt.PUBLISH, mqtt.text("cmd") + struct.pack(">H", 1) + b"x", flags=2)
        self.assertEqual(self.texts(device, device.take()), [("cmd", b"x")])
        self.assertEqual(peer.read(mqtt.PUBACK)[1], b"\x00\x01")

    def test_puback_to_the_broker_waits_for_the_device_or_the_disk(self):  # R104, rule 1
        peer = mqtt.OldBroker(self.broker.port)
        self.addCleanup(peer.close)
        self.start_gateway(online=False, sessions={"store_after": "1h"})
        for _ in range(3):
            peer.accept()
        device = self.device("d").connect()
        device.send(sn.subscribe(1, "cmd", qos=1))
        peer.send(mqtt.SUBACK, peer.read(mqtt.SUBSCRIBE)[1][:2] + b"\x02")
        device.expect(sn.SUBACK)
        peer.send(mqtt.PUBLISH, mqtt.text("cmd") + struct.pack(">H", 1) + b"x", flags=2)
        packet = device.expect(sn.PUBLISH)
        # The next thing the broker hears is what the device says before it acknowledges.
        topic_id = device.register("up")
        device.send(sn.publish(topic_id, 9, b"y", qos=0))
        flags, body = mqtt.read_packet(peer.stream)[1:]
        self.assertEqual((flags, body), (0, mqtt.text("up") + b"y"))
        device.acknowledge(packet)
        self.assertEqual(mqtt.read_packet(peer.stream)[0::2], (mqtt.PUBACK, b"\x00\x01"))


if __name__ == "__main__":
    main()
