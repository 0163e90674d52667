# SPDX-License-Identifier: Apache-2.0
"""TLS to the broker: what is accepted, what is refused and with which words, certificates of the
gateway, and files that change while the gateway runs."""

import shutil
import socket

from certificates import Authority, openssl
from harness import SystemTest, main, wait_until

TOPIC = "field/7"


class TlsTest(SystemTest):
    BROKER = False

    def setUp(self):
        super().setUp()
        self.ca = Authority(self.directory / "ca")
        self.plain = self.broker.port
        self.good = self.ca.issue("localhost")

    def listener(self, certificate, *options):
        """One more listener of the broker; returns its port."""
        port = self.ports.take()
        lines = [f"listener {port} 127.0.0.1", f"certfile {certificate[0]}",
                 f"keyfile {certificate[1]}", f"cafile {self.ca.file}", *options]
        with self.broker.config.open("a") as file:
            file.write("\n".join(lines) + "\n")
        return port

    def start_with(self, *urls, online=True, **broker):
        return self.start_gateway(online=online, broker={
            "url": "\nurl = ".join(urls), "ca_file": self.ca.file, **broker})

    def wait_error(self, words):
        return wait_until(lambda: words in self.gateway.status()["broker"]["error"], words)


class Tls(TlsTest):
    def test_messages_pass_both_ways_and_status_tells(self):
        port = self.listener(self.good)
        self.broker.start()
        self.start_with(f"mqtts://localhost:{port}")
        tls = self.gateway.status()["broker"]["tls"]
        self.assertIn(tls["version"], ("TLSv1.2", "TLSv1.3"))
        self.assertTrue(tls["cipher"])
        self.assertRegex(tls["certificate_ends"], r"^\d{4}-\d\d-\d\d \d\d:\d\d UTC$")
        shown = self.command("--socket", self.gateway.socket, "status").stdout
        self.assertIn(tls["version"], shown)
        self.assertIn(tls["certificate_ends"], shown)
        self.assertNotIn("certificate ends", self.gateway.text())
        device = self.device("tls").connect()
        device.subscribe(TOPIC)
        peer = self.broker.client()
        peer.subscribe("up/#", 2)
        topic_id = device.register("up/1")
        for qos in (1, 2):
            payload = b"%d" % qos * 20000 if qos == 1 else b"2"
            peer.publish(TOPIC, b"down%d" % qos, qos)
            self.assertEqual(self.texts(device, device.take()), [(TOPIC, b"down%d" % qos)])
            device.publish(topic_id, payload[:1000], qos)
            self.assertEqual(peer.receive(), [("up/1", payload[:1000])])

    def test_address_counts_as_host(self):
        port = self.listener(self.good)
        self.broker.start()
        self.start_with(f"mqtts://127.0.0.1:{port}")

    def test_client_certificate_is_the_user(self):
        rules = self.directory / "acl"
        rules.write_text("user farm\ntopic readwrite #\n")
        port = self.listener(self.good, "require_certificate true", "use_identity_as_username true",
                             f"acl_file {rules}")
        self.broker.start()
        certificate, key = self.ca.issue("farm")
        self.start_with(f"mqtts://localhost:{port}", cert_file=certificate, key_file=key)
        self.assertIn("-----BEGIN", key.read_text())
        self.assertNotIn(key.read_text().splitlines()[1], self.gateway.text())
        self.assertTrue(self.broker.lines("dormouse-test", "u'farm'"))

    def test_certificate_that_ends_soon_is_told(self):
        port = self.listener(self.ca.issue("soon", ends=13))
        self.broker.start()
        certificate, key = self.ca.issue("farm", ends=10)
        self.start_with(f"mqtts://localhost:{port}", cert_file=certificate, key_file=key)
        self.assertIn("the broker's certificate ends", self.gateway.text())
        self.assertIn("our certificate ends", self.gateway.text())

    def test_broken_new_file_keeps_the_connection_and_a_good_one_is_taken(self):
        port = self.listener(self.good)
        self.broker.start()
        file = self.directory / "trusted.pem"
        shutil.copy(self.ca.file, file)
        self.start_with(f"mqtts://localhost:{port}", ca_file=file)
        file.write_text("nonsense\n")
        device = self.device("tls").connect()
        topic_id = device.register(TOPIC)
        self.assertEqual(device.publish(topic_id, b"still there"), 0)
        self.assertEqual(self.gateway.status()["broker"]["connects"], 1)
        self.broker.kill()
        self.broker.start()
        self.wait_error("ca_file: holds no certificate that can be used")
        shutil.copy(self.ca.file, file)
        self.gateway.wait_broker("connected")


class Refusals(TlsTest):
    def wait_errors(self, *words):
        """What each of the URLs failed with."""
        def all_said():
            urls = self.gateway.status()["broker"]["urls"]
            return all(word in one["error"] for word, one in zip(words, urls, strict=True))
        try:
            wait_until(all_said, "every URL failed as it should")
        except AssertionError:
            self.assertEqual([one["error"] for one in self.gateway.status()["broker"]["urls"]],
                             list(words))

    def test_of_the_gateway(self):
        old = self.ca.issue("old", begins=-9, ends=-1)
        new = self.ca.issue("new", begins=1, ends=9)
        foreign = Authority(self.directory / "foreign").issue("foreign")
        named = self.ca.issue("named", "DNS:elsewhere.example,DNS:*.example")
        hosts = ["localhost"] * 7
        hosts[3] = "127.0.0.1"
        ports = [self.listener(one) for one in (
            old, new, named, self.ca.issue("unaddressed", "DNS:localhost"),
            self.ca.self_signed("alone"), foreign)]
        ports.append(self.plain)
        self.broker.start()
        self.start_with(*(f"mqtts://{host}:{port}" for host, port in zip(hosts, ports)),
                        online=False)
        self.wait_errors("the broker's certificate ended 2",
                         "the broker's certificate is not valid before 2",
                         "the broker's certificate is for another host: elsewhere.example",
                         "the broker's certificate is for another host: localhost",
                         "the broker's certificate is self-signed",
                         "the broker's certificate is signed by an unknown CA",
                         "closed the connection in the TLS handshake")
        self.assertNotIn("trying MQTT 3.1.1", self.gateway.text())

    def test_of_the_broker(self):
        strict = self.listener(self.good, "require_certificate true")
        self.broker.start()
        certificate, key = Authority(self.directory / "foreign").issue("stranger")
        self.start_with(f"mqtts://localhost:{strict}", online=False)
        self.wait_errors("the broker demands a certificate of the gateway")
        self.gateway.kill()
        self.start_with(f"mqtts://localhost:{strict}", online=False,
                        cert_file=certificate, key_file=key)
        self.wait_errors("the broker refuses our certificate: it is signed by a CA")
        self.gateway.kill()
        certificate, key = self.ca.issue("late", begins=-9, ends=-1)
        self.start_with(f"mqtts://localhost:{strict}", online=False,
                        cert_file=certificate, key_file=key)
        self.wait_errors("the broker refuses our certificate: it has expired")
        self.gateway.kill()
        self.start_with(f"mqtt://localhost:{strict}", online=False)
        self.wait_errors("broker closed the connection without CONNACK")

    def test_of_a_peer_that_speaks_something_else(self):
        port = self.ports.take()
        with socket.create_server(("127.0.0.1", port)) as peer:
            peer.settimeout(10)
            self.start_with(f"mqtts://localhost:{port}", online=False)
            for octets, words in (
                    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS on this port"),
                    (b"\x15\x03\x01\0\2\x02\x46", "does not speak TLS 1.2 or later"),
                    (b"\x15\x03\x03\0\2\x02\x28", "the broker refuses the TLS handshake")):
                with peer.accept()[0] as connection:
                    connection.sendall(octets)
                    self.wait_errors(words)


class Check(TlsTest):
    def check(self, **broker):
        """What `dormouse check` says."""
        self.gateway.config["broker"].update(
            {"url": "mqtts://localhost", "ca_file": self.ca.file, **broker})
        self.gateway.write_config()
        done = self.command("check", self.gateway.file)
        for key in broker:
            del self.gateway.config["broker"][key]
        return done

    def refused(self, words, **broker):
        done = self.check(**broker)
        self.assertEqual(done.returncode, 1, words)
        self.assertIn(words, done.stderr)

    def test_files_are_looked_at(self):
        certificate, key = self.good
        other = self.ca.issue("other")[1]
        rsa = self.directory / "rsa.key"
        openssl("genrsa", "-out", rsa, 2048)
        rsa.chmod(0o600)
        locked = self.directory / "locked.key"
        openssl("ec", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked)
        locked.chmod(0o600)
        both = {"cert_file": certificate, "key_file": key}
        self.assertEqual(self.check(**both).returncode, 0)
        missing = self.directory / "missing"
        self.refused("[broker] ca_file: cannot be read: No such file", ca_file=missing)
        self.refused("[broker] ca_file: cannot be read: not a regular", ca_file=self.directory)
        self.refused("[broker] ca_file: holds no certificate", ca_file=key)
        self.refused("[broker] cert_file: cannot be read", cert_file=missing, key_file=key)
        self.refused("[broker] cert_file: holds no certificate", cert_file=key, key_file=key)
        self.refused("[broker] cert_file: needs key_file", cert_file=certificate)
        self.refused("[broker] key_file: needs cert_file", key_file=key)
        self.refused("[broker] key_file: cannot be read", cert_file=certificate, key_file=missing)
        self.refused("[broker] key_file: holds no private key", cert_file=certificate,
                     key_file=certificate if not certificate.chmod(0o600) else None)
        for wrong in (other, rsa):
            self.refused("[broker] key_file: does not belong", cert_file=certificate,
                         key_file=wrong)
        self.refused("[broker] key_file: is encrypted", cert_file=certificate, key_file=locked)
        key.chmod(0o644)
        self.refused("[broker] key_file: others may use the file: chmod o-rwx", **both)
        key.chmod(0o600)
        done = self.check(url="mqtt://localhost", **both)
        self.assertIn("[broker] key_file: protects nothing", done.stderr)
        soon = self.ca.issue("soon", ends=1)
        done = self.check(cert_file=soon[0], key_file=soon[1])
        self.assertEqual(done.returncode, 0)
        self.assertIn("[broker] cert_file: the certificate ends", done.stderr)


if __name__ == "__main__":
    main()
