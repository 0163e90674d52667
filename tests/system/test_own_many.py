# SPDX-License-Identifier: Apache-2.0
"""Two thousand own connections in one process (design section 6): all at once, and in both
directions."""

import os
import pathlib
import resource
import select
import socket
import time

import mqttsn as sn
from harness import main, wait_until
from own import OwnTest

COUNT = int(os.environ.get("OWN_COUNT", 2000))
ROUND_S = 2  # a device repeats what was not answered


class Crowd:
    """Devices that all say the same at a time, each from a port of its own."""

    def __init__(self, port, count):
        self.sockets = []
        for _ in range(count):
            link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            link.connect(("127.0.0.1", port))
            self.sockets.append(link)

    def close(self):
        for link in self.sockets:
            link.close()

    def ask(self, request, kind, matches=lambda packet: True):
        """Sends request(number) from all and repeats it until every one has the answer; says
        PUBACK to messages. Returns the answers."""
        answers = {}
        deadline = time.monotonic() + 120
        while len(answers) < len(self.sockets):
            assert time.monotonic() < deadline, f"{len(answers)} of {len(self.sockets)} answered"
            for number, link in enumerate(self.sockets):
                if number not in answers:
                    link.send(request(number))
                if number % 50 == 49:  # not more at a time than the gateway's socket takes
                    self.collect(kind, matches, answers, 0)
            self.collect(kind, matches, answers, ROUND_S)
        return answers

    def collect(self, kind, matches, answers, seconds):
        poll = select.poll()
        numbers = {}
        for number, link in enumerate(self.sockets):
            poll.register(link, select.POLLIN)
            numbers[link.fileno()] = number
        deadline = time.monotonic() + seconds
        while len(answers) < len(self.sockets):
            ready = poll.poll(max(0, deadline - time.monotonic()) * 1000)
            if not ready:
                return
            for fd, _ in ready:
                number = numbers[fd]
                packet = sn.decode(self.sockets[number].recv(2048))
                if packet.kind == sn.PUBLISH:
                    self.sockets[number].send(sn.puback(packet.topic_id, packet.msg_id))
                if packet.kind == kind and matches(packet):
                    answers[number] = packet


class Many(OwnTest):
    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = min(hard, 2 * COUNT + 1000)  # of the broker, too
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
        super().setUp()
        config = self.broker.config.read_text().replace("log_type all", "log_type error")
        # It would write all sessions to its file with every message for one of them.
        config = config.replace("autosave_interval 1\n", "autosave_interval 1000000000\n")
        self.broker.stop()
        self.broker.config.write_text(config)
        self.broker.start()

    def memory_kib(self):
        text = pathlib.Path(f"/proc/{self.gateway.process.pid}/status").read_text()
        return int(text.split("RssAnon:")[1].split()[0])

    def own(self):
        return self.gateway.status()["own"]

    def test_all_at_once(self):
        self.gateway.debug = []
        self.start_gateway(**{"topics": {"1": "up", "2": "down"},
                      "sessions": {"retry": "5s", "own_max": COUNT,
                                   "upstream": os.environ.get("OWN_UPSTREAM", "own"),
                                   "hold": os.environ.get("OWN_HOLD", "broker")}})
        before = self.memory_kib()
        crowd = Crowd(self.gateway.port, COUNT)
        self.addCleanup(crowd.close)
        names = [f"device-{number:05}" for number in range(COUNT)]
        began = time.monotonic()
        answers = crowd.ask(lambda n: sn.connect(names[n]), sn.CONNACK)
        connected = time.monotonic() - began
        self.assertEqual({answer.code for answer in answers.values()}, {sn.ACCEPTED})
        crowd.ask(lambda n: sn.subscribe(1, 2, 1, sn.PREDEFINED), sn.SUBACK)
        watcher = self.broker.client()
        watcher.subscribe("up", 1)
        crowd.ask(lambda n: sn.publish(1, 2, b"%d" % n, 1, sn.PREDEFINED), sn.PUBACK)
        found = {int(payload) for _, payload in watcher.receive(COUNT)}
        self.assertEqual(found, set(range(COUNT)))
        watcher.publish("down", b"for all")
        got = {}
        deadline = time.monotonic() + 60
        while len(got) < COUNT and time.monotonic() < deadline:
            crowd.collect(sn.PUBLISH, lambda packet: packet.data == b"for all", got, 1)
        self.assertEqual(len(got), COUNT)
        wait_until(lambda: self.gateway.status()["queue"]["messages"] == 0, "all are acknowledged")
        after = self.memory_kib()
        print(f"{COUNT} devices connected in {connected:.1f} s, "
              f"{(after - before) * 1024 // COUNT} octets each", flush=True)
        # The broker restarts: all come back, paced.
        self.broker.stop()
        self.gateway.wait_broker("waiting")
        self.broker.start()
        self.gateway.wait_broker("connected")
        began = time.monotonic()
        if os.environ.get("OWN_UPSTREAM", "own") == "own":
            wait_until(lambda: self.own()["connected"] == COUNT, "all are connected again", 60)
            print(f"again in {time.monotonic() - began:.1f} s", flush=True)
        watcher = self.broker.client()
        watcher.publish("down", b"again")
        got = {}
        deadline = time.monotonic() + 60
        while len(got) < COUNT and time.monotonic() < deadline:
            crowd.collect(sn.PUBLISH, lambda packet: packet.data == b"again", got, 1)
        self.assertEqual(len(got), COUNT)


if __name__ == "__main__":
    main()
