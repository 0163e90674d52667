# SPDX-License-Identifier: Apache-2.0
"""What a persistent and a clean session keep, and when: one test for each row of
docs/sessions.md. A clean session leaves no trace in the gateway or at the broker (R32)."""

import os
import random

import mqttsn as sn
from device import Silence
from harness import SystemTest, main, wait_until

ID, TOPIC, PAYLOAD = "ident-4711", "place/of/4711", b"secret-4711"


class PersistentSession(SystemTest):
    """CleanSession=0: subscriptions, topic ids and messages stay until they are taken back."""

    def subscriber(self, keepalive=600, topic=TOPIC):
        device = self.device(ID).connect(keepalive=keepalive)
        device.subscribe(topic)
        return device

    def test_after_disconnect_it_gets_what_came_meanwhile_without_subscribe(self):  # R33
        self.start_gateway()
        device = self.subscriber()
        old_id = next(iter(device.names))
        device.disconnect()
        self.assertEqual(self.gateway.sessions()[ID]["state"], "disconnected")
        self.broker.client().publish(TOPIC, PAYLOAD)
        self.wait_kept(ID, 1)
        device.connect()
        register = device.expect(sn.REGISTER)  # R56: its ids count as forgotten (2.6)
        self.assertEqual((register.topic_id, register.data.decode()), (old_id, TOPIC))
        device.acknowledge(register)
        self.assertEqual(self.texts(device, device.take()), [(TOPIC, PAYLOAD)])

    def test_after_disconnect_and_gateway_kill_it_gets_what_came_meanwhile(self):
        self.start_gateway()
        device = self.subscriber()
        device.disconnect()
        self.restart_gateway()
        self.broker.client().publish(TOPIC, PAYLOAD)
        self.wait_kept(ID, 1)
        self.restart_gateway()
        device.connect()
        self.assertEqual(self.texts(device, device.take()), [(TOPIC, PAYLOAD)])

    def test_link_lost_in_the_middle_of_a_delivery_the_message_comes_again_with_dup(self):  # R61
        self.start_gateway()
        device = self.subscriber()
        broker = self.broker.client()
        broker.publish(TOPIC, PAYLOAD)
        broker.publish(TOPIC, b"next")
        first = device.expect(sn.PUBLISH)  # and then its battery falls out
        device.link.move()
        device.connect()
        device.acknowledge(device.expect(sn.REGISTER))
        again = device.expect(sn.PUBLISH)
        self.assertEqual((again.data, again.msg_id), (PAYLOAD, first.msg_id))
        self.assertTrue(again.flags & sn.DUP)
        device.acknowledge(again)
        second = device.expect(sn.PUBLISH)
        self.assertEqual((second.data, second.flags & sn.DUP), (b"next", 0))

    def test_unanswered_message_is_repeated_with_dup(self):  # R60
        self.start_gateway()
        device = self.subscriber()
        self.broker.client().publish(TOPIC, PAYLOAD)
        first = device.expect(sn.PUBLISH)
        again = device.expect(sn.PUBLISH)
        self.assertEqual((again.msg_id, again.topic_id), (first.msg_id, first.topic_id))
        self.assertEqual((first.flags & sn.DUP, again.flags & sn.DUP), (0, sn.DUP))
        device.acknowledge(again)
        self.gateway.wait_queued(ID, 0)

    def test_keepalive_loss_keeps_session_and_messages(self):  # R74, R103
        self.start_gateway(sessions={"tolerance": "1.1"})
        device = self.subscriber(keepalive=1)
        self.gateway.wait_state(ID, "lost")
        self.broker.client().publish(TOPIC, PAYLOAD)
        self.wait_kept(ID, 1)
        device.connect()
        self.assertEqual(self.texts(device, device.take()), [(TOPIC, PAYLOAD)])

    def test_every_message_keeps_it_alive(self):  # R76
        self.start_gateway(sessions={"tolerance": "1.1"})
        talker = self.device("talker").connect(keepalive=1)
        self.device("silent").connect(keepalive=1)
        def silent_is_lost():
            talker.ping()
            return self.gateway.sessions()["silent"]["state"] == "lost"
        wait_until(silent_is_lost, "the silent device is lost")
        self.assertEqual(self.gateway.sessions()["talker"]["state"], "active")

    def test_gateway_kill_is_invisible_to_an_active_device(self):  # design section 1 rule 3
        self.start_gateway()
        device = self.subscriber()
        topic_id = device.register("up")
        watcher = self.broker.client()
        watcher.subscribe("up")
        self.restart_gateway()
        self.assertEqual(device.publish(topic_id, b"hello"), sn.ACCEPTED)
        self.assertEqual(watcher.receive(), [("up", b"hello")])
        watcher.publish(TOPIC, PAYLOAD)
        packet = device.expect(sn.PUBLISH)  # with the old id, no REGISTER and no CONNECT
        self.assertEqual(self.texts(device, [packet]), [(TOPIC, PAYLOAD)])
        device.acknowledge(packet)
        device.ping()

    def test_gateway_kill_in_the_middle_of_a_delivery_keeps_the_message(self):  # rule 2
        self.start_gateway()
        device = self.subscriber()
        self.broker.client().publish(TOPIC, PAYLOAD)
        device.expect(sn.PUBLISH)
        self.restart_gateway()
        again = device.expect(sn.PUBLISH)
        self.assertEqual(again.data, PAYLOAD)
        device.acknowledge(again)
        self.gateway.wait_queued(ID, 0)

    def test_broker_restart_is_invisible_to_the_device(self):  # design section 6
        self.start_gateway()
        device = self.subscriber()
        self.broker.kill()
        self.gateway.wait_broker("waiting")
        device.ping()
        self.broker.forget_all()
        self.broker.start()
        self.broker.wait_subscribed()
        self.broker.client().publish(TOPIC, PAYLOAD)
        self.assertEqual(self.texts(device, device.take()), [(TOPIC, PAYLOAD)])

    def test_connect_while_active_goes_on_with_the_session(self):  # R25: the device rebooted
        self.start_gateway()
        device = self.subscriber()
        device.connect()
        self.broker.client().publish(TOPIC, PAYLOAD)
        device.acknowledge(device.expect(sn.REGISTER))
        self.assertEqual(self.texts(device, device.take()), [(TOPIC, PAYLOAD)])

    def test_connect_from_another_address_takes_the_session_along(self):  # R26
        self.start_gateway()
        old = self.subscriber()
        new = self.device(ID).connect()
        self.broker.client().publish(TOPIC, PAYLOAD)
        self.assertEqual(self.texts(new, new.take()), [(TOPIC, PAYLOAD)])
        old.ask(sn.pingreq(), sn.DISCONNECT)  # the first thing it hears: nothing was sent to it

    def test_unsubscribe_ends_the_subscription_here_and_at_the_broker(self):
        self.start_gateway()
        device = self.subscriber()
        device.unsubscribe(TOPIC)
        self.wait_no_subscription()
        self.broker.client().publish(TOPIC, PAYLOAD)
        self.assertEqual(device.before_barrier(), [])
        self.restart_gateway()
        self.assertEqual(self.gateway.sessions()[ID]["subscriptions"], [])

    def wait_no_subscription(self):
        wait_until(lambda: self.broker.lines("Received UNSUBSCRIBE from dormouse-test"),
                   "the gateway unsubscribed at the broker")

    def test_full_queue_drops_the_oldest_and_counts_it(self):  # R102, design section 4
        self.start_gateway(sessions={"queue_messages": 2})
        device = self.subscriber().sleep()
        broker = self.broker.client()
        for payload in (b"1", b"2", b"3"):
            broker.publish(TOPIC, payload)
        wait_until(lambda: self.gateway.status()["queue"]["dropped"]["overflow"] == 1, "one drop")
        self.wait_kept(ID, 2)
        self.restart_gateway()
        self.assertEqual(self.texts(device, device.wake()), [(TOPIC, b"2"), (TOPIC, b"3")])

    def test_overflow_latest_keeps_one_message_of_each_topic(self):  # design section 4
        self.start_gateway(sessions={"overflow": "latest"})
        device = self.subscriber(topic="state/#").sleep()
        broker = self.broker.client()
        for topic, payload in (("state/a", b"1"), ("state/b", b"1"), ("state/a", b"2")):
            broker.publish(topic, payload)
        self.wait_kept(ID, 2)
        self.restart_gateway()
        self.assertEqual(sorted(self.texts(device, device.wake())),
                         [("state/a", b"2"), ("state/b", b"1")])


class CleanSession(SystemTest):
    """CleanSession=1: everything goes with the connection; sleep does not end it (R32)."""

    def full_session(self, keepalive=600, clean=True):
        """A session with a row in every table that a session can have rows in."""
        device = self.device(ID).connect(clean=clean, keepalive=keepalive)
        device.subscribe(TOPIC)
        device.subscribe(f"{TOPIC}/+")
        device.register(f"{TOPIC}/registered")
        return device

    def fill_queue(self):
        broker = self.broker.client()
        broker.publish(TOPIC, PAYLOAD)
        broker.publish(f"{TOPIC}/below", PAYLOAD)
        self.wait_kept(ID, 2)

    def assert_no_trace(self):
        """Neither `dormouse sessions`, nor any table, nor the broker knows anything of it."""
        listed = self.command("--socket", self.gateway.socket, "--json", "sessions")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertNotIn(ID, listed.stdout)
        self.wait_no_traces(ID, TOPIC, PAYLOAD)
        for name in ("topic", "subscription", "message", "delivery", "session", "filter"):
            # The filter without a name is no device's: it tells how far identifiers were used.
            rows = [row for row in self.gateway.rows(name) if (name, row[1]) != ("filter", "")]
            self.assertEqual(rows, [], name)
        self.assert_broker_sends_nothing()
        status = self.gateway.status()
        self.assertEqual((status["queue"]["messages"], status["queue"]["octets"]), (0, 0))

    def assert_broker_sends_nothing(self):
        wait_until(lambda: len(self.broker.lines("Received UNSUBSCRIBE from dormouse-test")) >= 2,
                   "the gateway unsubscribed from both filters")
        earlier = len(self.broker.lines("Sending PUBLISH to dormouse-test"))
        broker = self.broker.client()
        # Mosquitto hands a message to its subscribers before it answers the publisher.
        broker.publish(TOPIC, b"nobody wants this")
        broker.publish(f"{TOPIC}/below", b"nor this")
        self.assertEqual(len(self.broker.lines("Sending PUBLISH to dormouse-test")), earlier)

    def test_sleep_keeps_session_and_queue_even_over_gateway_kill(self):
        self.start_gateway()
        device = self.full_session().sleep()
        self.fill_queue()
        self.restart_gateway()
        self.assertEqual(self.texts(device, device.wake()),
                         [(TOPIC, PAYLOAD), (f"{TOPIC}/below", PAYLOAD)])
        self.assertTrue(self.gateway.sessions()[ID]["clean"])

    def test_disconnect_wipes_every_trace(self):  # R32
        self.start_gateway()
        device = self.full_session().sleep()
        self.fill_queue()
        self.assertNotEqual(self.gateway.traces(ID), [])  # the search does find what is there
        self.assertNotEqual(self.gateway.traces(TOPIC), [])
        self.assertNotEqual(self.gateway.traces(PAYLOAD), [])
        device.disconnect()
        self.assert_no_trace()

    def test_disconnect_wipes_for_good_even_if_killed_at_once(self):
        self.start_gateway()
        device = self.full_session().sleep()
        self.fill_queue()
        device.disconnect()  # an acknowledgement is a promise
        self.restart_gateway()
        self.assertNotIn(ID, self.gateway.sessions())
        self.assert_no_trace()

    def test_keepalive_loss_wipes_every_trace(self):  # R103
        self.start_gateway(sessions={"tolerance": "1.1"})
        self.full_session(keepalive=1)
        wait_until(lambda: ID not in self.gateway.sessions(), "the clean session is gone")
        self.assert_no_trace()

    def test_sleeping_too_long_wipes_every_trace(self):  # R92, R103
        self.start_gateway(sessions={"tolerance": "1.1"})
        self.full_session().sleep(1)
        broker = self.broker.client()
        broker.publish(TOPIC, PAYLOAD)
        wait_until(lambda: ID not in self.gateway.sessions(), "the clean session is gone")
        self.assert_no_trace()

    def test_connect_with_clean_session_wipes_a_persistent_one(self):  # R30
        self.start_gateway()
        device = self.full_session(clean=False)
        device.disconnect()
        self.fill_queue()
        device.connect(clean=True)
        session = self.gateway.sessions()[ID]
        self.assertEqual((session["subscriptions"], session["topics"], session["queued"]),
                         ([], 0, 0))
        self.wait_no_traces(TOPIC, PAYLOAD)
        self.assert_broker_sends_nothing()
        self.assertEqual(device.before_barrier(), [])
        device.disconnect()
        self.wait_no_traces(ID)

    def test_clean_session_ended_during_a_broker_outage_is_unsubscribed_later(self):
        self.start_gateway()
        device = self.full_session()
        self.restart_gateway()  # Mosquitto 2.0.11 saves no session made with Clean Start 1
        self.broker.wait_saved(TOPIC.encode() + b"/+")  # the broker will remember
        self.broker.kill()
        self.gateway.wait_broker("waiting")
        device.disconnect()
        self.restart_gateway(online=False)
        self.broker.start()
        self.gateway.wait_broker("connected")
        self.assert_no_trace()

    def test_what_it_published_with_puback_reaches_the_broker(self):  # rule 2
        self.start_gateway()
        watcher = self.broker.client()
        watcher.subscribe(TOPIC)
        device = self.device(ID).connect(clean=True)
        self.assertEqual(device.publish(device.register(TOPIC), PAYLOAD), sn.ACCEPTED)
        device.disconnect()
        self.gateway.kill()
        self.assertEqual(watcher.receive(), [(TOPIC, PAYLOAD)])

    def test_what_it_published_in_an_outage_outlives_the_session_and_a_kill(self):
        self.broker.kill()
        self.start_gateway(online=False)
        device = self.device(ID).connect(clean=True)
        self.assertEqual(device.publish(device.register(TOPIC), PAYLOAD), sn.ACCEPTED)
        device.disconnect()
        self.assertEqual(self.gateway.rows("session"), [])
        self.gateway.kill()
        self.broker.start()
        watcher = self.broker.client()
        watcher.subscribe(TOPIC)
        self.gateway.start()
        self.assertEqual(watcher.receive(), [(TOPIC, PAYLOAD)])
        self.wait_no_traces(ID, TOPIC, PAYLOAD)

    def test_others_on_the_same_filter_keep_their_subscription(self):
        self.start_gateway()
        other = self.device("other").connect()
        other.subscribe(TOPIC)
        device = self.full_session()
        device.disconnect()
        self.broker.client().publish(TOPIC, PAYLOAD)
        self.assertEqual(self.texts(other, other.take()), [(TOPIC, PAYLOAD)])

    def test_forget_wipes_a_persistent_session(self):  # design section 10
        self.start_gateway()
        device = self.full_session(clean=False).sleep()
        self.fill_queue()
        done = self.command("--socket", self.gateway.socket, "forget", ID)
        self.assertEqual((done.returncode, done.stdout), (0, "forgotten\n"))
        self.assert_no_trace()
        device.ask(sn.pingreq(ID), sn.DISCONNECT)
        again = self.command("--socket", self.gateway.socket, "forget", ID)
        self.assertEqual(again.returncode, 3)
        self.assertIn("no session with this client id", again.stderr)


class QosZero(SystemTest):
    """Messages of QoS 0 for a device that is away (R91; design section 4)."""

    def subscriber(self, **sessions):
        self.start_gateway(sessions=sessions)
        device = self.device(ID).connect()
        device.subscribe(TOPIC)
        return device

    def send(self, count=1):
        for i in range(count):
            self.broker.client().publish(TOPIC, b"zero %d" % i, qos=0)

    def dropped(self):
        return self.gateway.status()["queue"]["dropped"]["qos0_offline"]

    def test_offline_it_is_dropped_and_counted(self):
        device = self.subscriber()
        device.disconnect()
        self.send()
        wait_until(lambda: self.dropped() == 1, "the drop is counted")
        device.connect()
        self.assertEqual(device.before_barrier(), [])

    def test_asleep_it_is_kept(self):
        device = self.subscriber().sleep()
        self.send(2)
        self.gateway.wait_queued(ID, 2)
        self.assertEqual(self.texts(device, device.wake()),
                         [(TOPIC, b"zero 0"), (TOPIC, b"zero 1")])

    def test_queue_qos0_always_keeps_it_offline(self):
        device = self.subscriber(queue_qos0="always")
        device.disconnect()
        self.send()
        self.gateway.wait_queued(ID, 1)
        device.connect()
        self.assertEqual(self.texts(device, device.take()), [(TOPIC, b"zero 0")])

    def test_queue_qos0_never_drops_it_asleep(self):
        device = self.subscriber(queue_qos0="never").sleep()
        self.send()
        wait_until(lambda: self.dropped() == 1, "the drop is counted")
        self.assertEqual(device.wake(), [])

    def test_asleep_it_is_gone_after_a_kill_and_qos_1_is_not(self):
        device = self.subscriber().sleep()
        self.send(2)
        self.broker.client().publish(TOPIC, b"one")
        self.wait_kept(ID, 3)
        self.restart_gateway()
        self.assertEqual(self.texts(device, device.wake()), [(TOPIC, b"one")])

    def test_asleep_it_is_kept_over_an_orderly_restart(self):
        device = self.subscriber().sleep()
        self.send(2)
        self.broker.client().publish(TOPIC, b"one")
        self.wait_kept(ID, 3)
        self.assertEqual(self.gateway.stop(), 0)
        self.gateway.start()
        packets = device.wake()
        self.assertEqual(self.texts(device, packets),
                         [(TOPIC, b"zero 0"), (TOPIC, b"zero 1"), (TOPIC, b"one")])
        self.assertEqual([sn.qos_of(p) for p in packets], [0, 0, 1])


class KilledAtAnyMoment(SystemTest):
    """Rule 2 of design section 1 with SIGKILL at random moments. DORMOUSE_SEED repeats a run."""

    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("DORMOUSE_SEED", random.randrange(1 << 32)))
        print(f"DORMOUSE_SEED={seed}", flush=True)
        self.random = random.Random(seed)

    def publish_with_kills(self, qos, count=60):
        sent = [b"%d" % i for i in range(count)]
        kills = set(self.random.sample(range(count), 4))
        broker = self.broker.client()
        for i, payload in enumerate(sent):
            broker.publish(TOPIC, payload, qos)
            if i in kills:
                self.restart_gateway(online=self.random.random() < 0.5)
        self.gateway.wait_broker("connected")
        return sent

    def sleeper(self):
        self.start_gateway()
        device = self.device(ID).connect()
        device.subscribe(TOPIC)
        return device.sleep()

    def test_qos_1_for_a_sleeper_is_never_lost_and_stays_in_order(self):
        device = self.sleeper()
        sent = self.publish_with_kills(qos=1)
        wait_until(lambda: not self.broker.unacknowledged(), "the broker has all acknowledgements")
        got = [payload for _, payload in self.texts(device, device.wake())]
        self.assertEqual(list(dict.fromkeys(got)), sent)

    def test_qos_2_for_a_sleeper_arrives_exactly_once_in_order(self):
        device = self.sleeper()
        sent = self.publish_with_kills(qos=2)
        wait_until(lambda: not self.broker.unacknowledged(), "the broker has all acknowledgements")
        self.assertEqual([payload for _, payload in self.texts(device, device.wake())], sent)

    def test_qos_1_for_an_active_device_is_never_lost(self):
        self.start_gateway()
        device = self.device(ID).connect()
        device.subscribe(TOPIC)
        sent = self.publish_with_kills(qos=1, count=30)
        got = []
        while not got or got[-1] != sent[-1]:
            got.append(device.take()[0].data)
        # A repetition may follow what it repeats; what is new comes in order.
        self.assertEqual(list(dict.fromkeys(got)), sent)

    def test_what_a_device_got_puback_for_reaches_the_broker(self):
        self.start_gateway()
        watcher = self.broker.client()
        watcher.subscribe(TOPIC)
        device = self.device(ID).connect()
        topic_id = device.register(TOPIC)
        kills = set(self.random.sample(range(40), 4))
        sent = [b"%d" % i for i in range(40)]
        for i, payload in enumerate(sent):
            raw = sn.publish(topic_id, i + 1, payload, qos=1)
            device.send(raw)
            if i in kills:
                self.restart_gateway(online=False)
            self.await_puback(device, i + 1, sn.publish(topic_id, i + 1, payload, 1, dup=True))
        got = []
        while len(set(got)) < len(sent):
            got.append(watcher.receive()[0][1])
        self.assertEqual(list(dict.fromkeys(got)), sent)

    def await_puback(self, device, msg_id, repetition):
        """Repeats as a device does until the answer comes (R87)."""
        while True:
            try:
                answer = device.expect(sn.PUBACK, seconds=1)
            except Silence:
                device.send(repetition)
                continue
            if answer.msg_id == msg_id:
                self.assertEqual(answer.code, sn.ACCEPTED)
                return


if __name__ == "__main__":
    main()
