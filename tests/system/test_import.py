# SPDX-License-Identifier: Apache-2.0
"""dormouse import: configurations of Paho gateways (tests/system/paho), and a gateway run by one."""

import os
import pathlib

from harness import SystemTest, main, wait_until

SAMPLES = pathlib.Path(__file__).parent / "paho"


class Import(SystemTest):
    BROKER = False

    def take(self, path, *options, status=0):
        """Imports a file. Returns what went to stdout and stderr."""
        done = self.command("import", *options, "paho", path)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        return done.stdout, done.stderr

    def check(self, ini):
        path = self.directory / "imported.ini"
        path.write_text(ini)
        return self.command("check", path)

    def test_findings_are_lines_and_comments_and_counted(self):
        for sample in ("house/gateway.conf", "secure/gateway.conf", "old/param.conf", "radio/gateway.conf"):
            with self.subTest(sample=sample):
                ini, said = self.take(SAMPLES / sample)
                findings = said.splitlines()
                self.assertEqual(findings.pop(), f"dormouse import: {len(findings)} findings")
                self.assertEqual(findings, [line[2:] for line in ini.splitlines()
                                            if line.startswith(f"; {SAMPLES}")])

    def test_house_is_accepted_as_it_stands(self):
        ini, said = self.take(SAMPLES / "house/gateway.conf")
        checked = self.check(ini)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        for line in ("url = mqtt://broker.example.org:1884", "username = house", "max_clients = 30",
                     "listen = 0.0.0.0:10000", "multicast = 225.1.1.1:1883", "multicast_ttl = 2",
                     "forwarders = 192.0.2.15 192.0.2.16", "qos_minus_one = names",
                     "topics.7 = house/bell", "2 = house/alarm", "[client Kitchen]"):
            self.assertIn(f"\n{line}\n", ini)
        for line in ("gateway.conf:27: Sleepwalking: unknown key", "gateway.conf:29: expected KEY=VALUE",
                     "clients.conf:11: expected fields", "clients.conf:3: Attic: unknown word",
                     "gateway.conf:28: GatewayID: not taken over: line 2", "predefinedTopic.conf:9: Lodge:",
                     "gateway.conf:18: PredefinedTopicList: is not there"):
            self.assertIn(f"{SAMPLES}/house/{line}", said)
        self.assertNotIn("sesame", ini + said)

    def test_tls_and_authentication_are_written_by_their_keys(self):
        ini, said = self.take(SAMPLES / "secure/gateway.conf")
        for line in ("url = mqtts://[2001:db8::7]:8884", "ca_file = /etc/ssl/ca.pem",
                     "cert_file = /etc/ssl/plant.pem", "key_file = /etc/ssl/plant.key",
                     "upstream = own", "unknown_clients = reject",
                     "[client Pump1]\naddress = udp:lan:192.0.2.21:12001\ntopics.5 = plant/pump1"):
            self.assertIn(f"\n{line}\n", ini)
        self.assertNotIn("AggregatingGateway", said)

    def test_old_names_and_lists_are_known(self):
        ini, _ = self.take(SAMPLES / "old/param.conf")
        for line in ("url = mqtts://localhost:8883", "listen = [::]:1885", "multicast = [ff02::1]:1885",
                     "interface = lo", "multicast_ttl = 5", "forwarders = 2001:db8::9", "qos_minus_one = names"):
            self.assertIn(f"\n{line}\n", ini)

    def test_network_is_chosen(self):
        ini, _ = self.take(SAMPLES / "radio/gateway.conf")
        self.assertIn("\n[serial xbee]\ndevice = /dev/ttyUSB0\nframing = xbee\n", ini)
        self.assertEqual(self.check(ini).stderr, "")
        ini, _ = self.take(SAMPLES / "radio/gateway.conf", "--network", "loralink")
        self.assertIn("\n[serial loralink]\ndevice = /dev/loralinkRx\ntx_device = /dev/loralinkTx\n", ini)
        self.assertEqual(self.check(ini).stderr, "")

    def test_what_cannot_be_read_is_named_and_nothing_printed(self):
        path = self.directory / "gateway.conf"
        self.assertEqual(self.take(path, status=1), (
            "", f"dormouse import: {path}: cannot be read: No such file or directory\n"))
        path.write_text("PredefinedTopic=YES\nPredefinedTopicList=/nowhere/topics.conf\n")
        self.assertEqual(self.take(path, status=1), (
            "", "dormouse import: /nowhere/topics.conf: the list cannot be read: No such file or directory\n"))
        path.write_text("QoS-1=YES\nQoS-1ClientsList=/nowhere/senders.conf\n")
        self.assertIn("/nowhere/senders.conf: the list cannot be read", self.take(path, status=1)[1])
        path.write_text("ClientAuthentication=yes\n")
        self.assertIn("clients.conf: the list cannot be read", self.take(path, status=1)[1])
        path.unlink()
        os.mkfifo(path)
        self.assertIn("not a regular file", self.take(path, status=1)[1])
        self.assertIn("Is a directory", self.take(self.directory, status=1)[1])

    def test_lists_are_read_from_where_the_file_says(self):
        lists = self.directory / "lists"
        lists.mkdir()
        (lists / "topics").write_text("*,a/b,1\n")
        path = self.directory / "gateway.conf"
        for named in (lists / "topics", "lists/topics"):
            path.write_text(f"GatewayPortNo=1\nBrokerName=b\nPredefinedTopic=YES\nPredefinedTopicList={named}\n")
            ini, said = self.take(path)
            self.assertIn("\n[topics]\n1 = a/b\n", ini)
            self.assertNotIn("PredefinedTopicList", said)

    def test_octets_of_any_kind_are_survived(self):
        path = self.directory / "gateway.conf"
        path.write_bytes(b"\xef\xbb\xbfGatewayPortNo=1\r\nBrokerName=b\r\n" + b"x" * 100000
                         + b"=1\nA\0=2\n\x1b[31m=3\nGatewayID=7")
        ini, said = self.take(path)
        self.assertIn("\nid = 7\n", ini)
        for line in (":3: line longer than 1023 octets", ":4: line contains a NUL octet",
                     ":5: \\x1b[31m: unknown key"):
            self.assertIn(f"{path}{line}", said)
        self.assertEqual(self.check(ini).stderr, "")

    def test_wrong_usage_is_told(self):
        for arguments in ((), ("paho",), ("rsmb", "x"), ("paho", "x", "y"), ("--network", "rfcomm", "paho", "x"),
                          ("--network",), ("--nonsense",)):
            with self.subTest(arguments=arguments):
                done = self.command("import", *arguments)
                self.assertEqual(done.returncode, 1)
                self.assertIn("dormouse import --help", done.stderr)
        self.assertIn("gateway.conf", self.command("import", "--help").stdout)

    def test_imported_gateway_serves_its_devices(self):
        self.broker.start()
        gateway = self.gateway
        path = self.directory / "gateway.conf"
        path.write_text(f"GatewayID=1\nGatewayName=House\nBrokerName=127.0.0.1\nBrokerPortNo={self.broker.port}\n"
                        f"AggregatingGateway=YES\nPredefinedTopic=YES\nGatewayPortNo={gateway.port}\n"
                        "ClientsList=clients.conf\n")
        (self.directory / "clients.conf").write_text("meter,127.0.0.1:12001\n")
        (self.directory / "predefinedTopic.conf").write_text("meter, house/meter, 7\n")
        ini, _ = self.take(path)
        gateway.config = {name: keys for name, keys in gateway.config.items()
                          if name in ("gateway", "control")}
        gateway.write_config()
        fragments = gateway.file.parent / "conf.d"
        fragments.mkdir()
        gateway.file.rename(fragments / "test.ini")
        gateway.file.write_text(ini)
        gateway.launch()
        wait_until(gateway.answers, "the control socket answers")
        gateway.wait_broker("connected")
        watcher = self.broker.client("watcher")
        watcher.subscribe("house/#")
        done = self.command("pub", "-p", gateway.port, "-i", "meter", "-q", "1", "-T", "7", "-m", "42")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(watcher.receive(), [("house/meter", b"42")])


if __name__ == "__main__":
    main()
