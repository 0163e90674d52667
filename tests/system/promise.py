# SPDX-License-Identifier: Apache-2.0
"""The oracle of the torture: what was acknowledged must arrive, in order, QoS 2 once; wills of the
dead are published once, those of the living never. It knows nothing of how messages travel."""

import time
from collections import deque

# A broker that is killed has by then written what it acknowledged this long ago, see
# docs/mosquitto.conf. What is younger is lost by the broker, if at all.
BROKER_WRITES_S = 2.0


class Stream:
    """Numbers 1, 2, 3, ... on one topic from one sender to one receiver. The sender never goes on
    before a number was acknowledged (devices) or keeps their order (MQTT)."""

    def __init__(self, name, exact):
        self.name = name
        self.exact = exact          # QoS 2: a duplicate is a broken promise
        self.sent = 0
        self.acknowledged = 0
        self.expected = 1           # the receiver has seen everything below, but for `missing`
        self.missing = set()
        self.duplicated = 0
        self.misordered = 0
        self.repeated_by_broker = 0
        self.excused = set()        # what a killed broker may have lost or repeated
        self.young = deque()        # (time, number) of what was acknowledged or arrived lately

    def next(self):
        self.sent += 1
        return self.sent

    def accepted(self, number):
        """The sender has its acknowledgement: from now on the number must arrive."""
        self.acknowledged = max(self.acknowledged, number)
        self.note(number)

    def note(self, number):
        now = time.monotonic()
        self.young.append((now, number))
        while self.young[0][0] < now - BROKER_WRITES_S:
            self.young.popleft()

    def received(self, number):
        self.note(number)
        if number >= self.expected:
            self.missing.update(range(self.expected, number))
            self.expected = number + 1
        elif number in self.missing:
            self.missing.discard(number)
            self.misordered += number not in self.excused
        else:
            self.duplicated += number not in self.excused

    def broker_killed(self):
        """Nobody but the broker knows what it had of that which is still on its way."""
        since = time.monotonic() - BROKER_WRITES_S
        self.excused.update(number for when, number in self.young if when >= since)
        self.excused.update(range(self.expected, self.sent + 1))

    def twice(self):
        """Duplicates that the receiver must not get."""
        return max(self.duplicated - self.repeated_by_broker, 0) if self.exact else 0

    def absent(self):
        return self.missing | set(range(self.expected, self.acknowledged + 1))

    def lost(self):
        return sorted(self.absent() - self.excused)

    def lost_by_broker(self):
        return len(self.absent() & self.excused)

    def idle(self):
        """Nothing is under way. What a killed broker may have lost is not waited for."""
        return self.acknowledged >= self.sent and \
            self.excused.issuperset(range(self.expected, self.sent + 1))


class Ledger:
    def __init__(self):
        self.streams = {}
        self.will_fates = {}       # payload: must it be published?
        self.wills_seen = {}       # payload: how often
        self.violations = []       # anything else that must not happen
        self.congested = 0         # refused by the gateway: no promise made, the device repeats

    def stream(self, name, exact):
        return self.streams.setdefault(name, Stream(name, exact))

    def violation(self, text):
        self.violations.append(text)

    def will_kept(self, payload):
        self.will_fates[payload] = False

    def will_due(self, payload):
        self.will_fates[payload] = True

    def will_published(self, payload):
        self.wills_seen[payload] = self.wills_seen.get(payload, 0) + 1

    def broker_killed(self):
        for stream in self.streams.values():
            stream.broker_killed()

    def broker_repeated(self, topic):
        for stream in self.streams.values():
            stream.repeated_by_broker += stream.name.startswith(f"{topic} -> ")

    def wills_missing(self):
        return [payload for payload, due in self.will_fates.items()
                if due and payload not in self.wills_seen]

    def idle(self):
        return not self.wills_missing() and all(s.idle() for s in self.streams.values())

    def arrived(self):
        """Grows with each message that comes, repeated ones included."""
        return sum(s.expected + s.duplicated + s.misordered for s in self.streams.values()) \
            + len(self.wills_seen)

    def under_way(self):
        """For the report of a traffic that never comes to rest."""
        return [f"{s.name}: sent {s.sent}, acknowledged {s.acknowledged}, arrived "
                f"{s.expected - 1}" for s in self.streams.values() if not s.idle()]

    def messages(self):
        return sum(s.acknowledged for s in self.streams.values())

    def lost(self):
        return sum(len(s.lost()) for s in self.streams.values())

    def lost_by_broker(self):
        return sum(s.lost_by_broker() for s in self.streams.values())

    def duplicated(self):
        """Of QoS 1, which allows it."""
        return sum(s.duplicated for s in self.streams.values() if not s.exact)

    def repeated_by_broker(self):
        return sum(s.duplicated for s in self.streams.values() if s.exact)

    def faults(self):
        """Every broken promise in words."""
        found = list(self.violations)
        for s in self.streams.values():
            if s.lost():
                found.append(f"{s.name}: lost {s.lost()[:10]} of {s.acknowledged}")
            if s.twice():
                found.append(f"{s.name}: QoS 2, but {s.twice()} came twice")
            if s.misordered:
                found.append(f"{s.name}: {s.misordered} overtaken by a later one")
        for payload in self.wills_missing():
            found.append(f"will of a dead device not published: {payload}")
        for payload, times in self.wills_seen.items():
            if not self.will_fates.get(payload):
                found.append(f"will published of a device that lives or said goodbye: {payload}")
            elif times > 1:
                found.append(f"will published {times} times: {payload}")
        return found
