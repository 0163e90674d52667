# SPDX-License-Identifier: Apache-2.0
"""Mosquitto as docs/brokers.md has it configured: users, passwords, access rules, small windows."""

import subprocess

import mqttsn as sn
from harness import SystemTest, main, wait_until

PASSWORD = "s3cret;word"


class Configured(SystemTest):
    BROKER = False

    def configure(self, *lines):
        text = self.broker.config.read_text()
        for line in lines:
            key = line.split()[0]
            kept = [old for old in text.splitlines() if old.split()[:1] != [key]]
            text = "\n".join([*kept, line]) + "\n"
        self.broker.config.write_text(text)


class Access(Configured):
    def setUp(self):
        super().setUp()
        passwords = self.directory / "passwords"
        rules = self.directory / "rules"
        subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "farm", PASSWORD], check=True)
        rules.write_text("topic readwrite #\nuser farm\ntopic readwrite field/#\ntopic read cmd/#\n")
        # The test's own client has no name; it may do everything.
        self.configure("allow_anonymous true", f"password_file {passwords}", f"acl_file {rules}")
        self.secret = self.directory / "password"
        self.secret.write_text(PASSWORD + "\n")
        self.secret.chmod(0o600)

    def test_user_publishes_and_reads_what_the_rules_allow(self):
        self.broker.start()
        self.start_gateway(broker={"username": "farm", "password_file": self.secret})
        peer = self.broker.client()
        peer.subscribe("#")
        device = self.device("dev").connect()
        device.subscribe("cmd/#")
        allowed, forbidden = device.register("field/1"), device.register("cmd/1")
        self.assertEqual(device.publish(allowed, b"in"), sn.ACCEPTED)
        self.assertEqual(device.publish(forbidden, b"out"), sn.NOT_SUPPORTED)
        peer.publish("cmd/2", b"go")
        self.assertEqual(self.texts(device, device.take()), [("cmd/2", b"go")])
        self.assertEqual(peer.receive(2), [("field/1", b"in"), ("cmd/2", b"go")])

    def test_wrong_password_is_told_and_never_shown(self):
        self.broker.start()
        self.secret.write_text("wr0ngword\n")
        self.start_gateway(online=False,
                           broker={"username": "farm", "password_file": self.secret})
        wait_until(lambda: "0x87 not authorized" in self.gateway.status()["broker"]["error"],
                   "the broker refuses")
        shown = self.gateway.text() + str(self.gateway.status())
        self.assertNotIn("wr0ngword", shown)


class Window(Configured):
    def test_one_message_at_a_time(self):
        self.configure("max_inflight_messages 1")
        self.broker.start()
        self.start_gateway()
        peer = self.broker.client()
        peer.subscribe("field/#", 2)
        devices = [self.device(f"dev{i}").connect() for i in range(4)]
        ids = [device.register(f"field/{i}") for i, device in enumerate(devices)]
        for device in devices:
            device.subscribe("cmd")
        for round_ in range(3):  # all at once, of both kinds: each waits for the one before
            for i, (device, topic_id) in enumerate(zip(devices, ids)):
                device.send(sn.publish(topic_id, 100 + round_, b"%d" % round_, 1 + i % 2,
                                       sn.NORMAL))
            for i, device in enumerate(devices):
                device.expect(sn.PUBREC if i % 2 else sn.PUBACK)
                if i % 2:
                    device.ask(sn.step(sn.PUBREL, 100 + round_), sn.PUBCOMP)
        self.assertEqual(sorted(peer.receive(12)),
                         sorted((f"field/{i}", b"%d" % n) for i in range(4) for n in range(3)))
        for n in range(3):
            peer.publish("cmd", b"%d" % n)
        for device in devices:
            self.assertEqual([data for _, data in self.texts(device, device.take(3))],
                             [b"0", b"1", b"2"])


if __name__ == "__main__":
    main()
