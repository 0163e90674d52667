# SPDX-License-Identifier: Apache-2.0
"""What is written to the disk (design section 1 rule 5): nothing for what goes straight through."""

import mqttsn as sn
from harness import SystemTest, main, wait_until


class Wear(SystemTest):
    def settled(self):
        """The store's status once everything appended is committed, deletions too (rule 4)."""
        def store():
            status = self.gateway.status()["store"]
            return status if status["appended"] == status["committed"] else None
        return wait_until(store, "everything is committed")

    def written_by(self, action):
        """(octets, commits) that the store wrote because of it."""
        before = self.settled()
        action()
        after = self.settled()
        return (after["written_octets"] - before["written_octets"],
                after["commits"] - before["commits"])

    def active_device(self):
        # The broker is fast, but the machine of a test may not be.
        self.start_gateway(sessions={"store_after": "30s"})
        device = self.device("active").connect()
        device.subscribe("down", qos=1)
        return device, device.register("up")

    def test_messages_that_go_straight_through_write_nothing(self):
        device, up = self.active_device()
        broker = self.broker.client()

        def traffic():
            for number in range(20):
                self.assertEqual(device.publish(up, b"%d" % number), sn.ACCEPTED)
                device.publish(up, b"zero", qos=0)
                for qos in (0, 1):
                    broker.publish("down", b"%d" % number, qos=qos)
                    device.take()
        self.assertEqual(self.written_by(traffic), (0, 0))

    def test_wake_cycle_without_a_message_writes_nothing(self):
        self.start_gateway()
        device = self.device("sleeper").connect()
        device.subscribe("down")
        device.sleep()

        def cycles():
            for _ in range(20):
                self.assertEqual(device.wake(), [])
                device.sleep()
        self.assertEqual(self.written_by(cycles), (0, 0))

    def test_message_that_waits_is_written_and_its_end_too(self):
        self.start_gateway()
        device = self.device("sleeper").connect()
        device.subscribe("down")
        device.sleep()

        def wait():
            self.broker.client().publish("down", b"kept")
            self.gateway.wait_queued("sleeper", 1)
        octets, commits = self.written_by(wait)
        self.assertEqual(commits, 1)
        self.assertGreater(octets, 0)
        octets, commits = self.written_by(device.wake)
        self.assertEqual(commits, 1)
        self.assertGreater(octets, 0)

    def test_store_shows_its_size_and_what_of_it_is_free(self):
        self.start_gateway()
        device = self.device("sleeper").connect()
        device.subscribe("down")
        device.sleep()
        broker = self.broker.client()
        for _ in range(50):
            broker.publish("down", b"x" * 1000)
        self.gateway.wait_queued("sleeper", 50)
        full = self.settled()
        device.wake()
        empty = self.settled()
        self.assertGreater(empty["free_octets"], full["free_octets"] + 30000)
        self.assertLess(empty["free_octets"], empty["file_octets"])
        text = self.command("--socket", self.gateway.socket, "status").stdout
        self.assertIn("of it free", text)


if __name__ == "__main__":
    main()
