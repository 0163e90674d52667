# SPDX-License-Identifier: Apache-2.0
"""A gateway, a broker, a fleet of devices and MQTT clients under one loop, which goes on while parts
are killed. Single-threaded: what is killed is killed between two turns of the loop, at a random
moment of what the processes do by themselves."""

import heapq
import itertools
import random
import re
import selectors
import time

import harness
from fleet import Mortal, Reader, SerialPort, UdpPort, number_of, payload_of
from mqtt_peer import Peer
from promise import Ledger

SERVES_S = 20       # after which a started gateway must have said something to some device
UPSTREAM_S = 90
STALL_S = 15        # without any message: nothing more will come
SETTLE_S = 0.5      # for what comes twice
WINDOW = 10         # messages under way to one device and topic
TURN_S = 0.01
# Redelivered QoS 1 messages queue up when the gateway is killed faster than it can acknowledge. A
# limit may drop messages; it is not what is tested here.
ROOM = {"queue_messages": 100000, "queue_bytes": "64M"}
BROKER_LINE = re.compile(
    r"(Sending PUBLISH to|Received PUBREC from|Received PUBCOMP from) (dormouse-test) "
    r"\((?:d(?P<dup>\d), q2, r0, m(?P<sent>\d+), '(?P<topic>[^']*)'|Mid: (?P<mid>\d+))")


class World:
    """`broker_saves`: the broker writes its state after each message, which is needed only if it is
    killed, and takes so long that acknowledgements to it pile up."""

    def __init__(self, directory, seed, broker_saves=False, **sections):
        self.directory = directory
        self.random = random.Random(seed)
        self.ledger = Ledger()
        self.ports = harness.PortKeeper()
        self.selector = selectors.DefaultSelector()
        self.timers = []
        self.order = itertools.count()
        self.heard = 0          # messages of the gateway to devices
        self.kills = 0
        self.calm = False       # nobody begins anything new
        self.hold_downlink = True   # until every device has subscribed
        self.broker = harness.Mosquitto(directory, self.ports.take())
        if not broker_saves:
            self.broker.config.write_text(self.broker.config.read_text().replace(
                "autosave_interval 1\n", "autosave_interval 1000000000\n"))
        self.gateway = harness.Gateway(directory, self.ports.take(), self.broker.url)
        self.gateway.config["sessions"].update(retry="1s", store_after="100ms", tolerance="1.5",
                                               **ROOM)
        for section, keys in sections.items():
            self.gateway.config.setdefault(section, {}).update(keys)
        self.device_ports = []
        self.sensors = self.make_fleet()
        self.downlinks = self.make_downlinks()
        self.publisher = Peer(self, self.broker.port, "publisher")
        self.watcher = Peer(self, self.broker.port, "watcher", ("up/#", "will"), self.on_uplink)

    # ---- the loop ----

    def watch(self, readable, callback):
        self.selector.register(readable, selectors.EVENT_READ, callback)

    def unwatch(self, readable):
        self.selector.unregister(readable)

    def after(self, seconds, callback):
        timer = [time.monotonic() + seconds, next(self.order), callback]
        heapq.heappush(self.timers, timer)
        return timer

    @staticmethod
    def cancel(timer):
        timer[2] = None

    def turn(self):
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            callback = heapq.heappop(self.timers)[2]
            if callback is not None:
                callback()
        for key, _ in self.selector.select(TURN_S / 2):
            key.data()
        self.publisher.tick()
        self.watcher.tick()
        self.publish_downlink()

    def run(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.turn()

    def run_until(self, condition, what, seconds=harness.WAIT_S):
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise AssertionError(f"after {seconds} s still not: {what}")
            self.turn()

    # ---- the fleet ----

    def udp(self):
        port = UdpPort(self)
        self.device_ports.append(port)
        return port

    def serial(self, name, framing):
        port = SerialPort(self, name, framing)
        self.device_ports.append(port)
        return port

    def make_fleet(self):
        radio, cable = self.serial("radio", "slip"), self.serial("cable", "raw")
        return [
            Reader(self, "active-1", self.udp(), will=True),
            Reader(self, "active-2", self.udp(), will=True, wildcard=True),
            Reader(self, "clean-1", self.udp(), clean=True, will=True),
            Reader(self, "clean-2", self.udp(), clean=True, wildcard=True),
            Reader(self, "sleeper-1", self.udp(), sleeps=True),
            Reader(self, "sleeper-2", self.udp(), sleeps=True, wildcard=True),
            Reader(self, "sleeper-clean", self.udp(), sleeps=True, clean=True),
            Reader(self, "node-1", radio, b"\x01\xab", will=True),
            Reader(self, "node-2", radio, b"\x02", sleeps=True),
            Reader(self, "cable-1", cable),
            Mortal(self, "mortal-1", self.udp()),
            Mortal(self, "mortal-2", self.udp()),
        ]

    def make_downlinks(self):
        """(topic, qos, streams): one stream for each device that gets it."""
        readers = [s for s in self.sensors if isinstance(s, Reader)]
        topics = {}
        for reader in readers:
            for topic, qos in reader.downlinks:
                stream = self.ledger.stream(f"{topic} -> {reader.client_id}", qos == 2)
                topics.setdefault((topic, qos), []).append(stream)
        return [(topic, qos, streams) for (topic, qos), streams in topics.items()]

    def publish_downlink(self):
        if self.calm or self.hold_downlink or not self.publisher.online:
            return
        for topic, qos, streams in self.random.sample(self.downlinks, 2):
            if streams[0].sent - min(s.expected - 1 for s in streams) >= WINDOW:
                continue
            numbers = {stream.next() for stream in streams}
            number = numbers.pop()

            def accepted(streams=streams, number=number):
                for stream in streams:
                    stream.accepted(number)
            self.publisher.publish(topic, payload_of(number, self.random.randrange(60)), qos,
                                   accepted)

    def on_uplink(self, topic, payload):
        if topic == "will":
            self.ledger.will_published(payload.decode())
        else:
            self.ledger.streams[topic].received(number_of(payload))

    # ---- what happens to the processes ----

    def begin(self):
        """Everything runs, every device has subscribed."""
        self.broker.start()
        self.run_until(self.peers_online, "the MQTT clients are connected")
        self.gateway.write_config()
        self.launch()
        self.run_until(lambda: self.heard or self.start_devices(), "the gateway answers")
        self.run_until(lambda: all(s.ready for s in self.sensors), "every device has subscribed")
        self.hold_downlink = False

    def start_devices(self):
        """The gateway's first answer needs a question."""
        if self.gateway_serves():
            for sensor in self.sensors:
                if sensor.routine is None:
                    sensor.start(sensor.life())

    def gateway_serves(self):
        assert self.gateway.ended() is None, "the gateway ended by itself"
        return "is ready" in self.gateway.text()

    def peers_online(self):
        return self.publisher.online and self.watcher.online

    def launch(self):
        self.heard = 0
        self.gateway.launch()

    def wait_serving(self):
        """Until some device has heard of the gateway."""
        def serves():
            assert self.gateway.ended() is None, \
                f"the gateway ended by itself with status {self.gateway.ended()}"
            return self.heard
        self.run_until(serves, "the gateway serves", SERVES_S)

    def kill_gateway(self):
        assert self.gateway.ended() is None, \
            f"the gateway ended by itself with status {self.gateway.ended()}"
        self.gateway.kill()
        self.kills += 1
        for port in self.device_ports:
            port.cut()

    def stop_gateway(self):
        """SIGTERM; the loop goes on meanwhile. Returns how long it took."""
        started = time.monotonic()
        self.gateway.process.terminate()
        self.run_until(lambda: self.gateway.ended() is not None, "the gateway ends", 30)
        if self.gateway.ended() != 0:
            self.ledger.violation(f"SIGTERM: exit status {self.gateway.ended()}")
        self.gateway.process = None
        for port in self.device_ports:
            port.cut()
        return time.monotonic() - started

    def reap_gateway(self):
        """It ended by itself."""
        self.gateway.process.wait()
        self.gateway.process = None

    def filters(self):
        """What the gateway subscribes to for its devices."""
        return {name for s in self.sensors if isinstance(s, Reader) for name in s.filters()}

    def wait_connected(self):
        """Gateway and MQTT clients are at the broker. The gateway waits longer each time if the
        broker soon goes away again."""
        self.run_until(self.peers_online, "the broker is back")
        self.run_until(lambda: self.gateway.answers()
                       and self.gateway.status()["broker"]["state"] == "connected",
                       "the gateway is connected", UPSTREAM_S)

    def stop_broker(self):
        self.broker.process.terminate()
        self.run_until(lambda: self.broker.ended() is not None, "the broker ends", 30)
        self.broker.process = None

    def start_broker(self):
        self.broker.spawn([harness.find_mosquitto(), "-c", self.broker.config])

    def rest(self):
        """Lets everything arrive that is under way. When nothing has moved for long, nothing more
        comes: it is lost."""
        self.calm = True
        arrived, until = -1, 0.0
        while not self.ledger.idle() and not self.ledger.violations:
            if self.ledger.arrived() != arrived:
                arrived, until = self.ledger.arrived(), time.monotonic() + STALL_S
            if time.monotonic() > until:
                break
            self.turn()
        self.run(SETTLE_S)
        self.calm = False
        for topic in self.broker_repetitions():
            self.ledger.broker_repeated(topic)

    def broker_repetitions(self):
        """Topics of QoS 2 messages that the broker published again although it had PUBREC, which
        MQTT forbids. Seen with Mosquitto 2.0.11 when connections end quickly one after the other.
        Nobody can tell such a message from a new one."""
        received = set()
        with open(self.broker.log, errors="replace") as log:
            for found in map(BROKER_LINE.search, log):
                if found is None:
                    continue
                if found["mid"] is None:
                    if found["sent"] in received:
                        yield found["topic"]
                elif "PUBREC" in found[1]:
                    received.add(found["mid"])
                else:
                    received.discard(found["mid"])

    def close(self):
        """In order: the sanitizers speak when the gateway ends."""
        self.gateway.close()
        text = self.gateway.text()
        assert not [word for word in harness.SANITIZER if word in text], "a sanitizer spoke"
        self.abandon()

    def abandon(self):
        """Whatever state it is in."""
        if self.gateway.process is not None:
            self.gateway.kill()
        for peer in (self.publisher, self.watcher):
            peer.drop()
        for port in self.device_ports:
            port.close()
        self.broker.close()
        self.ports.close()
        self.selector.close()
