# SPDX-License-Identifier: Apache-2.0
"""Retained topics at the broker that tell how gateway and devices are (docs/api.md): what a fresh
subscriber finds, when it is replaced, and that nothing of it is left over."""

import json
import re
import time

import mqttsn as sn
import schema
from harness import SystemTest, main, wait_until

BASE = "dormouse/test/"
CLIENT = BASE + "clients/"
GHOST = '{"state":"active"}'
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Watcher:
    """What a subscriber that came at the start has been told: the last payload of each topic."""

    def __init__(self, test, *filters):
        self.test = test
        self.client = test.broker.client("watcher")
        self.payloads = {}
        self.history = []
        for name in filters:
            self.client.subscribe(name, 0)

    def wait(self, topic, condition, what):
        """Returns the payload, JSON if it is, that meets the condition; None: it was cleared."""
        while topic not in self.payloads or not condition(self.payloads[topic]):
            try:
                self.step()
            except TimeoutError:
                raise AssertionError(f"for 10 s not told: {what}") from None
        return self.payloads[topic]

    def step(self):
        (topic, payload), = self.client.receive()
        text = payload.decode()
        value = self.check(topic, text) if text.startswith("{\"") else text or None
        self.payloads[topic] = value
        self.history.append((topic, value))

    def check(self, topic, text):
        if topic == BASE + "gateway":
            return schema.check_json("gateway_topic", text)
        if topic.startswith(CLIENT) and text != GHOST:
            return schema.check_json("client_topic", text)
        return schema.parse(text)

    def state(self, client_id, state):
        return self.wait(CLIENT + client_id, lambda p: p is not None and p["state"] == state,
                         f"{client_id} is {state}")

    def gone(self, topic):
        return self.wait(topic, lambda p: p is None, f"{topic} is cleared")


class StatusTopics(SystemTest):
    def start(self, **control):
        self.start_gateway(control={"status_topics": BASE[:-1], "status_interval": "1s", **control})

    def retained(self, name):
        """What a subscriber that comes now finds, by topic."""
        client = self.broker.client("late")
        client.subscribe(name, 0)
        client.publish("end/of/retained", b"1", 0)
        client.subscribe("end/of/retained", 0)
        client.publish("end/of/retained", b"1", 1)
        found = {}
        while True:
            (topic, payload), = client.receive()
            if topic == "end/of/retained":
                return found
            found[topic] = payload.decode(errors="replace")

    def test_the_gateway_tells_that_it_is_there_and_that_it_is_not(self):
        watcher = Watcher(self, BASE + "#")
        self.start()
        watcher.wait(BASE + "status", lambda p: p == "online", "online")
        gateway = watcher.wait(BASE + "gateway", lambda p: p is not None, "the gateway's state")
        self.assertEqual(gateway["name"], "test")
        self.assertEqual(gateway["gateway_id"], 7)
        self.assertEqual(gateway["sessions"]["total"], 0)
        self.assertEqual(gateway["links"], [{"kind": "udp", "name": "lan", "up": True}])
        self.assertFalse(gateway["degraded"])
        schema.check_strictly("gateway_topic", json.dumps(gateway))
        self.gateway.close()  # an orderly end
        watcher.wait(BASE + "status", lambda p: p == "offline", "offline")
        self.gateway.start()
        watcher.wait(BASE + "status", lambda p: p == "online", "online again")
        self.gateway.kill()  # the broker says it in our name
        watcher.wait(BASE + "status", lambda p: p == "offline", "offline by the will")
        self.assertEqual(self.retained(BASE + "status"), {BASE + "status": "offline"})

    def test_a_device_is_followed_from_contact_to_contact(self):
        watcher = Watcher(self, CLIENT + "#")
        self.start()
        device = self.device("pump/1 ü")
        topic = "pump%2F1%20%C3%BC"
        device.connect(keepalive=60).subscribe("cmd/#")
        told = watcher.state(topic, "active")
        self.assertEqual(told["client_id"], "pump/1 ü")
        self.assertTrue(told["address"].startswith("udp:lan:127.0.0.1:"))
        self.assertFalse(told["clean"])
        self.assertEqual(told["keepalive_s"], 60)
        schema.check_strictly("client_topic", json.dumps(told))
        self.assertRegex(told["last_contact"], TIME)
        device.sleep(300)
        self.assertEqual(watcher.state(topic, "asleep")["sleep_s"], 300)
        self.broker.client().publish("cmd/a", b"1")
        self.broker.client().publish("cmd/a", b"2")
        told = watcher.wait(CLIENT + topic, lambda p: p["queued"] == 2, "two messages wait")
        self.assertEqual(told["queued_octets"], 12)
        device.wake()
        told = watcher.wait(CLIENT + topic, lambda p: p["queued"] == 0, "none waits")
        self.assertEqual((told["state"], told["delivered"]), ("asleep", 2))
        device.disconnect()
        watcher.state(topic, "disconnected")
        self.assertIn(CLIENT + topic, self.retained(CLIENT + "+"))

    def test_a_session_that_ends_clears_its_topic(self):
        watcher = Watcher(self, CLIENT + "#")
        self.start()
        self.device("kept").connect().disconnect()
        clean = self.device("clean").connect(clean=True)
        other = self.device("other").connect()
        for name, state in (("kept", "disconnected"), ("clean", "active"), ("other", "active")):
            watcher.state(name, state)
        clean.disconnect()
        watcher.gone(CLIENT + "clean")
        self.gateway.ask("forget", client_id="other")
        other.expect(sn.DISCONNECT)
        watcher.gone(CLIENT + "other")
        self.assertEqual(list(self.retained(CLIENT + "+")), [CLIENT + "kept"])

    def test_what_ended_while_nobody_could_be_told_is_cleared_later(self):
        watcher = Watcher(self, CLIENT + "#")
        self.start()
        devices = {name: self.device(name).connect(clean=True) for name in ("a", "b", "c")}
        for name in devices:
            watcher.state(name, "active")
        self.broker.kill()  # what is retained was not written: docs/mosquitto.conf writes it
        self.gateway.wait_broker("waiting")
        devices["a"].disconnect()
        self.broker.start()
        self.gateway.wait_broker("connected")
        watcher = Watcher(self, CLIENT + "#")
        watcher.wait(CLIENT + "b", lambda p: p is not None, "b is told again")
        # Killed when it had ended a session and told nobody: the next process finds the topic.
        self.broker.client().publish(CLIENT + "ghost", GHOST.encode(), 0, retain=True)
        self.restart_gateway()
        watcher.gone(CLIENT + "ghost")
        self.wait_retained({CLIENT + "b", CLIENT + "c"})

    def test_a_broker_that_forgot_everything_is_told_everything_again(self):
        watcher = Watcher(self, CLIENT + "#")
        self.start()
        self.device("a").connect()
        watcher.state("a", "active")
        self.broker.kill()
        self.broker.forget_all()
        self.broker.start()
        self.wait_retained({CLIENT + "a"})
        self.assertEqual(self.retained(BASE + "status"), {BASE + "status": "online"})

    def wait_retained(self, topics):
        wait_until(lambda: set(self.retained(CLIENT + "+")) == topics, f"retained are {topics}")

    def test_a_restart_keeps_what_was_known_of_the_last_contact(self):
        watcher = Watcher(self, CLIENT + "#")
        self.start()
        device = self.device("far").connect()
        device.subscribe("cmd")
        device.sleep(3600)
        before = watcher.state("far", "asleep")["last_contact"]
        self.assertRegex(before, TIME)
        self.gateway.kill()
        self.broker.client().publish(CLIENT + "far", b"{}", 0)  # not retained: only a mark
        self.gateway.start()
        watcher.wait(CLIENT + "far", lambda p: p == "{}", "the mark between")
        told = watcher.wait(CLIENT + "far", lambda p: isinstance(p, dict), "told again")
        self.assertEqual((told["state"], told["last_contact"]), ("asleep", before))
        # And as long as it is silent, whatever else changes.
        self.broker.client().publish("cmd", b"1")
        told = watcher.wait(CLIENT + "far", lambda p: p["queued"] == 1, "a message waits")
        self.assertEqual(told["last_contact"], before)

    def test_own_topics_reach_no_device_through_a_wildcard(self):
        self.start()
        curious = self.device("curious").connect()
        curious.subscribe("#", 0)
        exact = self.device("exact").connect()
        exact.subscribe(BASE + "status", 0)
        first, = exact.take()
        self.assertEqual(first.data, b"online")
        self.broker.client().publish(CLIENT + "spoof", b"{}", 1)
        self.broker.client().publish("other", b"1", 1)
        message, = curious.take()
        self.assertEqual(curious.names[message.topic_id], "other")
        self.broker.client().publish(BASE + "status", b"test", 0)
        again, = exact.take()
        self.assertEqual(again.data, b"test")

    def test_a_busy_device_is_told_of_no_more_often_than_the_interval(self):
        watcher = Watcher(self, CLIENT + "#")
        self.start(status_interval="2s")
        device = self.device("busy").connect()
        watcher.state("busy", "active")
        began = time.monotonic()
        first = len(watcher.history)
        for _ in range(40):
            device.sleep(60)
            device.connect()
        device.sleep(60)
        watcher.state("busy", "asleep")
        told = len(watcher.history) - first
        self.assertLessEqual(told, (time.monotonic() - began) / 2 + 1)

    def test_home_assistant_discovers_gateway_and_devices(self):
        watcher = Watcher(self, "homeassistant/#")
        self.start(home_assistant="homeassistant")
        gateway = watcher.wait("homeassistant/device/dormouse_test/config", bool, "the gateway")
        self.assertEqual(gateway["device"]["identifiers"], ["dormouse_test"])
        self.assertEqual(gateway["state_topic"], BASE + "gateway")
        device = self.device("a_b").connect(clean=True)
        topic = "homeassistant/device/dormouse_test__a_5Fb/config"
        told = watcher.wait(topic, bool, "the device")
        self.assertEqual(told["device"]["via_device"], "dormouse_test")
        self.assertEqual(told["device"]["name"], "a_b")
        self.assertEqual(told["availability_topic"], BASE + "status")
        self.assertEqual(told["state_topic"], CLIENT + "a_b")
        state = json.loads(self.retained(told["state_topic"])[told["state_topic"]])
        unique = set()
        for name, entity in told["components"].items():
            self.assertIn(entity["platform"], ("sensor", "binary_sensor"), name)
            unique.add(entity["unique_id"])
            field, = re.findall(r"value_json\.(\w+)", entity["value_template"])
            self.assertIn(field, state)
        self.assertEqual(len(unique), len(told["components"]))
        device.disconnect()
        watcher.gone(topic)

    def test_none_if_they_are_switched_off(self):
        self.start(status_topics="")
        self.device("quiet").connect().disconnect()
        self.broker.client().publish("x", b"1")
        self.gateway.close()
        self.assertEqual(self.retained("#"), {})
        self.assertEqual(self.broker.lines("dormouse-test", "PUBLISH"), [])


if __name__ == "__main__":
    main()
