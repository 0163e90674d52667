# SPDX-License-Identifier: Apache-2.0
"""What the running gateway logs, and what it leaves out."""

import mqttsn as sn
from harness import SystemTest, main, wait_until


class Log(SystemTest):
    def start_with_level(self, level, **sections):
        self.gateway.debug = []
        self.start_gateway(gateway={"log_level": level}, **sections)

    def refuse(self, device):
        self.assertEqual(device.ask(sn.connect(device.client_id), sn.CONNACK).code, 3)

    def test_level_of_one_module(self):
        self.start_with_level("warning, packet=debug")
        self.device("talker").connect(clean=True)
        text = self.gateway.text()
        self.assertIn('packet: debug: ', text)
        self.assertNotIn("talker: connected", text)  # an info line of another module

    def test_repeats_are_folded(self):
        self.start_with_level("info", sessions={"client_id_max": 5})
        device = self.device("far-too-long")
        for _ in range(4):
            self.refuse(device)
        self.device("ok").connect(clean=True)
        wait_until(lambda: "client ok: connected" in self.gateway.text(), "the next line")
        lines = self.gateway.text().splitlines()
        refused = [line for line in lines if "CONNECT refused" in line]
        self.assertEqual(len(refused), 1, lines)
        after = lines[lines.index(refused[0]) + 1]
        self.assertEqual(after, "session: last message repeated 3 times")

    def test_repeats_are_told_although_nothing_else_happens(self):
        self.start_with_level("info", sessions={"client_id_max": 5})
        device = self.device("far-too-long")
        for _ in range(3):
            self.refuse(device)
        wait_until(lambda: "session: last message repeated 2 times" in self.gateway.text(),
                   "the count of the repeats")


if __name__ == "__main__":
    main()
