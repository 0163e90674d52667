# SPDX-License-Identifier: Apache-2.0
"""SIGHUP and `dormouse reload`: what can change without losing a session does, what cannot is named,
and a configuration with an error changes nothing."""

import json
import signal
import urllib.error
import urllib.request

import mqttsn as sn
import schema
from harness import BIN, SystemTest, main, run, wait_until


class Reload(SystemTest):
    def reload(self, status=0, **sections):
        """Writes these keys, and asks the gateway to read them. Returns its answer."""
        for section, keys in sections.items():
            self.gateway.config.setdefault(section.replace("_", " ", 1), {}).update(keys)
        self.gateway.write_config()
        done = run([BIN / "dormouse", "--json", "--socket", self.gateway.socket, "reload"])
        self.assertEqual(done.returncode, status, done.stderr)
        answer = schema.check_json("reload", done.stdout)
        self.assertEqual(answer["reloaded"], status == 0)
        return answer

    def command(self, *arguments):
        return run([BIN / "dormouse", "--socket", self.gateway.socket, *arguments])

    def sleeper(self, client_id="sleeper"):
        device = self.device(client_id).connect()
        device.subscribe("cmd/#")
        device.sleep()
        return device

    def test_limits_change_and_no_device_notices(self):
        self.start_gateway()
        device = self.sleeper()
        broker = self.broker.client()
        for payload in (b"1", b"2"):
            broker.publish("cmd/a", payload)
        self.gateway.wait_queued("sleeper", 2)
        answer = self.reload(sessions={"queue_messages": 2})
        self.assertEqual(answer["changed"], ["[sessions] queue_messages"])
        self.assertEqual(answer["restart"], [])
        broker.publish("cmd/a", b"3")
        wait_until(lambda: self.gateway.sessions()["sleeper"]["dropped"] == 1, "the oldest is dropped")
        self.assertEqual([data for _, data in self.texts(device, device.wake())], [b"2", b"3"])
        self.assertEqual(self.gateway.status()["broker"]["connects"], 1)

    def test_topic_ids_of_all_of_a_link_and_of_a_client(self):
        self.start_gateway(topics={"7": "old/name"})
        device = self.device("pump-1").connect()
        broker = self.broker.client()
        broker.subscribe("#")
        device.publish(7, b"1", kind=sn.PREDEFINED)
        self.assertEqual(self.next_message(broker), ("old/name", b"1"))
        answer = self.reload(topics={"7": "new/name"}, udp_lan={"topics.8": "of/link"},
                             **{"client_pump-*": {"topics.9": "of/%c"}})
        self.assertEqual(answer["changed"],
                         ["[topics] N", "[udp lan] topics.N", "[client pump-*] (new)"])
        for number, name in ((7, "new/name"), (8, "of/link"), (9, "of/pump-1")):
            device.publish(number, b"2", kind=sn.PREDEFINED)
            self.assertEqual(self.next_message(broker), (name, b"2"))

    def next_message(self, broker):
        while True:
            message, = broker.receive()
            if not message[0].startswith("dormouse/"):
                return message

    def test_an_error_changes_nothing_and_is_told_with_its_line(self):
        self.gateway.debug = []
        self.start_gateway(gateway={"log_level": "info"})
        device = self.sleeper()
        answer = self.reload(status=3, sessions={"retry": "2s", "tolerance": "never"})
        self.assertEqual(answer["changed"], [])
        self.assertRegex(answer["errors"][0], r"dormouse.ini:\d+: \[sessions\] tolerance: ")
        self.assertIn("everything stays as it was", self.gateway.text())
        done = self.command("reload")
        self.assertEqual(done.returncode, 3)
        self.assertIn("[sessions] tolerance: ", done.stderr)
        answer = self.reload(sessions={"tolerance": "1.5"})
        self.assertEqual(answer["changed"], ["[sessions] retry"])  # as before the error
        self.gateway.file.unlink()
        done = self.command("reload")
        self.assertEqual(done.returncode, 3)
        self.assertIn("No such file", done.stderr)
        self.assertEqual(device.wake(), [])

    def test_what_needs_a_restart_is_named_each_time_and_waits_for_it(self):
        link = self.pty("barn")
        self.start_gateway()
        self.wait_link("barn")
        old = link.path
        answer = self.reload(gateway={"id": 9}, serial_barn={"baud": 9600},
                             udp_roof={"listen": f"127.0.0.1:{self.ports.take()}"})
        waits = ["[gateway] id", "[serial barn] baud", "[udp roof] (new)"]
        self.assertEqual(sorted(answer["restart"]), sorted(waits))
        self.assertEqual(self.gateway.status()["gateway_id"], 7)
        self.assertEqual(sorted(self.reload()["restart"]), sorted(waits))
        self.assertEqual(len(self.gateway.status()["links"]), 2)
        done = self.command("reload")
        self.assertEqual(done.returncode, 0)
        self.assertIn("not before the next start", done.stdout)
        self.restart_gateway()
        self.assertEqual(self.gateway.status()["gateway_id"], 9)
        self.assertEqual(len(self.gateway.status()["links"]), 3)
        self.assertEqual(self.reload()["restart"], [])
        self.assertTrue(old.exists())

    def test_rights_of_devices(self):
        self.start_gateway()
        broker = self.broker.client()
        broker.subscribe("up")
        device = self.device("pump-1").connect()
        topic = device.register("up")
        device.subscribe("cmd/all")
        device.subscribe("cmd/pump")
        answer = self.reload(**{"client_pump-*": {"publish": "up", "subscribe": "cmd/pump"}})
        self.assertEqual(answer["changed"], ["[client pump-*] (new)"])
        wait_until(lambda: self.broker.lines("Received UNSUBSCRIBE"), "the broker is told")
        self.assertEqual(self.gateway.sessions()["pump-1"]["subscriptions"], ["cmd/pump"])
        # It was told that it has the subscription, so it has to begin again.
        device.ask(sn.pingreq(), sn.DISCONNECT)
        device.connect()
        self.assertEqual(device.publish(topic, b"1"), sn.ACCEPTED)
        self.reload(**{"client_pump-*": {"publish": "elsewhere", "subscribe": "cmd/pump"}})
        self.assertEqual(device.publish(topic, b"2"), sn.NOT_SUPPORTED)
        self.assertEqual(self.next_message(broker), ("up", b"1"))
        answer = self.reload(status=3, **{"client_pump-*": {"address": "udp:nowhere:1.2.3.4:5"}})
        self.assertIn("[client pump-*] address: ", answer["errors"][0])

    def test_unknown_clients_are_sent_away_when_only_known_ones_may_stay(self):
        self.start_gateway(**{"client_known": {}})
        known, stranger = self.device("known").connect(), self.device("stranger").connect()
        answer = self.reload(sessions={"unknown_clients": "reject"})
        self.assertEqual(answer["changed"], ["[sessions] unknown_clients"])
        stranger.ask(sn.pingreq(), sn.DISCONNECT)
        known.ping()
        self.assertEqual(stranger.ask(sn.connect("stranger"), sn.CONNACK).code, sn.NOT_SUPPORTED)

    def test_prefix_of_a_client_waits_for_the_restart(self):
        self.start_gateway(**{"client_pump-*": {"topic_prefix": "old/"}})
        broker = self.broker.client()
        broker.subscribe("#")
        device = self.device("pump-1").connect()
        device.subscribe("cmd")
        topic = device.register("up")
        answer = self.reload(**{"client_pump-*": {"topic_prefix": "new/"}})
        self.assertEqual((answer["changed"], answer["restart"]), ([], ["[client pump-*]"]))
        device.publish(topic, b"1")
        self.assertEqual(self.next_message(broker), ("old/up", b"1"))
        self.restart_gateway()
        device.publish(topic, b"2")
        self.assertEqual(self.next_message(broker), ("new/up", b"2"))
        broker.publish("new/cmd", b"3")
        self.assertEqual(self.texts(device, device.take()), [("cmd", b"3")])

    def test_sighup_does_the_same(self):
        self.gateway.debug = []
        self.start_gateway(gateway={"log_level": "warning"})
        self.gateway.config["gateway"]["log_level"] = "debug"
        self.gateway.write_config()
        self.assertEqual(self.gateway.ask("log")["level"], "warning")
        self.gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.gateway.ask("log")["level"] == "debug", "the new level")
        self.gateway.ask("log", level="error")
        self.assertEqual(self.gateway.ask("log", level="default")["level"], "debug")

    def test_broker_connection_is_made_anew_and_loses_nothing(self):
        self.start_gateway()
        device = self.sleeper()
        broker = self.broker.client()
        broker.publish("cmd/a", b"1", 2)
        self.gateway.wait_queued("sleeper", 1)
        answer = self.reload(broker={"username": "barn", "keepalive": "30s"})
        self.assertEqual(answer["changed"], ["[broker] username", "[broker] keepalive"])
        wait_until(lambda: self.gateway.status()["broker"]["connects"] == 2, "connected again")
        self.gateway.wait_broker("connected")
        self.assertTrue(self.broker.lines("as dormouse-test", "k30", "u'barn'"))
        broker.publish("cmd/a", b"2", 2)
        self.gateway.wait_queued("sleeper", 2)
        self.assertEqual([data for _, data in self.texts(device, device.wake())], [b"1", b"2"])
        self.assertEqual(self.reload()["changed"], [])
        self.assertEqual(self.gateway.status()["broker"]["connects"], 2)

    def test_http_moves_and_takes_another_token(self):
        first, second = self.ports.take(), self.ports.take()
        self.start_gateway(control={"http": f"127.0.0.1:{first}"})
        self.assertEqual(self.http(first), 200)
        token = self.directory / "token"
        token.write_text("secret-of-the-test\n")
        token.chmod(0o600)
        answer = self.reload(control={"http": f"127.0.0.1:{second}", "token_file": token})
        self.assertEqual(answer["changed"], ["[control] http", "[control] token_file"])
        self.assertEqual(self.http(second), 200)
        with self.assertRaises(urllib.error.URLError):
            self.http(first)
        self.device("x").connect()
        self.assertEqual(self.http(second, "sessions/x/forget", "secret-of-the-test"), 200)
        self.reload(control={"http": ""})
        with self.assertRaises(urllib.error.URLError):
            self.http(second)

    def test_what_the_operator_set_and_watches_survives_another_change(self):
        port = self.ports.take()
        self.gateway.debug = []
        self.start_gateway(gateway={"log_level": "info"}, control={"http": f"127.0.0.1:{port}"})
        self.gateway.ask("log", level="debug")
        events = urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/events", timeout=10)
        self.addCleanup(events.close)
        self.assertTrue(events.readline().startswith(b"event:"))
        answer = self.reload(gateway={"advertise": "5m"}, control={"status_interval": "5s"})
        self.assertEqual(answer["changed"], ["[gateway] advertise", "[control] status_interval"])
        self.assertEqual(self.gateway.ask("log")["level"], "debug")
        self.device("new").connect()
        while b"new" not in events.readline():  # the stream goes on
            pass

    def http(self, port, path="status", token=None):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/{path}")
        if token is not None:
            request.method = "POST"
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status

    def test_home_assistant_is_told_when_it_is_switched_on(self):
        self.start_gateway(control={"status_topics": "dormouse/test"})
        self.device("d").connect()
        watcher = self.broker.client()
        watcher.subscribe("homeassistant/#")
        answer = self.reload(control={"home_assistant": "homeassistant", "status_interval": "1s"})
        self.assertEqual(answer["changed"],
                         ["[control] status_interval", "[control] home_assistant"])
        found = {topic: json.loads(payload) for topic, payload in watcher.receive(2)}
        self.assertEqual(set(found), {"homeassistant/device/dormouse_test/config",
                                      "homeassistant/device/dormouse_test__d/config"})

    def test_many_reloads_under_traffic(self):
        self.start_gateway()
        device = self.device("busy").connect()
        topic = device.register("up")
        for i in range(40):
            self.gateway.config["sessions"]["retry"] = f"{i % 5 + 1}s"
            self.gateway.write_config()
            self.gateway.process.send_signal(signal.SIGHUP)
            self.assertEqual(device.publish(topic, b"%d" % i), sn.ACCEPTED)
        self.assertEqual(self.gateway.status()["spool"]["accepted"], 40)


if __name__ == "__main__":
    main()
