#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real daemon with its HTTP server, a real broker, and devices that do what stdin says: one
JSON array [name, argument...] a line, answered by a line. The greeting is the URL of the page."""

import json
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from device import Device, UdpLink  # noqa: E402
from harness import Gateway, Mosquitto, PortKeeper  # noqa: E402

TOKEN = "squirrel-with-a-long-tail"


class World:
    def __init__(self, directory):
        self.ports = PortKeeper()
        self.broker = Mosquitto(directory, self.ports.take())
        self.broker.start()
        self.gateway = Gateway(directory, self.ports.take(), self.broker.url)
        token = directory / "token"
        token.touch(0o600)
        token.write_text(TOKEN + "\n")
        address = f"127.0.0.1:{self.ports.take()}"
        self.url = f"http://{address}/"
        self.gateway.config["control"].update(http=address, token_file=token)
        self.gateway.start()
        self.publisher = self.broker.client()
        self.devices = {}

    def connect(self, client_id, keepalive=600):
        device = self.devices.setdefault(client_id, Device(client_id, UdpLink(self.gateway.port)))
        device.connect(keepalive=keepalive)

    def connect_many(self, count):
        link = None
        for i in range(count):
            link = UdpLink(self.gateway.port)
            Device(f"sensor-{i + 1}", link).connect().sleep(60 + i % 900)
            link.close()

    def subscribe(self, client_id, topic):
        self.devices[client_id].subscribe(topic)

    def sleep(self, client_id, seconds):
        self.devices[client_id].sleep(seconds)

    def wake(self, client_id):
        """Returns how many messages it got."""
        return len([1 for packet in self.devices[client_id].wake() if packet.data])

    def publish(self, topic, text):
        self.publisher.publish(topic, text.encode())

    def queued(self, client_id):
        return self.gateway.sessions()[client_id]["queued"]

    def stop_gateway(self):
        self.gateway.kill()

    def start_gateway(self):
        self.gateway.start()

    def stop_broker(self):
        self.broker.kill()

    def start_broker(self):
        self.broker.start()

    def known(self):
        return sorted(self.gateway.sessions())

    def close(self):
        """Whatever happens: a thread that still listens to the broker would keep this process."""
        try:
            for device in self.devices.values():
                device.link.close()
            self.gateway.close()
        finally:
            self.broker.close()


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="dm-"))
    world = World(directory)
    try:
        print(json.dumps(world.url), flush=True)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            print(json.dumps(getattr(world, name)(*arguments)), flush=True)
    finally:
        world.close()
        print(world.gateway.text() if "Sanitizer" in world.gateway.text() else "", file=sys.stderr)
        shutil.rmtree(directory, ignore_errors=True)


main()
