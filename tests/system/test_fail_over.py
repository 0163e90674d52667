# SPDX-License-Identifier: Apache-2.0
"""Several brokers: fail-over in order, the way back, and what must outlast both."""

import os

import mqttsn as sn
from harness import Mosquitto, SystemTest, main, wait_until

UP = "up/1"


def publish(device, topic_id, data, qos):
    """Returns when the gateway has taken it over."""
    if qos == 1:
        assert device.publish(topic_id, data) == sn.ACCEPTED
        return
    msg_id = device.next_msg_id()
    device.ask(sn.publish(topic_id, msg_id, data, qos, sn.NORMAL), sn.PUBREC)
    device.ask(sn.step(sn.PUBREL, msg_id), sn.PUBCOMP)


class TwoBrokers(SystemTest):
    def setUp(self):
        super().setUp()
        place = self.directory / "other"
        place.mkdir()
        self.other = Mosquitto(place, self.ports.take())
        self.addCleanup(self.other.close)
        self.other.start()
        self.heard = {self.broker: [], self.other: []}  # payloads, over all runs of the broker
        self.watchers = {}

    def start_between(self, **broker):
        self.start_gateway(broker={"url": f"{self.broker.url}\nurl = {self.other.url}", **broker},
                           sessions={"store_after": "0ms"})

    def watch(self, broker):
        """QoS 0: what the broker acknowledged is on its way to the watcher before."""
        watcher = broker.client("watcher")
        watcher.subscribe(UP, 0)
        watcher.socket.settimeout(0.2)
        self.watchers[broker] = watcher

    def hear(self, broker):
        """Reads on while there is something."""
        try:
            while True:
                self.heard[broker] += [payload for _, payload in self.watchers[broker].receive()]
        except (OSError, EOFError):
            pass
        return self.heard[broker]

    def kill(self, broker):
        broker.kill()
        self.hear(broker)

    def restart(self, broker):
        """Nothing that it forwards is missed."""
        with self.gateway.paused():
            broker.start()
            self.watch(broker)

    def wait_at(self, broker):
        def is_there():
            status = self.gateway.status()["broker"]
            return status["state"] == "connected" and status["url"] == broker.url
        wait_until(is_there, f"the gateway is at {broker.url}")

    def wait_spool_empty(self):
        wait_until(lambda: self.gateway.status()["spool"]["messages"] == 0, "the spool is empty")


class FailOver(TwoBrokers):
    def test_in_order_and_status_tells_why(self):
        self.broker.kill()
        self.start_between()
        self.wait_at(self.other)
        urls = self.gateway.status()["broker"]["urls"]
        self.assertEqual([one["url"] for one in urls], [self.broker.url, self.other.url])
        self.assertIn("refused", urls[0]["error"].lower())
        self.assertEqual(urls[1]["error"], "")
        shown = self.command("--socket", self.gateway.socket, "status").stdout
        self.assertIn(f"also {self.broker.url}: ", shown)

    def test_never_returns_by_itself_but_begins_with_the_first(self):
        self.start_between()
        self.broker.kill()
        self.wait_at(self.other)
        self.broker.start()
        self.other.kill()
        self.wait_at(self.broker)

    def test_traffic_over_kills_reaches_one_broker_and_qos_2_each_once(self):
        self.start_between(return_to_first="1s")
        self.watch(self.broker)
        self.watch(self.other)
        device = self.device("writer").connect()
        topic_id = device.register(UP)
        sent = []

        def send(count):
            for _ in range(count):
                qos = 1 + len(sent) % 2
                sent.append(b"%d qos %d" % (len(sent), qos))
                publish(device, topic_id, sent[-1], qos)

        for turn in range(3):
            send(4)
            with self.broker.paused():  # exchanges are open with the first one, and stay so
                send(4)
                self.kill(self.broker)
            send(4)
            self.wait_at(self.other)
            send(4)
            if turn == 1:  # and with the other one
                with self.other.paused():
                    send(4)
                    self.kill(self.other)
                self.restart(self.other)
            if turn == 2:
                self.restart_gateway(online=False)
            self.restart(self.broker)
            self.wait_at(self.broker)
        self.wait_spool_empty()
        heard = self.hear(self.broker), self.hear(self.other)
        self.assertEqual(set(sent) - set(heard[0]) - set(heard[1]), set(), "lost")
        for each in heard:
            twice = [payload for payload in set(each)
                     if payload.endswith(b"2") and each.count(payload) > 1]
            self.assertEqual(twice, [])

    def test_broker_we_come_back_to_kept_its_queue(self):
        self.start_between(return_to_first="1s")
        device = self.device("reader").connect()
        device.subscribe("cmd/#")
        self.broker.wait_saved(b"cmd/#")
        self.broker.kill()
        self.wait_at(self.other)
        self.other.wait_subscribed()
        self.other.wait_saved(b"cmd/#")
        with self.gateway.paused():
            self.broker.start()
            self.broker.client().publish("cmd/1", b"kept by the first", 2)
        self.assertEqual(self.texts(device, device.take()), [("cmd/1", b"kept by the first")])
        self.wait_at(self.broker)
        self.other.client().publish("cmd/2", b"kept by the other", 2)
        self.broker.kill()
        self.assertEqual(self.texts(device, device.take()), [("cmd/2", b"kept by the other")])
        self.assertNotIn("lost its session", self.gateway.text())


class Unix(TwoBrokers):
    def test_socket_of_the_file_system(self):
        path = self.directory / "broker.sock"
        self.broker.kill()
        with self.broker.config.open("a") as file:
            file.write(f"listener 0 {path}\n")
        self.broker.start()
        os.chmod(path, 0o666)
        self.start_gateway(broker={"url": f"mqtt+unix://{path}"})
        peer = self.broker.client()
        peer.subscribe(UP)
        device = self.device("writer").connect()
        publish(device, device.register(UP), b"by path", 2)
        self.assertEqual(peer.receive(), [(UP, b"by path")])
        self.broker.kill()
        wait_until(lambda: "cannot connect" in self.gateway.status()["broker"]["error"], "why not")


if __name__ == "__main__":
    main()
