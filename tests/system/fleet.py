# SPDX-License-Identifier: Apache-2.0
"""Devices that run by themselves under the torture (torture.py): each is a generator that sends,
and yields how long it waits for an answer. They repeat as MQTT-SN demands, and never give up."""

import array
import fcntl
import os
import termios
import time

import mqttsn as sn
from device import PtyLink, UdpLink, take_raw, take_slip

RETRY_S = 0.25        # T_retry of the devices
CONGESTION_S = 0.2    # before a message that was refused comes again
LINE_ROOM = 2000      # octets on a serial line that nobody reads: more is not sent
SLEEP_S = 600         # announced; nobody oversleeps
PAYLOAD_MAX = 60


class UdpPort:
    """A device with a socket of its own."""

    def __init__(self, world):
        self.link = UdpLink(world.gateway.port)
        self.link.socket.setblocking(False)
        self.sensor = None
        world.watch(self.link.socket, self.on_readable)

    def attach(self, sensor):
        self.sensor = sensor
        return self.link.send

    def on_readable(self):
        while True:
            try:
                raw = self.link.socket.recv(65536)
            except BlockingIOError:
                return
            self.sensor.deliver(raw)

    def cut(self):
        """The gateway was killed: a datagram is whole or not there."""

    def close(self):
        self.link.close()


class SerialPort:
    """A serial line with one bare device, or with nodes behind a forwarder."""

    def __init__(self, world, name, framing):
        self.link = PtyLink(world.directory / f"tty-{name}", framing)
        os.set_blocking(self.link.master, False)
        self.nodes = {}   # header of the encapsulation: sensor
        world.gateway.config[f"serial {name}"] = {"device": self.link.path, "framing": framing}
        world.watch(self.link.master, self.on_readable)

    def attach(self, sensor, node_id=None):
        header = b"" if node_id is None else sn.encapsulate(node_id, b"")
        self.nodes[header] = sensor
        return lambda raw: self.send(header + raw)

    def send(self, raw):
        waiting = array.array("i", [0])
        fcntl.ioctl(self.link.slave, termios.FIONREAD, waiting)
        if waiting[0] < LINE_ROOM:  # a message is never cut: the raw framing has no checksum
            self.link.send(raw)

    def on_readable(self):
        try:
            self.link.buffer += os.read(self.link.master, 65536)
        except BlockingIOError:
            return
        take = take_slip if self.link.framing == "slip" else take_raw
        while (raw := take(self.link.buffer)) is not None:
            for header, sensor in self.nodes.items():
                if raw.startswith(header) and sn.is_whole(raw[len(header):]):
                    sensor.deliver(raw[len(header):])
                    break

    def cut(self):
        """The gateway was killed, maybe in the middle of a message: its rest will never come."""
        self.on_readable()
        self.link.buffer.clear()

    def close(self):
        self.link.close()


class Sensor:
    """What all devices have in common: answers of the gateway, deliveries to them."""

    def __init__(self, world, client_id, port, node_id=None):
        self.world = world
        self.ledger = world.ledger
        self.random = world.random
        self.client_id = client_id
        self.transmit = port.attach(self) if node_id is None else port.attach(self, node_id)
        self.radio = True        # off: what comes is lost
        self.connected = False   # a DISCONNECT that was not asked for is a broken promise
        self.goodbyes = 0        # DISCONNECTs sent that are not answered yet
        self.ready = False       # subscribed: what is published from now on must arrive
        self.names = {}          # topic id: name
        self.ids = {}            # name: topic id, of what it publishes
        self.msg_id = self.random.randrange(1, 60000)
        self.unreleased = set()  # MsgIds of QoS 2 towards it
        self.handlers = {sn.REGISTER: self.on_register, sn.PUBLISH: self.on_publish,
                         sn.PUBREL: self.on_pubrel, sn.DISCONNECT: self.on_disconnect}
        self.routine = None

    # ---- the machinery ----

    def start(self, life):
        self.routine = life
        self.proceed(next(life))

    def proceed(self, pause):
        self.timer = self.world.after(pause, self.resume)

    def resume(self, packet=None):
        self.world.cancel(self.timer)
        self.proceed(self.routine.send(packet))

    def deliver(self, raw):
        self.world.heard += 1
        if not self.radio:
            return
        packet = sn.decode(raw)
        handler = self.handlers.get(packet.kind)
        if handler is None or not handler(packet):
            self.resume(packet)

    def idle(self, seconds):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            yield left

    def ask(self, raw, is_answer, attempts=0):
        """Sends, and repeats until an answer comes. None: not within so many attempts."""
        attempt = 0
        while not attempts or attempt < attempts:
            if attempt and raw[1] == sn.PUBLISH:
                raw = raw[:2] + bytes([raw[2] | sn.DUP]) + raw[3:]
            if raw[1] == sn.DISCONNECT:
                self.goodbyes += 1
            self.transmit(raw)
            attempt += 1
            until = time.monotonic() + RETRY_S
            while (left := until - time.monotonic()) > 0:
                packet = yield left
                if packet is not None and is_answer(packet):
                    return packet
        return None

    def ask_kind(self, raw, kind, msg_id=None, attempts=0):
        return self.ask(raw, lambda p: p.kind == kind and msg_id in (None, p.msg_id), attempts)

    def next_msg_id(self):
        self.msg_id = self.msg_id % 65535 + 1
        return self.msg_id

    # ---- what the gateway begins ----

    def on_register(self, packet):
        self.names[packet.topic_id] = packet.data.decode()
        self.transmit(sn.regack(packet.topic_id, packet.msg_id))
        return True

    def on_publish(self, packet):
        name = self.names.get(packet.topic_id)
        if name is None:
            self.ledger.violation(f"{self.client_id}: topic id {packet.topic_id} never announced")
            return True
        exact = sn.qos_of(packet) == 2
        if not (exact and packet.msg_id in self.unreleased):
            self.ledger.streams[f"{name} -> {self.client_id}"].received(number_of(packet.data))
        if exact:
            self.unreleased.add(packet.msg_id)
            self.transmit(sn.step(sn.PUBREC, packet.msg_id))
        else:
            self.transmit(sn.puback(packet.topic_id, packet.msg_id))
        return True

    def on_pubrel(self, packet):
        self.unreleased.discard(packet.msg_id)
        self.transmit(sn.step(sn.PUBCOMP, packet.msg_id))
        return True

    def on_disconnect(self, packet):
        if self.goodbyes > 0:
            self.goodbyes -= 1   # of one or of its repetition, whoever waits for it
        elif self.connected:
            self.ledger.violation(f"{self.client_id}: disconnected by the gateway")
        return False

    # ---- what the device begins ----

    def connect(self, clean=False, keepalive=60, will=None):
        """CONNECT until it is accepted; with a will (topic, payload, qos) the handshake, which
        begins anew when the gateway forgot it half way."""
        raw = sn.connect(self.client_id, clean, keepalive, will=will is not None)
        while True:
            if will is None:
                answer = yield from self.ask_kind(raw, sn.CONNACK)
            else:
                answer = yield from self.will_handshake(raw, *will)
            if answer is not None and answer.code == sn.ACCEPTED:
                break
            yield from self.idle(CONGESTION_S)
        self.connected = True

    def will_handshake(self, raw, topic, payload, qos):
        steps = [(raw, sn.WILLTOPICREQ), (sn.will_topic(topic, qos), sn.WILLMSGREQ),
                 (sn.message(sn.WILLMSG, payload), sn.CONNACK)]
        for octets, kind in steps:
            answer = yield from self.ask(
                octets, lambda p, kind=kind: p.kind in (kind, sn.CONNACK), attempts=3)
            if answer is None or answer.kind == sn.CONNACK:
                return answer
        return None

    def subscribe(self, name, qos):
        msg_id = self.next_msg_id()
        answer = yield from self.ask_kind(sn.subscribe(msg_id, name, qos), sn.SUBACK, msg_id)
        assert answer.code == sn.ACCEPTED, f"{self.client_id}: SUBACK {answer.code}"
        if answer.topic_id:
            self.names[answer.topic_id] = name

    def register(self, name):
        while True:
            msg_id = self.next_msg_id()
            answer = yield from self.ask_kind(sn.register(msg_id, name), sn.REGACK, msg_id)
            if answer.code == sn.ACCEPTED:
                break
            self.ledger.congested += 1
            yield from self.idle(CONGESTION_S)
        self.ids[name] = answer.topic_id

    def publish(self, name, qos):
        """One message until the gateway has taken responsibility for it."""
        stream = self.ledger.stream(name, qos == 2)
        number = stream.next()
        msg_id = self.next_msg_id()
        payload = payload_of(number, self.random.randrange(PAYLOAD_MAX))
        raw = sn.publish(self.ids[name], msg_id, payload, qos)
        while True:
            answer = yield from self.ask(
                raw, lambda p: p.kind in (sn.PUBACK, sn.PUBREC) and p.msg_id == msg_id)
            if answer.kind == sn.PUBREC or answer.code == sn.ACCEPTED:
                break
            if answer.code != sn.CONGESTION:
                self.ledger.violation(f"{self.client_id}: PUBLISH refused with {answer.code}")
            self.ledger.congested += 1
            raw = raw[:2] + bytes([raw[2] | sn.DUP]) + raw[3:]
            yield from self.idle(CONGESTION_S)
        stream.accepted(number)
        if answer.kind == sn.PUBREC:
            yield from self.ask_kind(sn.step(sn.PUBREL, msg_id), sn.PUBCOMP, msg_id)

    def publish_some(self, count):
        for _ in range(count):
            if self.world.calm:
                return
            qos = self.random.choice((1, 2))
            yield from self.publish(f"up/{self.client_id}/{qos}", qos)
            yield from self.idle(self.random.uniform(0, 0.05))

    def register_all(self):
        for qos in (1, 2):
            yield from self.register(f"up/{self.client_id}/{qos}")

    def say_goodbye(self, duration=None):
        yield from self.ask_kind(sn.disconnect(duration), sn.DISCONNECT)


class Reader(Sensor):
    """Lives as long as the torture, has subscriptions, publishes; may sleep."""

    def __init__(self, *where, clean=False, sleeps=False, will=False, wildcard=False):
        super().__init__(*where)
        self.clean = clean
        self.sleeps = sleeps
        self.will = will
        self.wildcard = wildcard
        self.downlinks = []
        for topic, qos in ((f"down/{self.client_id}/1", 1), (f"down/{self.client_id}/2", 2),
                           ("all", 2)):
            self.downlinks.append((topic, qos))
            self.ledger.stream(f"{topic} -> {self.client_id}", qos == 2)

    def filters(self):
        if self.wildcard:
            return {f"down/{self.client_id}/+": 2, "all": 2}
        return dict(self.downlinks)

    def life(self):
        will = ("will", f"{self.client_id} lives".encode(), 1) if self.will else None
        if will:
            self.ledger.will_kept(will[1].decode())
        yield from self.connect(self.clean, 600, will)
        for topic, qos in self.filters().items():
            yield from self.subscribe(topic, qos)
        yield from self.register_all()
        self.ready = True
        while True:
            yield from self.publish_some(self.random.randrange(1, 20))
            if self.sleeps:
                yield from self.sleep_a_while()
            else:
                yield from self.idle(0.05)

    def sleep_a_while(self):
        """Some wakings; a persistent device then connects again, which is how it may publish."""
        yield from self.say_goodbye(SLEEP_S)
        wakings = self.random.randrange(1, 5)
        while self.clean or self.world.calm or wakings > 0:
            wakings -= 1
            self.radio = False
            yield from self.idle(self.random.uniform(0.05, 0.6))
            self.radio = True
            yield from self.ask_kind(sn.pingreq(self.client_id), sn.PINGRESP)
        yield from self.connect(self.clean, 600)
        yield from self.register_all()


class Mortal(Sensor):
    """Connects with a will, publishes a little, then dies or says goodbye; again and again."""

    KEEPALIVE_S = 2

    def life(self):
        life = 0
        self.ready = True
        while True:
            while self.world.calm:
                yield from self.idle(0.05)
            life += 1
            payload = f"{self.client_id} life {life}"
            clean = self.random.random() < 0.5
            self.ledger.will_kept(payload)
            yield from self.connect(clean, self.KEEPALIVE_S, ("will", payload.encode(), 2))
            yield from self.register_all()
            yield from self.publish_some(self.random.randrange(1, 10))
            if self.world.calm or self.random.random() < 0.5:  # the calm waits for the dead
                yield from self.say_goodbye()
                self.connected = False
                continue
            self.connected = self.radio = False
            self.ledger.will_due(payload)
            while payload not in self.ledger.wills_seen:
                yield from self.idle(0.1)
            self.radio = True


def payload_of(number, filler):
    """No octet of it can be the type of a message: a torn serial line cannot make one up."""
    return b"%d %s" % (number, b"x" * filler)


def number_of(payload):
    return int(payload.split(b" ", 1)[0])
