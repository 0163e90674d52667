# SPDX-License-Identifier: Apache-2.0
"""Radios as the gateway's serial port meets them: the far side of every framing, strict about what
the gateway sends. A radio serves nodes; `Radio.node(address)` is the link of a Device.

Octets of addresses are as on the line. `refuse` and `lose` say how many of the next messages the
radio refuses to deliver, or loses without a word."""

import collections
import struct
import time

import mqttsn as sn
from device import ANSWER_S, PtyLink, Silence, slip_encode, take_raw


def crc_forward(octets, crc):
    """Polynomial 1021, most significant bit first: CCITT-FALSE from FFFF, XMODEM from 0."""
    for octet in octets:
        crc ^= octet << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def crc_reflected(octets, crc=0xFFFF):
    """Polynomial 8408, least significant bit first."""
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc


def take_between(buffer, delimiter):
    """Removes a frame with the delimiter on both sides, which it does not share with another. None
    while it is not complete."""
    if not buffer:
        return None
    assert buffer[:1] == delimiter, f"no {delimiter.hex()} before a frame: {buffer.hex()}"
    end = buffer.find(delimiter, 1)
    if end < 0:
        return None
    frame = bytes(buffer[1:end])
    assert frame, "a delimiter with nothing before it"
    del buffer[:end + 1]
    return frame


def slip_decode(frame):
    return frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


class NodeOfRadio:
    """One node's end of the air."""

    def __init__(self, radio, address):
        self.radio = radio
        self.address = address

    def send(self, raw):
        self.radio.send(self.address, raw)

    def receive(self, seconds):
        return self.radio.receive(self.address, seconds)


class Radio:
    """Framings without addresses: a node speaks bare (None), or by forwarder encapsulation."""

    FRAMING = None
    NODES = (None, b"\x00\xc0")
    TWO_PORTS = False

    def __init__(self, path=None):
        self.inboxes = collections.defaultdict(collections.deque)
        self.buffer = bytearray()
        self.heard_at = []  # when octets came, by the clock of time.monotonic
        self.octets_heard = 0
        self.refuse = self.lose = 0
        self.prefix = b""   # stands before every frame of the gateway
        self.trailer = b""  # and this behind every frame of ours
        self.echo = False   # the gateway hears itself
        self.line = self.reader = None
        if path is not None:
            self.line = PtyLink(path)
            self.reader = PtyLink(f"{path}-tx") if self.TWO_PORTS else self.line

    # ---- the port ----

    def ports(self):
        return [self.line, self.reader] if self.TWO_PORTS else [self.line]

    def config(self):
        """Keys of the section that makes the gateway serve it."""
        keys = {"device": self.line.path, "framing": self.FRAMING}
        if self.TWO_PORTS:
            keys["tx_device"] = self.reader.path
        return keys

    def unplug(self):
        for port in self.ports():
            port.unplug()

    def plug(self):
        self.buffer.clear()
        for inbox in self.inboxes.values():
            inbox.clear()
        for port in self.ports():
            port.plug()

    def close(self):
        for port in self.ports():
            port.close()

    def write(self, octets):
        self.line.write(octets)

    def pump(self, seconds):
        """Waits for octets and does with them what a radio does. False: none came."""
        octets = self.reader.read(seconds)
        if not octets:
            return False
        self.heard_at.append(time.monotonic())
        self.hear(octets)
        return True

    def hear(self, octets):
        if self.echo:
            self.write(octets)
        self.octets_heard += len(octets)
        self.buffer += octets
        while self.take_frame():
            pass

    def take_frame(self):
        """Does what the next frame in the buffer asks for. False: it is not complete."""
        assert self.prefix.startswith(self.buffer[:len(self.prefix)]), self.buffer.hex()
        frame = self.buffer[len(self.prefix):]
        before = len(frame)
        done = self.take(frame)
        if done:
            del self.buffer[:len(self.prefix) + before - len(frame)]
        return done

    # ---- the air ----

    def node(self, address):
        return NodeOfRadio(self, address)

    def send(self, address, message):
        """A node's message comes in by radio."""
        self.write(self.frame(address, message) + self.trailer)

    def receive(self, address, seconds=ANSWER_S):
        deadline = time.monotonic() + seconds
        while not self.inboxes[address]:
            left = deadline - time.monotonic()
            if left <= 0 or not self.pump(left):
                raise Silence(f"no {self.FRAMING} message for {address} for {seconds:.1f} s")
        return self.inboxes[address].popleft()

    def wait_for(self, condition, what):
        deadline = time.monotonic() + ANSWER_S
        while not condition():
            if time.monotonic() > deadline:
                raise Silence(f"{self.FRAMING}: {what} did not come")
            self.pump(max(deadline - time.monotonic(), 0))

    def verdict(self):
        """Of the next message: True, False (refused) or None (lost without a word)."""
        if self.lose > 0:
            self.lose -= 1
            return None
        if self.refuse > 0:
            self.refuse -= 1
            return False
        return True

    def deliver(self, address, message):
        assert sn.is_whole(message), f"{self.FRAMING}: not one message: {message.hex()}"
        self.inboxes[address].append(message)

    def deliver_raw(self, raw):
        """Bare or encapsulated."""
        if raw[1] == sn.ENCAPSULATED:
            self.deliver(raw[3:raw[0]], raw[raw[0]:])
        else:
            self.deliver(None, raw)

    # ---- the framing ----

    def frame(self, address, message):
        """What the gateway's port gets of a node's message."""
        return self.encode(message if address is None else sn.encapsulate(address, message))

    def take(self, buffer):
        """Removes one frame; False while it is not complete."""
        raw = self.decode(buffer)
        if raw is None:
            return False
        if self.verdict():
            self.deliver_raw(raw)
        return True

    def encode(self, raw):
        raise NotImplementedError

    def decode(self, buffer):
        """Removes one frame and returns what is in it, None while it is not complete."""
        raise NotImplementedError


class Raw(Radio):
    FRAMING = "raw"

    def encode(self, raw):
        return raw

    def decode(self, buffer):
        return take_raw(buffer)


class Slip(Radio):
    FRAMING = "slip"

    def encode(self, raw):
        return slip_encode(raw)

    def decode(self, buffer):
        frame = take_between(buffer, b"\xc0")
        return None if frame is None else slip_decode(frame)


class Cobs(Radio):
    FRAMING = "cobs-crc16"

    def encode(self, raw):
        frame, block = bytearray(), bytearray()
        for octet in raw + crc_forward(raw, 0xFFFF).to_bytes(2, "big"):
            if octet != 0:
                block.append(octet)
            if octet == 0 or len(block) == 254:
                frame += bytes([len(block) + 1]) + block
                block.clear()
        frame += bytes([len(block) + 1]) + block
        return b"\0" + bytes(frame) + b"\0"

    def decode(self, buffer):
        frame = take_between(buffer, b"\0")
        if frame is None:
            return None
        whole = bytearray()
        while frame:
            code = frame[0]
            assert len(frame) >= code, "a COBS block is torn"
            whole += frame[1:code]
            frame = frame[code:]
            if frame and code < 255:
                whole.append(0)
        assert crc_forward(whole, 0xFFFF) == 0, f"CRC of {whole.hex()}"
        return bytes(whole[:-2])


class Hdlc(Radio):
    FRAMING = "hdlc"

    def encode(self, raw):
        whole = raw + (crc_reflected(raw) ^ 0xFFFF).to_bytes(2, "little")
        return b"\x7e" + whole.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e") + b"\x7e"

    def decode(self, buffer):
        frame = take_between(buffer, b"\x7e")
        if frame is None:
            return None
        whole = frame.replace(b"\x7d\x5e", b"\x7e").replace(b"\x7d\x5d", b"\x7d")
        assert crc_reflected(whole) == 0xF0B8, f"FCS of {whole.hex()}"
        return whole[:-2]


class Frame7e(Radio):
    """7E, length, content, sum: what Digi's radios and LoRaLink's modems have in common."""

    ESCAPES = True
    COUNTS_SUM = False

    def close_7e(self, content):
        length = len(content) + self.COUNTS_SUM
        body = length.to_bytes(2, "big") + content + bytes([0xFF - sum(content) % 256])
        if self.ESCAPES:
            body = b"".join(bytes([0x7D, octet ^ 0x20]) if octet in b"\x7e\x7d\x11\x13"
                            else bytes([octet]) for octet in body)
        return b"\x7e" + body

    def open_7e(self, buffer):
        """Removes one frame. Its content, None while it is not complete."""
        assert buffer[:1] in (b"", b"\x7e"), f"no 7E before a frame: {buffer.hex()}"
        body, escaped = bytearray(), False
        for at, octet in enumerate(buffer[1:], 2):
            if self.ESCAPES and not escaped:
                assert octet not in b"\x7e\x11\x13", f"not escaped: {buffer.hex()}"
                if octet == 0x7D:
                    escaped = True
                    continue
            body.append(octet ^ 0x20 if escaped else octet)
            escaped = False
            end = 3 + int.from_bytes(body[:2], "big") - self.COUNTS_SUM
            if len(body) > 2 and len(body) == end:
                assert sum(body[2:]) % 256 == 0xFF, f"sum of {body.hex()}"
                del buffer[:at]
                return bytes(body[2:-1])
        return None

    def take(self, buffer):
        content = self.open_7e(buffer)
        if content is None:
            return False
        self.take_content(content)
        return True

    def take_content(self, content):
        raise NotImplementedError


class Xbee(Frame7e):
    """The coordinator radio in API mode 1. With `short` it has 802.15.4 firmware."""

    FRAMING = "xbee"
    ESCAPES = False
    NODES = (bytes.fromhex("0013a20040a1b2c3"), bytes.fromhex("0013a2007e7d1113"))
    EVERYBODY = bytes.fromhex("000000000000ffff")
    NO_ACK = 0x24

    def __init__(self, path=None, payload=256):
        super().__init__(path)
        self.payload = payload   # NP; None: the radio does not know the command
        self.short = False
        self.rssi = 40           # -dBm, only with short frames
        self.hold = False        # statuses are not sent yet
        self.held = []
        self.queries = 0

    def frame(self, address, message):
        if self.short:
            return self.close_7e(b"\x80" + address + bytes([self.rssi, 0]) + message)
        return self.close_7e(b"\x90" + address + b"\x12\x34\x01" + message)

    def take_content(self, content):
        kind = content[0]
        if kind == 0x08:
            self.answer_query(content)
        elif kind == 0x10:
            assert content[10:14] == b"\xff\xfe\0\0", content.hex()
            self.transmit(content[1], content[2:10], content[14:])
        elif kind == 0x00 and self.short:
            assert content[10] == 0, content.hex()
            self.transmit(content[1], content[2:10], content[11:])
        else:
            raise AssertionError(f"the radio knows no such frame: {content.hex()}")

    def answer_query(self, content):
        assert content[2:] == b"NP", content.hex()
        self.queries += 1
        value = b"\1" if self.payload is None else b"\0" + self.payload.to_bytes(2, "big")
        self.write(self.close_7e(b"\x88" + content[1:4] + value))

    def transmit(self, frame_id, address, message):
        assert frame_id not in (0, 0xFF), "a frame id that is no message's"
        verdict = self.verdict()
        if verdict:
            self.deliver(address, message)
        if verdict is None:
            return
        delivery = 0 if verdict else self.NO_ACK
        status = (bytes([0x89, frame_id, delivery]) if self.short else
                  bytes([0x8B, frame_id, 0x12, 0x34, 0, delivery, 0]))
        self.held.append(self.close_7e(status))
        if not self.hold:
            self.release()

    def release(self):
        """Sends the statuses that were held."""
        self.hold = False
        for status in self.held:
            self.write(status)
        self.held = []


class XbeeEscaped(Xbee):
    FRAMING = "xbee-escaped"
    ESCAPES = True


class LoRaLink(Frame7e):
    """Two modems: the gateway hears nodes from one and sends by the other."""

    FRAMING = "loralink"
    COUNTS_SUM = True
    NODES = (b"\x05", b"\x7e")
    EVERYBODY = b"\xff"
    TWO_PORTS = True
    RSSI, SNR = -64, 9
    MESSAGE, ACK, NO_FREE_CHANNEL = 0x40, 0x80, 0x81

    def frame(self, address, message, kind=MESSAGE):
        signal = struct.pack(">hh", self.RSSI, self.SNR)
        return self.close_7e(address + signal + bytes([kind]) + message)

    def take_content(self, content):
        assert content[1] == self.MESSAGE, content.hex()
        verdict = self.verdict()
        if verdict:
            self.deliver(content[:1], content[2:])
        if verdict is not None:
            status = self.ACK if verdict else self.NO_FREE_CHANNEL
            self.answer(self.close_7e(bytes(5) + bytes([status])))

    def answer(self, octets):
        """By the modem that was told to send."""
        self.reader.write(octets)


class Aquila(Radio):
    """The bridge rfm-mqtt-sn-bridge: one frame at a time, each with its own delimiters."""

    FRAMING = "aquila"
    NODES = (b"\x05\0", b"\xc0\0")
    EVERYBODY = b"\xff\xff"
    LQI, RSSI = 0x30, 0x40

    def __init__(self, path=None):
        super().__init__(path)
        self.configs = []  # (pan, key)
        self.pairing = []  # True and False, as told

    @staticmethod
    def close_frame(content):
        return slip_encode(content + crc_forward(content, 0).to_bytes(2, "little"))

    def frame(self, address, message):
        length = 5 + len(message)
        return self.close_frame(bytes([self.LQI, self.RSSI, length, 0xFE, 1]) + address + message)

    def say(self, kind):
        """ACK (1), NACK (0), or CONFIG request (2)."""
        self.write(self.close_frame(bytes([0, 0, 2, kind])))

    def take(self, buffer):
        frame = take_between(buffer, b"\xc0")
        if frame is None:
            return False
        whole = slip_decode(frame)
        assert crc_forward(whole[:-2], 0) == int.from_bytes(whole[-2:], "little"), whole.hex()
        self.take_content(whole[:-2])
        return True

    def take_content(self, content):
        if content[:3] == b"\x05\xfe\x01":
            message = content[5:]
            assert len(message) <= 50 and message[0] == len(message), "overruns the bridge"
            verdict = self.verdict()
            if verdict:
                self.deliver(content[3:5], message)
            if verdict is not None:
                self.say(1 if verdict else 0)
        elif content[:2] == b"\x13\x02" and len(content) == 19:
            self.configs.append((content[2], content[3:]))
        elif content[:2] == b"\x03\x03" and len(content) == 3:
            self.pairing.append(bool(content[2]))
        else:
            raise AssertionError(f"the bridge knows no such frame: {content.hex()}")


class RadioHead(Radio):
    """RH_Serial with RHReliableDatagram on both sides."""

    FRAMING = "rh-serial"
    NODES = (b"\x02", b"\x10")
    EVERYBODY = b"\xff"
    GATEWAY = b"\x01"

    def __init__(self, path=None):
        super().__init__(path)
        self.sequence = {}
        self.acks = set()       # (node, id) that the gateway acknowledged
        self.seen = {}          # node: the id it had last
        self.repeats_heard = 0  # frames of the gateway that a node had already
        self.lose_acks = 0      # acknowledgements of nodes that get lost
        self.lose_theirs = 0    # and of the gateway

    @staticmethod
    def close_frame(to, source, number, flags, payload):
        head = to + source + bytes([number, flags])
        fcs = crc_reflected(head + payload + b"\x10\x03")
        stuffed = (head + payload).replace(b"\x10", b"\x10\x10")
        return b"\x10\x02" + stuffed + b"\x10\x03" + fcs.to_bytes(2, "big")

    def frame(self, address, message, number=None):
        number = self.sequence.get(address, 0) if number is None else number
        return self.close_frame(self.GATEWAY, address, number, 0, message)

    def send(self, address, message):
        """As sendtoWait: until the gateway has acknowledged it."""
        number = self.sequence[address] = (self.sequence.get(address, 0) + 1) % 256
        self.acks.discard((address, number))
        lost, self.lose_theirs = self.lose_theirs, 0
        for _ in range(lost + 1):
            self.acks.discard((address, number))
            super().send(address, message)
            self.wait_for(lambda: (address, number) in self.acks, "the acknowledgement")

    def take(self, buffer):
        if len(buffer) < 2:
            return False
        assert buffer[:2] == b"\x10\x02", f"no frame starts so: {buffer.hex()}"
        whole, at = bytearray(), 2
        while at + 1 < len(buffer):
            pair = bytes(buffer[at:at + 2])
            if pair == b"\x10\x03":
                break
            assert pair[0] != 0x10 or pair == b"\x10\x10", f"not stuffed: {buffer.hex()}"
            whole.append(pair[0])
            at += 2 if pair[0] == 0x10 else 1
        if at + 4 > len(buffer) or buffer[at] != 0x10:
            return False
        assert crc_reflected(whole + b"\x10\x03") == int.from_bytes(buffer[at + 2:at + 4], "big")
        del buffer[:at + 4]
        self.take_content(bytes(whole))
        return True

    def take_content(self, content):
        to, source, number, flags, payload = content[:1], content[1:2], *content[2:4], content[4:]
        assert source == self.GATEWAY, content.hex()
        if flags == 0x80:
            assert payload == b"!", content.hex()
            self.acks.add((to, number))
            return
        assert flags == 0, content.hex()
        if not self.verdict():
            return
        if to == self.EVERYBODY:
            self.deliver(to, payload)
            return
        if self.lose_acks > 0:
            self.lose_acks -= 1
        else:
            self.write(self.close_frame(source, to, number, 0x80, b"!"))
        if self.seen.get(to) == number:
            self.repeats_heard += 1
        else:
            self.seen[to] = number
            self.deliver(to, payload)


class Hc12(Radio):
    FRAMING = "hc12"
    NODES = (b"\x01", b"\xaf")
    EVERYBODY = b"\xff"
    GATEWAY = b"\0"

    def frame(self, address, message):
        whole = b"\xaf" + address + self.GATEWAY + bytes([len(message)]) + message
        return whole + bytes([-sum(whole) % 256])

    def take(self, buffer):
        if len(buffer) < 4 or len(buffer) < 5 + buffer[3]:
            return False
        frame = bytes(buffer[:5 + buffer[3]])
        del buffer[:len(frame)]
        assert frame[:2] == b"\xaf" + self.GATEWAY and frame[3] <= 32, frame.hex()
        assert sum(frame) % 256 == 0, f"sum of {frame.hex()}"
        if self.verdict():
            self.deliver(frame[2:3], frame[4:-1])
        return True


RADIOS = (Raw, Slip, Cobs, Hdlc, Xbee, XbeeEscaped, Aquila, LoRaLink, RadioHead, Hc12)
