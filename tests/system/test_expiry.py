# SPDX-License-Identifier: Apache-2.0
"""`expiry`: a persistent session without any contact goes, and leaves no trace. One minute is the
least that can be configured, so this is the one test that waits; the processor is free meanwhile.
"""

import time

import mqttsn as sn
from harness import SystemTest, main, wait_until

EXPIRY_S = 60


class Expiry(SystemTest):
    def test_only_sessions_without_contact_for_so_long_are_removed(self):
        self.start_gateway(sessions={"expiry": f"{EXPIRY_S}s", "tolerance": "1.1"})
        gone = self.device("gone-for-good").connect()
        gone.subscribe("only/gone")
        lost = self.device("lost-for-good").connect(keepalive=1)
        lost.subscribe("only/lost")
        asleep = self.device("asleep").connect()
        asleep.subscribe("for/all")
        asleep.sleep(600)
        silent = self.device("silent").connect(keepalive=0)  # R28: never supervised
        gone.disconnect()
        since = time.monotonic()
        self.gateway.wait_state("lost-for-good", "lost")
        self.broker.client().publish("only/gone", b"too late")
        self.wait_kept("gone-for-good", 1)
        wait_until(lambda: set(self.gateway.sessions()) == {"asleep", "silent"},
                   "the two sessions without contact are removed", EXPIRY_S + 15)
        self.assertGreater(time.monotonic() - since, EXPIRY_S - 1)
        self.wait_no_traces("gone-for-good", "lost-for-good", "only/", "too late")
        wait_until(lambda: len(self.broker.lines("Received UNSUBSCRIBE from dormouse-test")) == 2,
                   "the gateway unsubscribed from both filters")
        self.assertIn("client gone-for-good: session expired", self.gateway.text())
        silent.ping()
        self.assertEqual(asleep.wake(), [])
        gone.ask(sn.pingreq("gone-for-good"), sn.DISCONNECT)


if __name__ == "__main__":
    main()
