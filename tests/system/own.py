# SPDX-License-Identifier: Apache-2.0
"""What the tests of own connections (`upstream = own`) share: a broker with access rules, what it
knows of a client id, and a second gateway."""

import re
import socket
import struct
import subprocess

import mqtt
import mqttsn as sn
from device import Device, UdpLink
from harness import Gateway, SystemTest, wait_until


def session_present(port, client_id):
    """Whether the broker has a session of this client id. Takes it over, and ends it."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        stream = peer.makefile("rb")

        def connect(flags):
            body = mqtt.text("MQTT") + bytes([4, flags]) + struct.pack(">H", 0)
            peer.sendall(mqtt.packet(mqtt.CONNECT, body + mqtt.text(client_id)))
            kind, _, answer = mqtt.read_packet(stream)
            assert kind == mqtt.CONNACK and answer[1] == 0, (kind, answer)
            return answer[0] == 1

        found = connect(0)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        stream = peer.makefile("rb")
        connect(2)
    return found


class OwnTest(SystemTest):
    def start(self, **sections):
        sections.setdefault("sessions", {})["upstream"] = "own"
        return self.start_gateway(**sections)

    def allow(self, rules, **passwords):
        """Users and their access rules; who says no name may do everything. Before the start."""
        users, acl = self.directory / "users", self.directory / "acl"
        users.touch()
        self.gateway.file.touch(0o600)  # it holds passwords
        for name, password in passwords.items():
            subprocess.run(["mosquitto_passwd", "-b", users, name, password], check=True,
                           capture_output=True)
        acl.write_text(f"topic readwrite #\n{rules}\n")
        with open(self.broker.config, "a") as config:
            config.write(f"password_file {users}\nacl_file {acl}\n")

    def connects(self, client_id):
        """How often the client connected in this run of the broker."""
        return len(self.broker.lines("New client connected", f" as {client_id} "))

    def is_there(self, client_id):
        """Whether it is connected now, as the broker's log tells."""
        name = re.escape(client_id)
        event = re.compile(rf"New client connected .* as {name} \(|[Cc]lient {name}[ ,].*"
                           "(disconnect|closed)")
        lines = [line for line in self.broker.lines(client_id) if event.search(line)]
        return bool(lines) and "New client connected" in lines[-1]

    def wait_gone(self, client_id):
        wait_until(lambda: not self.is_there(client_id), f"{client_id} has left the broker")

    def wait_there(self, client_id):
        wait_until(lambda: self.is_there(client_id), f"{client_id} is connected to the broker")

    def second_gateway(self, **sections):
        """Another process of the same fleet, with its own store."""
        directory = self.directory / "second"
        directory.mkdir()
        gateway = Gateway(directory, self.ports.take(), self.broker.url)
        gateway.config["broker"]["client_id"] = "dormouse-second"
        gateway.config["sessions"]["upstream"] = "own"
        for section, keys in sections.items():
            gateway.config.setdefault(section.replace("_", " ", 1), {}).update(keys)
        self.addCleanup(gateway.close)
        return gateway.start()

    def device_at(self, gateway, client_id):
        link = UdpLink(gateway.port)
        self.addCleanup(link.close)
        return Device(client_id, link)
