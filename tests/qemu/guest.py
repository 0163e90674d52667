# SPDX-License-Identifier: Apache-2.0
"""An emulated PC: its console, and the far ends of its serial lines."""

import re
import select
import socket
import time

import harness
from device import StreamLink

START_S = 240    # from power on to the first prompt
ANSWER_S = 60    # for what takes less than a second on a machine of one's own
QEMU = "qemu-system-x86_64"
CONSOLE = 0      # index of the 16550A that is the console


class GuestLink(StreamLink):
    """What is connected to a serial port of the machine. A USB port is plugged in as long as its
    far end is."""

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(self.path))
        self.master = self.socket.fileno()
        self.buffer = bytearray()

    plug = connect

    def close(self):
        if self.master >= 0:
            self.socket.close()
            self.master = -1

    unplug = close


class Guest(harness.Server):
    """Commands go to the shell of `init`, one at a time."""

    def __init__(self, image, directory):
        super().__init__(directory / "qemu.log")
        self.directory = directory
        self.image = image
        self.console_log = directory / "console.log"
        self.buffer = b""
        self.lines = []
        self.number = 0

    def uart(self, name, index, irq, backend="socket"):
        chardev = f"{backend},id={name}"
        if backend == "socket":
            wait = "on" if index == CONSOLE else "off"
            chardev += f",path={self.directory / name},server=on,wait={wait}"
        return ["-chardev", chardev, "-device", f"isa-serial,chardev={name},index={index},irq={irq}"]

    def start(self, usb_serial):
        self.spawn([
            QEMU, "-machine", "pc,usb=off", "-accel", "tcg", "-m", "384", "-smp", "1", "-nodefaults",
            "-no-user-config", "-no-reboot", "-display", "none",
            "-kernel", self.image.kernel, "-initrd", self.image.file,
            "-append", "console=ttyS0 quiet loglevel=3 panic=-1 8250.nr_uarts=5 net.ifnames=0",
            "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-device", "qemu-xhci", "-chardev",
            f"socket,id=usb,path={self.directory / 'usb'},server=on,wait=off",
            "-device", f"usb-serial,chardev=usb,serial={usb_serial}",
            *self.uart("console", CONSOLE, 4), *self.uart("uart", 1, 3),
            *self.uart("idle", 2, 5, "null"), *self.uart("held", 3, 7, "null"),
            "-chardev", "null,id=odd", "-device", "pci-serial,chardev=odd",
        ])
        self.console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        harness.wait_until(self.reach_console, "QEMU opens its console")
        self.wait_line(r"@ 0 status 0", START_S)

    def reach_console(self):
        assert self.ended() is None, "QEMU ended at once"
        return self.console.connect_ex(str(self.directory / "console")) == 0

    def read_console(self, seconds):
        if not select.select([self.console], [], [], seconds)[0]:
            return
        octets = self.console.recv(65536)
        assert octets, "the machine has gone"
        with open(self.console_log, "ab") as log:  # that of QEMU has octets twice now and then
            log.write(octets.replace(b"\r", b""))
        *lines, self.buffer = (self.buffer + octets).replace(b"\r", b"").split(b"\n")
        self.lines += [line.decode(errors="replace") for line in lines]

    def mark(self):
        """The place in the console's text that is reached, for `wait_line`."""
        while select.select([self.console], [], [], 0)[0]:
            self.read_console(0)
        return len(self.lines)

    def wait_line(self, pattern, seconds=ANSWER_S, since=0):
        """The match in the first line since the mark that has one."""
        deadline = time.monotonic() + seconds
        while True:
            for line in self.lines[since:]:
                found = re.search(pattern, line)
                if found:
                    return found
            since = len(self.lines)
            left = deadline - time.monotonic()
            assert left > 0, f"the console did not say '{pattern}' within {seconds} s"
            self.read_console(left)

    def run(self, command):
        """(status, what it printed)"""
        self.number += 1
        since = self.mark()
        self.console.sendall(f"{self.number} {command}\n".encode())
        end = self.wait_line(rf"^@ {self.number} status (\d+)$", since=since)
        head = f"@ {self.number} "
        said = [line.removeprefix(head) for line in self.lines[since:] if line.startswith(head)]
        return int(end[1]), "\n".join(said[:-1])

    def done(self, command):
        """What a command printed that has to succeed."""
        status, said = self.run(command)
        assert status == 0, f"'{command}' ended with status {status}: {said}"
        return said

    def close(self):
        if self.process is not None:
            self.kill()
            self.console.close()
