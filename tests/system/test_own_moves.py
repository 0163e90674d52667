# SPDX-License-Identifier: Apache-2.0
"""Own connections when something ends: a broker that is away, limits, wills, and a device that
moves to another gateway (design sections 6 and 14)."""

import os

import mqttsn as sn
from harness import main, wait_until
from own import OwnTest, session_present


class Away(OwnTest):
    BROKER = False

    def test_only_a_device_that_is_known_may_connect(self):  # R107
        self.broker.start()
        self.start()
        known = self.device("known").connect()
        known.subscribe("in/#")
        topic_id = known.register("out")
        self.broker.wait_saved(b"in/#")
        self.broker.kill()
        self.gateway.wait_broker("waiting")
        self.assertEqual(known.publish(topic_id, b"spooled"), sn.ACCEPTED)
        self.restart_gateway(online=False)
        known.connect()
        self.assertEqual(self.device("new").ask(sn.connect("new"), sn.CONNACK).code, sn.CONGESTION)
        known.subscribe("in/#")
        watcher = self.start_broker_with_watcher("out")
        self.assertEqual(watcher.receive(), [("out", b"spooled")])
        self.wait_there("known")
        self.device("new").connect()

    def test_own_max_leaves_no_room_for_one_more(self):
        self.broker.start()
        self.start(sessions={"own_max": 2})
        first, second = self.device("a").connect(clean=True), self.device("b").connect()
        self.assertEqual(self.device("c").ask(sn.connect("c"), sn.CONNACK).code, sn.CONGESTION)
        first.disconnect()
        self.wait_gone("a")
        self.device("c").connect()
        topic_id = second.register("t")
        self.assertEqual(second.publish(topic_id, b"x"), sn.ACCEPTED)

    def test_too_few_open_files_are_said_and_limit_the_connections(self):
        self.broker.start()
        self.gateway.prefix = ["prlimit", "--nofile=322:322"]
        if os.geteuid() == 0:  # who may raise any limit
            self.gateway.prefix += ["setpriv", "--bounding-set=-sys_resource"]
        self.start(sessions={"own_max": 5000})
        self.assertIn("own_max = 5000 needs 5320 open files, and the system allows 322: no more "
                      "than 2 own connections at once", self.gateway.text())
        self.device("a").connect()
        self.device("b").connect()
        self.assertEqual(self.device("c").ask(sn.connect("c"), sn.CONNACK).code, sn.CONGESTION)


class Wills(OwnTest):
    def watch(self):
        watcher = self.broker.client("watcher")
        watcher.subscribe("wills/#")
        return watcher

    def test_of_the_gateway_is_said_on_the_connection_of_the_device(self):
        self.start(sessions={"tolerance": "1.1"})
        watcher = self.watch()
        device = self.device("d").connect_with_will("wills/d", b"lost", keepalive=1)
        self.assertEqual(watcher.receive(), [("wills/d", b"lost")])
        self.wait_gone("d")
        self.assertEqual(len(self.broker.lines("Received PUBLISH from d ", "wills/d")), 1)
        self.assertTrue([line for line in self.broker.lines("Received DISCONNECT from d")
                         if line.endswith(" d")])
        device.connect()

    def test_of_the_gateway_is_silent_when_the_gateway_dies(self):
        self.start()
        watcher = self.watch()
        device = self.device("d").connect_with_will("wills/d", b"lost")
        self.restart_gateway()
        self.wait_there("d")
        device.ping()
        device.disconnect()
        self.wait_gone("d")
        watcher.publish("wills/end", b"")
        self.assertEqual(watcher.receive(), [("wills/end", b"")])

    def test_of_the_broker_is_published_when_the_gateway_dies(self):
        self.start(sessions={"will": "broker"})
        watcher = self.watch()
        self.device("d").connect_with_will("wills/d", b"gone")
        self.wait_there("d")
        self.gateway.kill()
        self.assertEqual(watcher.receive(), [("wills/d", b"gone")])

    def test_of_the_broker_follows_loss_and_not_a_goodbye(self):  # R31, R39
        self.start(sessions={"will": "broker", "tolerance": "1.1"})
        watcher = self.watch()
        device = self.device("polite").connect_with_will("wills/polite", b"no")
        device.disconnect()
        self.wait_gone("polite")
        self.device("lost").connect_with_will("wills/lost", b"yes", keepalive=1)
        self.assertEqual(watcher.receive(), [("wills/lost", b"yes")])
        self.assertEqual(self.broker.lines("Received PUBLISH from lost "), [])
        changed = self.device("new").connect_with_will("wills/new", b"old", keepalive=2)
        changed.accepted(sn.message(sn.WILLMSGUPD, b"new"), sn.WILLMSGRESP)
        self.assertEqual(watcher.receive(), [("wills/new", b"new")])

    def test_of_the_broker_is_not_published_when_the_gateway_is_stopped(self):
        self.start(sessions={"will": "broker"})
        watcher = self.watch()
        self.device("d").connect_with_will("wills/d", b"no")
        self.wait_there("d")
        self.gateway.stop()
        self.wait_gone("d")
        watcher.publish("wills/end", b"")
        self.assertEqual(watcher.receive(), [("wills/end", b"")])


class Fleet(OwnTest):
    def test_session_moves_to_another_gateway_without_a_war(self):  # R107
        self.move("5")

    def test_session_moves_with_a_broker_of_mqtt_3_1_1(self):
        self.move("3.1.1")

    def move(self, version):
        self.start(broker={"version": version})
        second = self.second_gateway(broker={"version": version})
        here = self.device("roamer").connect()
        here.subscribe("in/#")
        here.sleep()
        watcher = self.broker.client()
        watcher.publish("in/1", b"1")
        wait_until(lambda: self.broker.lines("Sending PUBLISH to roamer"), "it is on its way")
        there = self.device_at(second, "roamer").connect()
        there.names = here.names
        self.assertEqual(self.texts(there, there.take()), [("in/1", b"1")])
        wait_until(lambda: self.gateway.sessions()["roamer"]["state"] == "disconnected",
                   "the first gateway has given it up")
        watcher.publish("in/2", b"2")
        self.assertEqual(self.texts(there, there.take()), [("in/2", b"2")])
        self.assertLessEqual(self.connects("roamer"), 6)
        # And back again.
        here.connect()
        watcher.publish("in/3", b"3")
        self.assertEqual(self.texts(here, here.take()), [("in/3", b"3")])
        wait_until(lambda: second.sessions()["roamer"]["state"] == "disconnected",
                   "the second gateway has given it up")
        # What the second forgets now is not its to end at the broker.
        self.assertEqual(second.ask("forget", client_id="roamer").get("error"), None)
        watcher.publish("in/4", b"4")
        self.assertEqual(self.texts(here, here.take()), [("in/4", b"4")])
        self.assertLessEqual(self.connects("roamer"), 12)
        here.disconnect()
        self.wait_gone("roamer")
        self.assertTrue(session_present(self.broker.port, "roamer"))


if __name__ == "__main__":
    main()
