# SPDX-License-Identifier: Apache-2.0
"""Own connections of devices (design section 6, `upstream = own`): what the broker sees of a device
and where messages wait for it."""

import mqttsn as sn
from harness import main, wait_until
from own import OwnTest, session_present


class Identity(OwnTest):
    BROKER = False

    def test_broker_sees_each_device_and_enforces_its_rules(self):  # R106
        self.allow("pattern readwrite dev/%c/#\npattern readwrite user/%u/#\nuser pump\n"
                   "topic read common/#", pump="secret", well="deep")
        self.broker.start()
        (self.directory / "pw").write_text("deep\n")
        (self.directory / "pw").chmod(0o600)
        self.start(**{"client_pump-*": {"username": "pump", "password": "secret"},
                      "client_well-*": {"username": "well",
                                        "password_file": self.directory / "pw"}})
        watcher = self.broker.client()
        watcher.subscribe("#", 1)
        pump, well = self.device("pump-1").connect(), self.device("well-1").connect()
        self.assertEqual(len(self.broker.lines("New client connected", "as pump-1 ", "u'pump'")), 1)
        self.assertEqual(len(self.broker.lines("New client connected", "as well-1 ", "u'well'")), 1)
        self.assertEqual(pump.publish(pump.register("dev/pump-1/t"), b"1"), sn.ACCEPTED)
        self.assertEqual(pump.publish(pump.register("user/pump/t"), b"2"), sn.ACCEPTED)
        self.assertEqual(well.publish(well.register("dev/well-1/t"), b"3"), sn.ACCEPTED)
        self.assertEqual(watcher.receive(3), [("dev/pump-1/t", b"1"), ("user/pump/t", b"2"),
                                              ("dev/well-1/t", b"3")])
        pump.subscribe("common/#")
        pump.subscribe("dev/#")
        watcher.publish("dev/pump-1/cmd", b"go")
        watcher.publish("dev/well-1/cmd", b"not for it")
        watcher.publish("common/x", b"for all")
        self.assertEqual(self.texts(pump, pump.take(2)),
                         [("dev/pump-1/cmd", b"go"), ("common/x", b"for all")])
        # What it may not is the broker's to refuse.
        self.assertNotEqual(pump.publish(pump.register("dev/well-1/t"), b"no"), sn.ACCEPTED)
        self.assertNotEqual(well.publish(well.register("user/pump/t"), b"no"), sn.ACCEPTED)

    def test_wrong_credentials_are_refused_and_heal_with_a_reload(self):
        self.allow("user pump\ntopic readwrite #", pump="secret")
        self.broker.start()
        self.start(**{"client_pump-*": {"username": "pump", "password": "wrong"}})
        device = self.device("pump-1")
        answer = device.ask(sn.connect("pump-1"), sn.CONNACK)
        self.assertEqual(answer.code, sn.NOT_SUPPORTED)
        self.assertEqual(self.gateway.status()["own"]["refusals"], 1)
        self.device("other").connect()
        self.gateway.config["client pump-*"]["password"] = "secret"
        self.gateway.write_config()
        self.assertEqual(self.command("--socket", self.gateway.socket, "reload").returncode, 0)
        device.connect()
        self.assertEqual(device.publish(device.register("t"), b"x"), sn.ACCEPTED)

    def test_known_device_whose_password_ends_is_told_at_its_next_contact(self):  # R105
        self.allow("user pump\ntopic readwrite #", pump="secret")
        self.broker.start()
        self.start(**{"client_pump-*": {"username": "pump", "password": "secret"}})
        device = self.device("pump-1").connect()
        self.gateway.config["client pump-*"]["password"] = "wrong"
        self.gateway.write_config()
        self.assertEqual(self.command("--socket", self.gateway.socket, "reload").returncode, 0)
        wait_until(lambda: self.gateway.sessions()["pump-1"]["state"] == "disconnected",
                   "it is not connected any more")
        shown = self.gateway.ask("show", client_id="pump-1")["own"]
        self.assertEqual(shown["connection"], "refused")
        self.assertIn("not authorized", shown["error"])
        device.ask(sn.pingreq(), sn.DISCONNECT)
        answer = device.ask(sn.connect("pump-1"), sn.CONNACK)
        self.assertEqual(answer.code, sn.NOT_SUPPORTED)

    def test_mixed_with_devices_that_share_one(self):  # R106
        self.broker.start()
        self.start_gateway(**{"client_own-*": {"upstream": "own"}})
        own, shared = self.device("own-1").connect(), self.device("plain-1").connect()
        for device in (own, shared):
            device.subscribe("all/#")
            device.subscribe(f"only/{device.client_id}")
        self.assertEqual(self.connects("own-1"), 1)
        self.assertEqual(self.connects("plain-1"), 0)
        sessions = self.gateway.sessions()
        self.assertEqual(sessions["own-1"]["own"], "connected")
        self.assertEqual(sessions["plain-1"]["own"], "shared")
        self.assertEqual(self.gateway.ask("show", client_id="own-1")["own"],
                         {"connection": "connected", "hold": "broker", "error": ""})
        self.assertIsNone(self.gateway.ask("show", client_id="plain-1")["own"])
        told = {name: self.command("--socket", self.gateway.socket, *name.split()).stdout
                for name in ("status", "sessions", "show own-1")}
        self.assertIn("\nOwn       1 connected, 0 connecting, 0 closed, 0 refused, 0 taken over\n",
                      told["status"])
        self.assertRegex(told["sessions"], r"own-1 .* kept, own ")
        self.assertRegex(told["sessions"], r"plain-1 .* kept +[^,]")
        self.assertIn("connection of its own connected, messages wait at the broker",
                      told["show own-1"])
        watcher = self.broker.client()
        watcher.publish("all/x", b"both")
        watcher.publish("only/own-1", b"1")
        watcher.publish("only/plain-1", b"2")
        self.assertEqual(self.texts(own, own.take(2)), [("all/x", b"both"), ("only/own-1", b"1")])
        self.assertEqual(self.texts(shared, shared.take(2)),
                         [("all/x", b"both"), ("only/plain-1", b"2")])
        topic_id = own.register("only/plain-1")
        self.assertEqual(own.publish(topic_id, b"hello"), sn.ACCEPTED)
        self.assertEqual(self.texts(shared, shared.take()), [("only/plain-1", b"hello")])


    def test_qos_minus_one_goes_over_the_connection_of_the_gateway(self):  # R110
        self.broker.start()
        self.start(udp_lan={"qos_minus_one": "yes", "topics.7": "yard/button"})
        watcher = self.broker.client()
        watcher.subscribe("yard/button")
        self.device("").send(sn.publish(7, 0, b"pressed", 3, sn.PREDEFINED))
        self.assertEqual(watcher.receive(), [("yard/button", b"pressed")])
        self.assertTrue(self.broker.lines("Received PUBLISH from dormouse-test"))


class HoldAtBroker(OwnTest):
    def test_what_comes_while_it_is_away_waits_at_the_broker(self):
        self.start()
        device = self.device("d").connect()
        device.subscribe("in/#", 2)
        broker = self.broker.client()
        device.sleep()
        broker.publish("in/1", b"asleep")
        self.assertEqual(self.texts(device, device.wake()), [("in/1", b"asleep")])
        device.disconnect()
        self.wait_gone("d")
        broker.publish("in/1", b"disconnected")
        self.assertEqual(self.gateway.sessions()["d"]["queued"], 0)
        device.connect()
        self.assertEqual(self.texts(device, device.take()), [("in/1", b"disconnected")])
        self.assertEqual(self.gateway.rows("message"), [])

    def test_nothing_is_lost_over_kills_of_gateway_and_broker(self):  # R105
        self.start()
        device = self.device("d").connect()
        device.subscribe("in/#", 1)
        broker = self.broker.client()
        device.sleep()
        broker.publish("in/1", b"1")
        self.gateway.kill()
        broker.publish("in/1", b"2")
        self.broker.wait_saved(b"in/1")
        self.broker.kill()
        self.broker.start()
        broker = self.broker.client()
        broker.publish("in/1", b"3")
        self.gateway.start()
        self.wait_there("d")
        found = []
        while len(set(found)) < 3:
            found += [payload for _, payload in self.texts(device, device.wake())]
        self.assertEqual(sorted(set(found)), [b"1", b"2", b"3"])

    def test_qos_2_comes_once_however_the_gateway_dies(self):
        self.start()
        device = self.device("d").connect()
        device.subscribe("in", 2)
        broker = self.broker.client()
        seen = []
        for round_ in range(3):  # killed after PUBLISH, after PUBREC, after PUBCOMP
            broker.publish("in", b"%d" % round_, 2)
            packet = device.take()[0]
            self.assertEqual(sn.qos_of(packet), 2)
            if round_ == 0:
                self.restart_gateway()
                again = device.take()[0]
                self.assertEqual((again.msg_id, again.data), (packet.msg_id, packet.data))
            device.send(sn.step(sn.PUBREC, packet.msg_id))
            rel = device.expect(sn.PUBREL)
            self.assertEqual(rel.msg_id, packet.msg_id)
            seen.append(packet.data)
            if round_ == 1:
                self.restart_gateway()
                rel = device.expect(sn.PUBREL)
                self.assertEqual(rel.msg_id, packet.msg_id)
            device.send(sn.step(sn.PUBCOMP, packet.msg_id))
            self.ping(device)
            if round_ == 2:
                self.restart_gateway()
        self.ping(device)
        broker.publish("in", b"last", 1)
        self.assertEqual(device.take()[0].data, b"last")  # and nothing before it
        self.assertEqual(seen, [b"0", b"1", b"2"])

    def ping(self, device):
        """A PUBREL may have been repeated meanwhile."""
        device.send(sn.pingreq())
        while (packet := device.receive()).kind == sn.PUBREL:
            device.send(sn.step(sn.PUBCOMP, packet.msg_id))
        self.assertEqual(packet.kind, sn.PINGRESP)

    def test_clean_session_leaves_nothing_at_the_broker(self):
        self.start()
        device = self.device("d").connect(clean=True)
        device.subscribe("in/#")
        self.assertEqual(self.connects("d"), 2)  # the first wiped what may have been there
        device.disconnect()
        wait_until(lambda: self.connects("d") == 3, "the gateway wiped the session")
        self.wait_gone("d")
        wait_until(lambda: self.gateway.sessions() == {}, "nothing is known of it")
        self.assertFalse(session_present(self.broker.port, "d"))
        keeper = self.device("k").connect()
        keeper.subscribe("in/#")
        keeper.disconnect()
        self.wait_gone("k")
        self.assertTrue(session_present(self.broker.port, "k"))

    def test_session_that_is_forgotten_while_the_broker_is_away_is_wiped_later(self):
        self.start()
        self.device("d").connect().subscribe("in/#")
        self.broker.wait_saved(b"in/#")
        self.broker.kill()
        self.gateway.wait_broker("waiting")
        self.assertEqual(self.gateway.ask("forget", client_id="d").get("error"), None)
        wait_until(lambda: self.gateway.rows("session") == [], "that is on disk")
        self.restart_gateway(online=False)  # it remembers
        self.broker.start()
        wait_until(lambda: self.connects("d") >= 1, "the gateway wiped the session")
        self.wait_gone("d")
        self.assertFalse(session_present(self.broker.port, "d"))
        self.gateway.wait_broker("connected")
        self.restart_gateway()
        self.assertEqual(self.connects("d"), 3)  # two of them by the question


class HoldAtGateway(OwnTest):
    def test_messages_wait_here_over_a_kill(self):
        self.start(sessions={"hold": "gateway"})
        device = self.device("d").connect()
        device.subscribe("in/#")
        broker = self.broker.client()
        device.sleep()
        broker.publish("in/1", b"1")
        self.gateway.wait_queued("d", 1)
        wait_until(lambda: not self.broker.unacknowledged("d"), "the broker was told")
        self.broker.kill()
        self.broker.forget_all()
        self.restart_gateway(online=False)
        self.assertEqual(self.texts(device, device.wake()), [("in/1", b"1")])
        self.broker.start()
        wait_until(lambda: self.broker.lines("Sending SUBACK to d"), "it subscribed again")
        self.broker.client().publish("in/2", b"2")
        self.gateway.wait_queued("d", 1)
        self.assertEqual(self.texts(device, device.wake()), [("in/2", b"2")])

    def test_disconnected_device_stays_connected_at_the_broker(self):
        self.start(sessions={"hold": "gateway"})
        device = self.device("d").connect()
        device.subscribe("in/#")
        device.disconnect()
        self.broker.client().publish("in/1", b"1")
        self.gateway.wait_queued("d", 1)
        self.assertTrue(self.is_there("d"))
        device.connect()
        self.assertEqual(self.texts(device, device.take()), [("in/1", b"1")])


if __name__ == "__main__":
    main()
