# SPDX-License-Identifier: Apache-2.0
"""A power failure: the state directory as it would be after one, from the log of powerloss.c. What
was synced is there; of what was not, a random part, sector by sector."""

import random
import struct

import harness

SHIM = harness.BIN / "powerloss.so"
RECORD = struct.Struct("=QQQQ")
OPEN, WRITE, TRUNCATE, EXTEND, SYNC, SYNC_DIRECTORY, UNLINK, RENAME = range(8)
SECTOR = 512


def environment(directory, log, hold=None):
    """Of a daemon whose `directory` is watched."""
    found = {"LD_PRELOAD": str(SHIM), "POWERLOSS_DIRECTORY": str(directory),
             "POWERLOSS_LOG": str(log),
             # The shim calls on to what the sanitizer puts in front of the C library.
             "ASAN_OPTIONS": "verify_asan_link_order=0"}
    if hold is not None:
        found["POWERLOSS_HOLD"] = str(hold)
    return found


def records(octets):
    at = 0
    while at + RECORD.size <= len(octets):
        operation, inode, offset, length = RECORD.unpack_from(octets, at)
        at += RECORD.size
        if at + length > len(octets):
            return   # killed while it wrote this one
        yield operation, inode, offset, octets[at:at + length]
        at += length


class File:
    def __init__(self, octets=b""):
        self.octets = bytearray(octets)   # on the disk
        self.pending = []                 # (operation, offset, data), in the cache only

    def apply(self, operation, offset, data):
        if operation == WRITE:
            self.octets += bytes(max(offset - len(self.octets), 0))
            self.octets[offset:offset + len(data)] = data
        elif operation == TRUNCATE:
            del self.octets[offset:]
            self.octets += bytes(offset - len(self.octets))
        else:
            self.octets += bytes(max(offset - len(self.octets), 0))

    def sync(self):
        for change in self.pending:
            self.apply(*change)
        self.pending.clear()

    def cached(self):
        """What a reader sees while there is power."""
        seen = File(self.octets)
        for change in self.pending:
            seen.apply(*change)
        return bytes(seen.octets)

    def fail(self, survives):
        """Without power: each sector that was under way is there or not."""
        for operation, offset, data in self.pending:
            if operation != WRITE:
                if survives():
                    self.apply(operation, offset, data)
                continue
            at = 0
            while at < len(data):
                end = min(len(data), at + SECTOR - (offset + at) % SECTOR)
                if survives():
                    self.apply(WRITE, offset + at, data[at:end])
                at = end
        self.pending.clear()


class Disk:
    """One directory. `begin` before the daemon starts, `fail` when it is dead."""

    def __init__(self, directory, log, seed):
        self.directory = directory
        self.log = log
        self.random = random.Random(seed)

    def begin(self):
        """All that is there has been there for long."""
        self.log.write_bytes(b"")   # a daemon may be killed before it writes one of its own
        self.names = {}    # on the disk: name: File
        self.inodes = {}
        if self.directory.exists():
            for path in self.directory.iterdir():
                if path.name.endswith("-shm"):
                    continue
                self.names[path.name] = File(path.read_bytes())
                self.inodes[path.stat().st_ino] = self.names[path.name]
        self.entries = dict(self.names)   # in the cache: what the daemon sees
        self.pending = []                 # changes of names that are not on the disk

    def rename(self, names, change):
        operation, name, value = change
        if operation == OPEN:
            names[name] = value
        elif operation == UNLINK:
            names.pop(name, None)
        elif name in names:
            names[value] = names.pop(name)

    def note_names(self, change):
        self.pending.append(change)
        self.rename(self.entries, change)

    def replay(self, lying=False):
        for operation, inode, offset, data in records(self.log.read_bytes()):
            if operation == OPEN:
                if self.entries.get(data.decode()) is not self.inodes.get(inode) \
                        or inode not in self.inodes:
                    self.inodes[inode] = File()
                    self.note_names((OPEN, data.decode(), self.inodes[inode]))
            elif operation == UNLINK:
                self.note_names((UNLINK, data.decode(), None))
            elif operation == RENAME:
                old, new = data.decode().split("\0")
                self.note_names((RENAME, old, new))
            elif operation == SYNC_DIRECTORY:
                for change in () if lying else self.pending:
                    self.rename(self.names, change)
                self.pending = self.pending if lying else []
            elif operation == SYNC:
                if not lying:
                    self.inodes[inode].sync()
            else:
                self.inodes[inode].pending.append((operation, offset, data))

    def fail(self, lying=False, share=None):
        """`lying`: a disk that says it has synced what it has not. `share`: of the sectors that
        were under way, so many survive."""
        self.replay(lying)
        if share is None:
            share = self.random.choice((0.0, 0.5, 0.95, 1.0))
        # Names are in the journal of a file system: an early change is there before a later one.
        survivors = 0 if share == 0 else self.random.randint(0, len(self.pending))
        for change in self.pending[:survivors]:
            self.rename(self.names, change)
        for path in self.directory.iterdir():
            path.unlink()
        for name, file in self.names.items():
            file.fail(lambda: self.random.random() < share)
            path = self.directory / name
            path.write_bytes(file.octets)
            path.chmod(0o600)
