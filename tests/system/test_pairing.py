# SPDX-License-Identifier: Apache-2.0
"""`dormouse pair`: a pseudo terminal plays the bridge of an Aquila network."""

import os
import select
import time

import mqttsn as sn
from framings import Aquila
from harness import WAIT_S, SystemTest, main, wait_until

OK, USAGE, CONNECTION, REFUSED = 0, 1, 2, 3
ENTER = bytes.fromhex("c0 03 03 01 22 1c c0")
LEAVE = bytes.fromhex("c0 03 03 00 03 0c c0")
HELLO = bytes.fromhex("c0 13 02 01")  # the configuration, as far as it does not depend on the key
REQUEST = bytes.fromhex("c0 11 22 08 03 02 00 00 03 03 5a ec 20 c0")  # of a node without address
RESPONSE = bytes.fromhex("c0 07 03 03 00 00 15 03 5a 01 01") + b"\xff" * 16  # address 1, pan 1


class Pairing(SystemTest):
    BROKER = False

    def start(self):
        self.bridge = self.pty("field", "aquila")
        self.pty("barn")
        self.start_gateway(online=False)
        self.heard = bytearray()

    def pair(self, *arguments):
        return self.command("--socket", self.gateway.socket, "pair", *arguments)

    def wait_heard(self, octets):
        """Returns what the gateway said before, and forgets both."""
        deadline = time.monotonic() + WAIT_S
        while octets not in self.heard:
            left = deadline - time.monotonic()
            self.assertTrue(left > 0 and select.select([self.bridge.master], [], [], left)[0],
                            f"the bridge heard {self.heard.hex(' ')}, not {octets.hex(' ')}")
            self.heard += os.read(self.bridge.master, 4096)
        before, _, self.heard = self.heard.partition(octets)
        return before

    def wait_logged(self, text):
        wait_until(lambda: text in self.gateway.text(), f"the log says: {text}")

    def test_node_joins_between_on_and_off(self):
        self.start()
        done = self.pair("field")
        self.assertEqual((done.returncode, done.stdout), (OK, "new nodes may join, for 60 s\n"))
        self.wait_heard(ENTER)
        self.bridge.write(REQUEST)
        self.wait_heard(RESPONSE)
        self.wait_logged("serial:field: a node joins and is given address 1")
        done = self.pair("field", "off")
        self.assertEqual((done.returncode, done.stdout), (OK, "no new node may join any more\n"))
        self.wait_heard(LEAVE)
        self.bridge.write(REQUEST)
        self.wait_logged("serial:field: a node asks to join, but pairing is off")
        self.assertIn("serial:field: new nodes may join, for 60 s", self.gateway.text())
        self.assertIn("serial:field: no new node may join any more", self.gateway.text())

    def test_address_of_a_session_is_not_given_to_another_node_after_a_restart(self):
        self.start()
        for message in (sn.connect("sleeper"), sn.disconnect(600)):
            self.bridge.write(Aquila.close_frame(b"\x30\x40" + bytes([5 + len(message), 0xFE, 1, 1, 0])
                                                 + message))
        wait_until(lambda: [s["state"] for s in self.gateway.ask("sessions")["sessions"]]
                   == ["asleep"], "the node sleeps")
        store = self.gateway.status()["store"]
        wait_until(lambda: self.gateway.status()["store"]["committed"] >= store["appended"],
                   "that is on disk")
        self.restart_gateway(online=False)
        self.heard.clear()
        self.pair("field")
        self.wait_heard(ENTER)
        self.bridge.write(REQUEST)
        self.wait_logged("serial:field: a node joins and is given address")
        self.assertIn("is given address 2", self.gateway.text())

    def replug(self):
        """With the configuration the gateway greets the bridge, after 2.2 s."""
        self.heard.clear()
        self.bridge.plug()
        self.wait_link("field")
        self.wait_heard(HELLO)

    def test_bridge_that_comes_back_is_told_again_unless_it_was_switched_off(self):
        self.start()
        self.pair("field", "on")
        self.wait_heard(ENTER)
        self.bridge.unplug()
        self.wait_link("field", up=False)
        self.replug()
        self.wait_heard(ENTER)
        self.bridge.unplug()
        self.wait_link("field", up=False)
        self.assertEqual(self.pair("field", "off").returncode, OK)
        self.replug()
        self.pair("field", "off")
        self.assertNotIn(ENTER, self.wait_heard(LEAVE))

    def test_links_that_cannot_are_refused_with_the_reason(self):
        self.start()
        self.bridge.unplug()
        self.wait_link("field", up=False)
        for link, reason in (("field", "is down"), ("barn", "cannot pair"), ("lan", "cannot pair"),
                             ("attic", "no link with this name")):
            done = self.pair(link)
            self.assertEqual((done.returncode, done.stdout), (REFUSED, ""), link)
            self.assertIn(reason, done.stderr)
        for fields in ({}, {"link": "field"}, {"link": 5, "on": True}, {"link": "field", "on": 1}):
            self.assertIn("pair needs", self.gateway.ask("pair", **fields)["error"])

    def test_wrong_usage_is_said_with_status_1(self):
        for arguments in ([], ["field", "maybe"], ["field", "on", "off"]):
            done = self.pair(*arguments)
            self.assertEqual((done.returncode, done.stdout), (USAGE, ""), arguments)
            self.assertIn("--help", done.stderr)
        self.assertEqual(self.pair("field").returncode, CONNECTION)
        self.assertIn("LINK [on|off]", self.pair("--help").stdout)


if __name__ == "__main__":
    main()
