# SPDX-License-Identifier: Apache-2.0
"""What a message costs the daemon: system calls, counted by strace."""

import contextlib
import re
import signal

import mqttsn as sn
from harness import SystemTest, main, spawn, wait_until

MESSAGES = 60  # one batch of the UDP link
DISK = {"write", "pwrite64", "pwritev", "fdatasync", "fsync"}


class Cost(SystemTest):
    def start_quietly(self):
        self.gateway.debug = []  # no line of the log for each packet
        self.start_gateway()

    @contextlib.contextmanager
    def counted(self):
        """A dictionary that holds the numbers of system calls by name when the block has ended."""
        trace, said = self.directory / "strace", self.directory / "strace.log"
        with open(said, "wb") as log:
            tracer = spawn(["strace", "-f", "-o", trace, "-p", self.gateway.process.pid],
                           stdout=log, stderr=log)
        self.addCleanup(tracer.kill)
        wait_until(lambda: "attached" in said.read_text(), "strace looks on")
        counts = {}
        yield counts
        tracer.send_signal(signal.SIGINT)
        tracer.wait(60)
        for line in trace.read_text(errors="replace").splitlines():
            call = re.match(r"\d+ +(\w+)\(", line)
            if call is not None:
                counts[call[1]] = counts.get(call[1], 0) + 1
        self.assertIn("epoll_wait", counts)

    def publishers(self, count):
        """[(device, its id of the topic "up")]"""
        devices = [self.device(f"device-{n}").connect() for n in range(count)]
        return [(device, device.register("up")) for device in devices]

    def test_qos_0_from_devices_is_passed_on_by_the_batch(self):
        self.start_quietly()
        watcher = self.broker.client("watcher")
        watcher.subscribe("up", qos=0)
        [(device, topic)] = self.publishers(1)
        with self.counted() as calls:
            with self.gateway.paused():
                for n in range(MESSAGES):
                    device.link.send(sn.publish(topic, 0, b"%d" % n))
            self.assertEqual(watcher.receive(MESSAGES),
                             [("up", b"%d" % n) for n in range(MESSAGES)])
        self.assertLess(sum(calls.values()), MESSAGES / 2, calls)

    def test_qos_0_to_devices_is_passed_on_by_the_batch(self):
        self.start_quietly()
        device = self.device("device").connect()
        topic = device.subscribe("down")
        broker = self.broker.client()
        with self.counted() as calls:
            with self.gateway.paused():
                for n in range(MESSAGES):
                    broker.publish("down", b"%d" % n, qos=0)
                broker.publish("elsewhere", b"")  # when it is acknowledged, the others have left
            packets = [device.receive() for _ in range(MESSAGES)]
        self.assertEqual([(p.kind, p.topic_id, p.data) for p in packets],
                         [(sn.PUBLISH, topic, b"%d" % n) for n in range(MESSAGES)])
        self.assertLess(sum(calls.values()), MESSAGES / 2, calls)

    def test_qos_1_from_devices_goes_by_no_disk(self):
        """The broker acknowledges one by one, so each answer may be a turn of the loop."""
        self.start_quietly()
        publishers = self.publishers(4)
        each = MESSAGES // 4
        with self.counted() as calls:
            with self.gateway.paused():
                for device, topic in publishers:
                    for n in range(each):
                        device.link.send(sn.publish(topic, 100 + n, b"%d" % n, qos=1))
            for device, topic in publishers:
                answers = [device.receive() for _ in range(each)]
                self.assertEqual([(a.kind, a.msg_id, a.code) for a in answers],
                                 [(sn.PUBACK, 100 + n, sn.ACCEPTED) for n in range(each)])
        self.assertEqual([name for name in calls if name in DISK], [])
        self.assertLess(sum(calls.values()), 4 * MESSAGES, calls)


if __name__ == "__main__":
    main()
