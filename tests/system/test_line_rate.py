# SPDX-License-Identifier: Apache-2.0
"""A slow line is kept busy and not flooded: 200 messages wait for devices that wake at 9600 baud.
tests/bench/line measures how busy."""

import line
import mqttsn as sn
from framings import Cobs
from harness import SystemTest, main

MESSAGES = 200


class LineRate(SystemTest):
    def check(self, case, messages=MESSAGES, baud=9600, retry="10s"):
        qos, node_ids = line.CASES[case]
        count = messages // len(node_ids)
        radio = Cobs(self.directory / "tty-slow")
        self.addCleanup(radio.close)
        self.gateway.config["serial slow"] = {**radio.config(), "baud": baud}
        self.start_gateway(sessions={"retry": retry})
        self.wait_link("slow")
        nodes = line.fall_asleep_with_queue(radio, self.gateway, self.broker.client().publish,
                                            count, qos, node_ids)
        paced = line.PacedLine(radio, baud)
        result = paced.wake(nodes)
        print(f"{case}: {result.octets} octets in {result.seconds:.2f} s, "
              f"{paced.utilisation(result):.1%} of the line ", end="", flush=True)
        for packets in result.packets.values():
            self.assertEqual([p.kind for p in packets], [sn.PUBLISH] * count + [sn.PINGRESP])
            self.assertEqual([p.data for p in packets[:-1]],
                             [b"%020d" % number for number in range(count)])
            self.assertEqual([p for p in packets if p.flags & sn.DUP], [])
            self.assertEqual({sn.qos_of(p) for p in packets[:-1]}, {qos})
        status = self.gateway.status()
        self.assertEqual(sum(status["queue"]["dropped"].values()), 0)
        slow = next(one for one in status["links"] if one["name"] == "slow")
        self.assertEqual(slow["rx_garbage"], 0)

    def test_time_in_the_queue_is_no_reason_to_repeat(self):
        # A second message waits 2.1 s behind those of the others and is answered 0.5 s after it
        # has left; the first answer waits 1.2 s behind what the nodes send when they wake.
        self.check("QoS 1, 8 nodes awake", messages=16, baud=1200, retry="2s")

    def test_qos_1_to_one_node_comes_once_and_in_order(self):
        self.check("QoS 1, one node")

    def test_qos_0_to_one_node_comes_in_order_and_nothing_is_dropped(self):
        self.check("QoS 0, one node")

    def test_qos_1_to_eight_nodes_comes_once_and_in_order_to_each(self):
        self.check("QoS 1, 8 nodes awake")


if __name__ == "__main__":
    main()
