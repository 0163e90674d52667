# SPDX-License-Identifier: Apache-2.0
"""Status topics when something is against them: brokers that do not allow them, connections that
break at the wrong moment, and others who write there. The devices' own traffic never suffers."""

import contextlib
import os
import signal
import socket
import subprocess
import threading

import mqtt
import mqttsn as sn
import test_status_topics as topics  # its tests are not ours
from harness import Mosquitto, SystemTest, main, wait_until
from test_status_topics import BASE, CLIENT, GHOST, Watcher


class Relay:
    """Between gateway and broker; ends the connection at a packet of the gateway's choice of `cut`."""

    def __init__(self, test, cut):
        self.cut = cut
        self.broker_port = test.broker.port
        self.listener = socket.create_server(("127.0.0.1", test.ports.take()))
        self.url = f"mqtt://127.0.0.1:{self.listener.getsockname()[1]}"
        test.addCleanup(self.listener.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                gateway = self.listener.accept()[0]
                broker = socket.create_connection(("127.0.0.1", self.broker_port))
                for ends in ((gateway, broker, self.cut), (broker, gateway, lambda *_: False)):
                    threading.Thread(target=self.pump, args=ends, daemon=True).start()

    @staticmethod
    def pump(source, target, cut):
        with contextlib.suppress(OSError, EOFError), source.makefile("rb") as stream:
            while True:
                kind, flags, body = mqtt.read_packet(stream)
                if cut(kind, body):
                    break
                target.sendall(mqtt.packet(kind, body, flags))
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Faults(SystemTest):
    retained = topics.StatusTopics.retained
    wait_retained = topics.StatusTopics.wait_retained

    def start(self, online=True, url=None, **sections):
        broker = {"url": url or self.broker.url, **sections.pop("broker", {})}
        control = {"status_topics": BASE[:-1], "status_interval": "1s",
                   **sections.pop("control", {})}
        self.start_gateway(online, broker=broker, control=control, **sections)

    def works(self):
        """A device's message goes up."""
        watcher = self.broker.client()
        watcher.subscribe("up")
        device = self.device("works").connect(clean=True)
        self.assertEqual(device.publish(device.register("up"), b"1"), sn.ACCEPTED)
        self.assertEqual(watcher.receive(), [("up", b"1")])

    def test_broker_that_refuses_the_will_gets_none(self):
        self.broker.kill()
        seen = []
        listener = socket.create_server(("127.0.0.1", self.broker.port))
        self.addCleanup(listener.close)
        self.gateway.config["broker"]["version"] = "5"

        def serve():
            with contextlib.suppress(OSError, EOFError):
                while True:
                    peer = listener.accept()[0]
                    will = bool(mqtt.read_packet(peer.makefile("rb"))[2][7] & 4)
                    peer.sendall(mqtt.packet(mqtt.CONNACK, b"\0\x87\0" if will else b"\0\0\0"))
                    seen.append((will, peer))

        threading.Thread(target=serve, daemon=True).start()
        self.start()
        self.assertEqual([will for will, _ in seen], [False, True, False])  # the first one wipes
        self.assertIn("takes no will of ours", self.gateway.text())

    def test_broker_that_ends_the_connection_for_them_is_left_alone(self):
        cuts = []

        def cut(kind, body):
            if kind == mqtt.SUBSCRIBE and b"clients/#" in body:
                cuts.append(kind)
            return kind == mqtt.SUBSCRIBE and b"clients/#" in body

        self.start(online=False, url=Relay(self, cut).url)
        wait_until(lambda: "no status topics for 10 minutes" in self.gateway.text(), "it gives in")
        self.gateway.wait_broker("connected")
        self.works()
        self.assertEqual(len(cuts), 2)

    def test_message_that_is_too_long_ends_no_second_connection(self):
        self.broker.client().publish(CLIENT + "evil", b"[" + b"0," * 700000 + b"0]", 1, retain=True)
        self.start(online=False, broker={"version": "3.1.1"})
        wait_until(lambda: "no status topics for 10 minutes" in self.gateway.text(), "it gives in")
        self.gateway.wait_broker("connected")
        self.works()

    def test_sweep_that_was_cut_off_begins_again(self):
        cuts = []

        def cut(kind, _):
            if kind == 10 and not cuts:  # UNSUBSCRIBE
                cuts.append(kind)
                return True
            return False

        self.start(url=Relay(self, cut).url)
        wait_until(lambda: cuts and self.broker.lines("Received UNSUBSCRIBE"), "the second sweep")
        self.device("a").connect()
        self.wait_retained({CLIENT + "a"})
        self.assertEqual(self.broker.lines("Sending PUBLISH to dormouse-test", "clients/a"), [])

    def test_end_that_the_broker_did_not_hear_of_is_told_again(self):
        watcher = Watcher(self, CLIENT + "#")
        self.start()
        clean = self.device("a").connect(clean=True)
        self.device("b").connect()
        watcher.state("a", "active")
        watcher.state("b", "active")
        self.broker.wait_saved(b"clients/a")
        sent = self.gateway.status()["broker"]["tx_packets"]
        with self.broker.paused():
            clean.disconnect()
            wait_until(lambda: self.gateway.status()["broker"]["tx_packets"] > sent, "it is told")
            self.broker.kill()
        self.broker.start()
        self.gateway.wait_broker("connected")
        self.wait_retained({CLIENT + "b"})

    def test_devices_cannot_write_there(self):
        self.start()
        device = self.device("evil").connect()
        for name in (BASE + "clients/pump", BASE + "status"):
            code = device.publish(device.register(name), b"forged", retain=True)
            self.assertEqual(code, sn.NOT_SUPPORTED)
        device.disconnect()
        device.ask(sn.connect("evil", will=True), sn.WILLTOPICREQ)
        device.send(sn.will_topic(BASE + "status", 1, True))
        self.assertEqual(device.expect(sn.CONNACK).code, sn.NOT_SUPPORTED)
        self.wait_retained({CLIENT + "evil"})
        self.assertEqual(self.retained(BASE + "status"), {BASE + "status": "online"})
        self.assertEqual(self.gateway.status()["input"]["denied"], 3)

    def test_whatever_others_left_there_is_cleared(self):
        client = self.broker.client()
        names = ("%", "%zz", "%00", "a/b/c", "%61", "/", "%e2%82", "x" * 60000, "%C3%BC" * 9000, "1\"\\")
        payloads = (b"{}", GHOST.encode(), b'{"last_contact":' + b"[" * 5000, bytes(range(256)) * 10)
        for name, payload in zip(names, payloads * 3):
            client.publish(CLIENT + name, payload, 1, retain=True)
        self.start(control={"home_assistant": "homeassistant"})
        self.device("a").connect()
        wait_until(lambda: set(self.retained(CLIENT + "#")) == {CLIENT + "a"}, "only ours is left")
        self.works()

    def test_each_broker_is_told_and_swept(self):
        place = self.directory / "other"
        place.mkdir()
        other = Mosquitto(place, self.ports.take())
        self.addCleanup(other.close)
        other.start()
        other.client().publish(CLIENT + "ghost", GHOST.encode(), 1, retain=True)
        self.start(url=f"{self.broker.url}\nurl = {other.url}")
        self.device("a").connect()
        self.wait_retained({CLIENT + "a"})
        self.broker.kill()
        self.broker, first = other, self.broker
        self.addCleanup(first.close)
        self.wait_retained({CLIENT + "a"})
        self.assertEqual(self.retained(BASE + "status"), {BASE + "status": "online"})

    def test_reload_that_loses_the_broker_says_offline(self):
        passwords = self.directory / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "barn", "good"], check=True)
        for path in (passwords, self.directory):
            os.chmod(path, 0o755)
        self.broker.kill()
        config = self.broker.config.read_text()
        self.broker.config.write_text(config + f"password_file {passwords}\n")
        self.broker.start()
        self.gateway.file.touch(0o600)
        self.start(broker={"username": "barn", "password": "good"})
        wait_until(lambda: self.retained(BASE + "status") == {BASE + "status": "online"}, "online")
        self.gateway.config["broker"]["password"] = "bad"
        self.gateway.write_config()
        answer = self.gateway.ask("reload")
        self.assertEqual(answer["changed"], ["[broker] password"])
        self.gateway.wait_broker("waiting")
        wait_until(lambda: self.retained(BASE + "status") == {BASE + "status": "offline"}, "offline")

    def test_online_is_told_however_much_waits_for_the_broker(self):
        self.start()
        wait_until(lambda: self.retained(BASE + "status") == {BASE + "status": "online"}, "online")
        self.broker.kill()
        self.gateway.wait_broker("waiting")
        device = self.device("d").connect()
        topic = device.register("up")
        for i in range(1000):
            self.assertEqual(device.publish(topic, b"%04d" % i + b"x" * 1300), sn.ACCEPTED)
        self.broker.start()
        wait_until(lambda: self.gateway.status()["spool"]["messages"] == 0, "all is told")
        wait_until(lambda: self.retained(BASE + "status") == {BASE + "status": "online"}, "online")

    def test_sighup_while_it_ends_does_nothing(self):
        self.start(control={"http": f"127.0.0.1:{self.ports.take()}"})
        self.gateway.config["control"]["http"] = f"127.0.0.1:{self.ports.take()}"
        self.gateway.write_config()
        with self.gateway.paused():  # both are there when it goes on
            self.gateway.process.send_signal(signal.SIGTERM)
            self.gateway.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.gateway.wait_end(30), 0)


if __name__ == "__main__":
    main()
