# SPDX-License-Identifier: Apache-2.0
"""A serial line with a speed. Its far end is a pseudo terminal, which has none: what the gateway
writes reaches the nodes when a UART would have sent it, octet by octet one after the other, and so
do their answers on the way back. Nodes answer at once."""

import collections
import heapq
import os
import select
import statistics
import time

import mqttsn as sn
from device import ANSWER_S, Device, Silence

BITS = 10       # of an octet on the line
SPIN_S = 0.0005
Result = collections.namedtuple("Result", "seconds octets down intervals packets")


class PacedNode:
    """What a sleeping device that wakes does and gets."""

    def __init__(self, address):
        self.address = address
        self.packets = []

    def answers(self, packet):
        self.packets.append(packet)
        if packet.kind == sn.REGISTER:
            yield sn.regack(packet.topic_id, packet.msg_id)
        elif packet.kind == sn.PUBLISH and sn.qos_of(packet) == 1:
            yield sn.puback(packet.topic_id, packet.msg_id)

    def done(self):
        return bool(self.packets) and self.packets[-1].kind == sn.PINGRESP


class PacedLine:
    """`radio` is of a framing that answers nothing of its own. `spin`: keeps a processor busy while
    something is about to happen, to be exact to some microseconds."""

    def __init__(self, radio, baud, spin=False):
        self.radio = radio
        self.octet_s = BITS / baud
        self.spin = spin
        self.events = []       # (time, order, what to do at that time, its argument)
        self.order = 0
        self.free_at = {"down": 0.0, "up": 0.0}
        self.octets = {}
        self.reached_at = []   # of each frame of the gateway

    def at(self, when, action, argument):
        self.order += 1
        heapq.heappush(self.events, (when, self.order, action, argument))

    def pass_octets(self, way, now, count):
        """They are on the line once what was before is through. Returns when the last one is."""
        self.octets[way] += count
        self.free_at[way] = max(self.free_at[way], now) + count * self.octet_s
        return self.free_at[way]

    def from_gateway(self, octets):
        now = time.monotonic()
        for octet in octets:
            through = self.pass_octets("down", now, 1)
            self.radio.hear(bytes([octet]))
            for address, inbox in self.radio.inboxes.items():
                while inbox:
                    self.at(through, self.reach_node, (through, address, inbox.popleft()))

    def reach_node(self, frame):
        when, address, raw = frame
        node = self.nodes[address]
        for answer in node.answers(sn.decode(raw)):
            self.from_node(node, answer, when)
        self.reached_at.append(when)

    def from_node(self, node, message, when):
        octets = self.radio.frame(node.address, message)
        self.at(self.pass_octets("up", when, len(octets)), self.radio.write, octets)

    def wait(self):
        """Until octets have come (returned) or an event is due."""
        master = self.radio.line.master
        deadline = time.monotonic() + ANSWER_S
        while True:
            due = self.events[0][0] if self.events else deadline
            left = due - time.monotonic()
            if self.spin:
                left = left - SPIN_S if self.events else 0
            if select.select([master], [], [], max(left, 0))[0]:
                return os.read(master, 4096)
            if time.monotonic() >= due:
                if not self.events:
                    raise Silence("the gateway says nothing more")
                return b""

    def wake(self, nodes):
        """An awake period of nodes {client id: PacedNode}, all at once."""
        self.nodes = {node.address: node for node in nodes.values()}
        started_at = time.monotonic()
        self.octets, self.reached_at = {"down": 0, "up": 0}, []
        for client_id, node in nodes.items():
            self.from_node(node, sn.pingreq(client_id), started_at)
        while not all(node.done() for node in nodes.values()):
            octets = self.wait()
            if octets:
                self.from_gateway(octets)
            while self.events and self.events[0][0] <= time.monotonic():
                _, _, action, argument = heapq.heappop(self.events)
                action(argument)
        intervals = [later - earlier
                     for earlier, later in zip(self.reached_at, self.reached_at[1:])]
        return Result(self.reached_at[-1] - started_at, sum(self.octets.values()),
                      self.octets["down"], intervals,
                      {client_id: node.packets for client_id, node in nodes.items()})

    def utilisation(self, result):
        """Time that the octets of both directions need, by the time taken."""
        return result.octets * self.octet_s / result.seconds

    def typical_utilisation(self, result):
        """By the median time from frame to frame: what a machine reaches that is not disturbed."""
        octets = result.octets / len(self.reached_at)
        return octets * self.octet_s / statistics.median(result.intervals)


def fall_asleep_with_queue(radio, gateway, publish, count, qos, node_ids):
    """Devices that sleep, each with `count` messages 0, 1, 2, ... waiting. `publish` is for topic,
    payload and QoS. Returns the nodes for PacedLine.wake."""
    nodes = {}
    for number, address in enumerate(node_ids):
        device = Device(f"line-{number}", radio.node(address)).connect()
        device.subscribe(f"line/{number}", qos=1)
        device.sleep()
        nodes[device.client_id] = PacedNode(address)
    for message in range(count):
        for number in range(len(node_ids)):
            publish(f"line/{number}", b"%020d" % message, qos)
    for client_id in nodes:
        gateway.wait_queued(client_id, count)
    return nodes


# name: (QoS, node ids)
CASES = {
    "QoS 1, one node": (1, [None]),
    "QoS 0, one node": (0, [None]),
    "QoS 1, 8 nodes awake": (1, [bytes([number]) for number in range(1, 9)]),
}
