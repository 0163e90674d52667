# SPDX-License-Identifier: Apache-2.0
"""The orderly end (SIGTERM): what was promised is said, what is kept is on disk, and it comes soon
whatever the disk does. The disk is held and cut off by powerloss.c."""

import re
import signal
import time

import mqttsn as sn
import powerloss
from device import Silence
from harness import ROOT, SystemTest, main, wait_until

UNIT = ROOT / "systemd/dormoused.service.in"


class Stop(SystemTest):
    def setUp(self):
        super().setUp()
        self.log = self.directory / "powerloss.log"
        self.hold = self.directory / "hold"
        self.gateway.environment.update(
            powerloss.environment(self.gateway.state.resolve(), self.log, self.hold))

    def hang_disk(self):
        """From now on no fsync ends."""
        self.hold.touch()

    def hanging(self):
        """A device whose CONNECT waits for a disk that hangs."""
        self.start_gateway()
        self.hang_disk()
        device = self.device("d")
        device.send(sn.connect("d"))
        wait_until(lambda: self.gateway.status()["input"]["answers_held"] == 1, "CONNACK is held")
        return device

    def test_sigterm_sends_what_waited_for_the_disk_and_takes_nothing_new(self):
        device = self.hanging()
        self.gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "SIGTERM: ending" in self.gateway.text(), "it is ending")
        late = self.device("late")
        late.send(sn.connect("late"))
        self.assertIsNone(self.gateway.ended())
        self.hold.unlink()
        device.expect(sn.CONNACK)
        self.assertEqual(self.gateway.wait_end(10), 0)
        with self.assertRaises(Silence):
            late.receive(0)
        self.gateway.start()
        self.assertEqual(list(self.gateway.sessions()), ["d"])
        late.connect()

    def test_second_sigterm_ends_at_once_though_the_disk_hangs(self):
        self.hanging()
        self.gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "SIGTERM: ending" in self.gateway.text(), "it is ending")
        self.gateway.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.gateway.wait_end(3), 1)  # the drain alone takes 5 s
        self.assertIn("second signal", self.gateway.text())

    def test_sigterm_ends_within_the_time_of_the_unit_though_the_disk_hangs(self):
        self.hanging()
        limit = int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)[1])
        started = time.monotonic()
        self.gateway.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.gateway.wait_end(limit), 1)
        self.assertLess(time.monotonic() - started, limit * 2 / 3)
        self.assertIn("not everything could be written", self.gateway.text())

    def test_sigterm_during_a_start_that_waits_for_the_disk_ends_at_once(self):
        self.hang_disk()
        self.gateway.write_config()
        self.gateway.launch()
        wait_until(lambda: self.log.exists() and self.log.stat().st_size > 0, "it opened its store")
        self.gateway.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.gateway.wait_end(3), -signal.SIGTERM)

    def test_after_an_orderly_end_a_power_failure_takes_nothing_not_even_qos_0(self):
        disk = powerloss.Disk(self.gateway.state.resolve(), self.log, seed=1)
        disk.begin()
        self.start_gateway()
        device = self.device("d").connect()
        device.subscribe("t", qos=1)
        device.sleep()
        broker = self.broker.client()
        broker.publish("t", b"qos 0", qos=0)
        broker.publish("t", b"qos 1", qos=1)
        self.wait_kept("d", 2)
        self.assertEqual(self.gateway.stop(), 0)
        disk.fail(share=0)
        self.gateway.start()
        self.assertEqual(self.texts(device, device.wake()), [("t", b"qos 0"), ("t", b"qos 1")])

    def test_the_log_of_the_disk_shows_every_octet(self):
        """The proof that powerloss.c sees all writes: what it saw is what is there."""
        disk = powerloss.Disk(self.gateway.state.resolve(), self.log, seed=1)
        disk.begin()
        self.start_gateway()
        device = self.device("d").connect()
        for i in range(50):
            device.register(f"some/topic/{i}")
        self.gateway.kill()
        disk.replay()
        for path in self.gateway.state.iterdir():
            if not path.name.endswith("-shm"):
                self.assertEqual(disk.entries[path.name].cached(), path.read_bytes(), path.name)


if __name__ == "__main__":
    main()
