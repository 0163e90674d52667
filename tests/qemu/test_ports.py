# SPDX-License-Identifier: Apache-2.0
"""Real serial ports, as far as an emulated PC has them: the kernel's drivers of a 16550A and of an
FTDI adapter that is plugged in and out, udev with our rule, libserialport, and dormoused as a user of
group dialout. One machine serves all tests. See scripts/test-qemu and docs/testing.md."""

import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import unittest

import harness
import mqttsn as sn
from device import Device
from guest import Guest, GuestLink
from image import Image

LIMIT_S = int(os.environ.get("DORMOUSE_QEMU_LIMIT", 900))
PACKAGES = pathlib.Path(os.environ["DORMOUSE_QEMU_PACKAGES"])
USB_SERIAL = "DM0042"
LOCAL_RULES = ('SUBSYSTEM=="tty", '
               f'ENV{{ID_SERIAL_SHORT}}=="{USB_SERIAL}", ENV{{DORMOUSE_PORT}}="barn"\n')
USB = "/dev/dormouse/barn"
CONFIG = f"""[gateway]
id = 7
name = test
state_dir = /state
[broker]
url = mqtt://10.0.2.2:{{port}}
client_id = dormouse-test
[sessions]
retry = 5s
[control]
socket = /run/dormouse/control.sock
[serial uart]
device = /dev/ttyS1
baud = 115200
flow = rtscts
[serial barn]
device = {USB}
baud = 57600
framing = slip
low_latency = yes
[serial fast]
device = /dev/ttyS2
baud = 230400
[serial held]
device = /dev/ttyS3
baud = 9600
[serial odd]
device = /dev/ttyS4
baud = 9600
mode = 8E2
dtr = off
rs485 = kernel
low_latency = yes
"""
AS_USER = "/usr/bin/setpriv --reuid=dormouse --regid=dialout --clear-groups"
HELD_SETTINGS = {"icanon", "icrnl", "ixon", "echo", "hupcl"}  # nothing that the gateway would set
ASYNC_LOW_LATENCY = 1 << 13
SLEPT_THROUGH = 20
PLUGS = 5
FLOOD = 200
RETRY_S = 60      # the gateway tries every 30 s at least


def note(text):
    print(f"    {text}", file=sys.stderr, flush=True)


class World:
    """What all tests share."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dm-"))
        self.ports = harness.PortKeeper()
        self.broker = harness.Mosquitto(self.directory, self.ports.take())
        self.guest = None

    def start(self):
        started = time.monotonic()
        self.broker.start()
        image = Image(PACKAGES, self.directory)
        image.add_base()
        image.add_modules()
        image.add_udev(LOCAL_RULES)
        image.add_text(CONFIG.format(port=self.broker.port), "etc/dormouse.ini")
        image.write()
        self.guest = Guest(image, self.directory)
        self.guest.start(USB_SERIAL)
        note(f"up after {time.monotonic() - started:.0f} s")

    def close(self):
        if self.guest is not None:
            self.guest.close()
        self.broker.close()
        self.ports.close()

    def print_logs(self):
        for path in sorted(self.directory.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            print(f"--- the last lines of {path.name}", file=sys.stderr)
            print("\n".join(lines[-harness.LOG_LINES:]), file=sys.stderr)


WORLD = World()


class PortTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = WORLD.broker
        cls.guest = WORLD.guest

    def link(self, name, framing="raw"):
        link = GuestLink(WORLD.directory / name, framing)
        self.addCleanup(link.close)
        return link

    def uart(self):
        link = self.link("uart")
        link.connect()
        return link

    def usb(self):
        """The adapter, plugged in and served."""
        link = self.link("usb", "slip")
        since = self.guest.mark()
        self.plug(link, since)
        return link

    def plug(self, link, since):
        """Returns the name that the kernel gave to the port."""
        link.plug()
        return self.guest.wait_line(rf"serial:barn: {USB} open as (\S+),", RETRY_S, since)[1]

    def unplug(self, link):
        """Returns the place in the console's text before that."""
        since = self.guest.mark()
        link.unplug()
        self.guest.wait_line(rf"serial:barn: {USB} lost: ", since=since)
        # A port that is plugged in before the kernel has noticed would be another one.
        self.guest.done("udevadm settle")
        return since

    def links(self):
        return {link["name"]: link for link in self.status()["links"]}

    def status(self, command="status"):
        return json.loads(self.guest.done(
            f"dormouse --json --socket /run/dormouse/control.sock {command}"))

    def device(self, client_id, link):
        return Device(client_id, link)

    def check_both_ways(self, client_id, link):
        device = self.device(client_id, link).connect(clean=True)
        device.subscribe(f"{client_id}/down")
        listener = self.broker.client("listener")
        listener.subscribe(f"{client_id}/up")
        topic_id = device.register(f"{client_id}/up")
        # Octets that a line discipline or flow control would eat are among these.
        payload = bytes(range(200))
        self.assertEqual(device.publish(topic_id, payload), sn.ACCEPTED)
        self.assertEqual(listener.receive(), [(f"{client_id}/up", payload)])
        listener.publish(f"{client_id}/down", payload[::-1])
        self.assertEqual(device.text_of(device.take()[0]), (f"{client_id}/down", payload[::-1]))
        device.disconnect()

    def settings(self, port):
        """What `stty -a` says, as a set of words."""
        return set(self.guest.done(f"stty -a -F {port}").replace(";", " ").split())

    def check_settings(self, port, wanted):
        self.assertEqual(wanted - self.settings(port), set(), f"not set on {port}")


class Traffic(PortTest):
    def test_a_device_on_a_16550A_speaks_both_ways(self):
        self.check_both_ways("on-uart", self.uart())

    def test_a_device_on_a_usb_port_speaks_both_ways(self):
        link = self.usb()
        self.check_both_ways("on-usb", link)
        self.unplug(link)


class Unplugged(PortTest):
    def test_a_sleeping_device_gets_all_that_came_while_its_port_was_away(self):
        link = self.usb()
        device = self.device("sleeper", link).connect(clean=True).connect()
        device.subscribe("sleeper/#")
        device.sleep()
        since = self.unplug(link)
        self.assertEqual(self.guest.run(f"ls {USB}")[0], 1)
        publisher = self.broker.client("publisher")
        wanted = [(f"sleeper/{n % 3}", b"%d" % n) for n in range(SLEPT_THROUGH)]
        for topic, payload in wanted:
            publisher.publish(topic, payload)
        harness.wait_until(lambda: [one["queued"] for one in self.status("sessions")["sessions"]
                                    if one["client_id"] == "sleeper"] == [SLEPT_THROUGH],
                           "all messages wait for the sleeper")
        self.plug(link, since)
        came = [device.text_of(p) for p in device.wake() if p.kind == sn.PUBLISH]
        self.assertEqual(came, wanted)
        device.connect().disconnect()
        self.unplug(link)

    def test_the_port_comes_back_under_the_same_name(self):
        link = self.link("usb", "slip")
        since = self.guest.mark()
        seconds = []
        for _ in range(PLUGS):
            started = time.monotonic()
            self.assertEqual(self.plug(link, since), "/dev/ttyUSB0")
            seconds.append(f"{time.monotonic() - started:.1f}")
            since = self.unplug(link)
        note(f"served after so many seconds: {', '.join(seconds)}")

    def test_half_a_message_before_the_port_went_spoils_nothing(self):
        link = self.usb()
        device = self.device("half", link).connect(clean=True)
        link.write(b"\xc0" + sn.pingreq()[:1])
        since = self.unplug(link)
        self.plug(link, since)
        device.connect()
        device.ping()
        device.disconnect()
        self.unplug(link)

    def test_a_message_under_way_comes_again_when_the_device_is_back(self):
        link = self.usb()
        device = self.device("awake", link).connect(clean=True).connect()
        device.subscribe("awake/1")
        self.broker.client("publisher").publish("awake/1", b"one")
        first = device.expect(sn.PUBLISH)
        since = self.unplug(link)
        self.plug(link, since)
        again = device.take()[0]
        self.assertEqual((again.topic_id, again.msg_id, again.data),
                         (first.topic_id, first.msg_id, first.data))
        device.disconnect()
        self.unplug(link)


    def test_a_port_that_comes_and_goes_at_once_is_served_when_it_stays(self):
        link = self.link("usb", "slip")
        for _ in range(PLUGS):
            link.plug()
            link.unplug()
        since = self.guest.mark()
        self.plug(link, since)
        # The hang-up of an earlier life may be told only now.
        self.guest.done("udevadm settle")
        harness.wait_until(lambda: self.links()["barn"]["up"], "the port is served")
        self.check_both_ways("at-last", link)
        self.unplug(link)

    def test_a_port_that_goes_while_messages_wait_for_it_is_served_again(self):
        link = self.usb()
        device = self.device("slow", link).connect(clean=True)
        device.subscribe("slow/1", qos=0)
        publisher = self.broker.client("publisher")
        for _ in range(FLOOD):
            publisher.publish("slow/1", bytes(200), qos=0)  # for some seconds at this speed
        harness.wait_until(lambda: self.links()["barn"]["tx_waiting"] > 0, "messages wait")
        since = self.unplug(link)
        self.plug(link, since)
        device.before_barrier()
        device.send(sn.disconnect())  # or what is left goes to the next device on this port
        while device.receive().kind != sn.DISCONNECT:
            pass
        self.unplug(link)

    def test_a_port_that_cannot_be_opened_costs_no_time(self):
        """Attempts must not wake each other: two ports are never to be had here."""
        def ticks():
            fields = self.guest.done("cat /proc/$(cat /run/dormoused.pid)/stat").split()
            return int(fields[13]) + int(fields[14])

        before = ticks()
        self.guest.done("sleep 10")
        spent = ticks() - before
        self.assertLess(spent, 50, "of 1000")


class Settings(PortTest):
    RAW = {"cs8", "-cstopb", "-parenb", "cread", "clocal", "-hupcl", "-icanon", "-echo", "-isig",
           "-iexten", "-opost", "-icrnl", "-inlcr", "-igncr", "-istrip", "-ixon", "-ixoff", "-ixany"}

    def modem_lines(self, number):
        """Of /dev/ttyS NUMBER, those that are up."""
        text = self.guest.done(f"grep '^{number}:' /proc/tty/driver/serial")
        return set(text.rpartition(" ")[2].split("|"))

    def test_the_16550A_is_set_as_configured(self):
        self.check_settings("/dev/ttyS1", self.RAW | {"crtscts", "115200"})

    def test_the_usb_port_is_set_as_configured(self):
        link = self.usb()
        self.check_settings(USB, self.RAW | {"-crtscts", "57600"})
        self.assertEqual(self.guest.done(f"stat -L -c '%G %a' {USB}"), "dialout 660")
        self.unplug(link)

    def test_a_port_has_the_mode_and_the_lines_that_are_asked_for(self):
        self.assertEqual(self.modem_lines(4) & {"RTS", "DTR"}, {"RTS"})
        # Behind that, because the kernel raises both lines for everyone who opens the port.
        wanted = self.RAW - {"-cstopb", "-parenb"} | {"cstopb", "parenb", "-parodd", "9600"}
        self.check_settings("/dev/ttyS4", wanted)
        flags = int(self.guest.done("cat /sys/class/tty/ttyS4/flags"), 16)
        self.assertTrue(flags & ASYNC_LOW_LATENCY, hex(flags))
        self.guest.wait_line("/dev/ttyS4: the driver does not switch RS-485")

    def test_the_adapter_hands_over_octets_at_once(self):
        link = self.usb()
        timer_ms = self.guest.done("cat /sys/class/tty/ttyUSB0/device/latency_timer")
        self.assertEqual(timer_ms, "1")
        self.unplug(link)

    def test_a_speed_that_the_driver_does_not_have_is_refused(self):
        self.guest.wait_line("serial:fast: cannot open /dev/ttyS2: cannot set 230400 baud: "
                             r"the driver stays at \d+$")
        self.assertFalse(self.links()["fast"]["up"])

    def test_the_modem_lines_stay_up_over_a_restart(self):
        self.assertLessEqual({"RTS", "DTR"}, self.modem_lines(1))
        stop_gateway(self.guest)
        try:
            self.assertLessEqual({"RTS", "DTR"}, self.modem_lines(1))
        finally:
            start_gateway(self.guest)


class Busy(PortTest):
    SUB = "dormouse sub --serial /dev/ttyS1 -t none --wakes 0 --sleep 60"

    def test_a_port_of_the_gateway_is_busy_for_others(self):
        before = self.settings("/dev/ttyS1")
        for user in (AS_USER, ""):  # TIOCEXCL, and the lock for root, whom that does not stop
            status, said = self.guest.run(f"{user} {self.SUB}")
            self.assertNotEqual(status, 0)
            self.assertIn("busy: another program holds it", said)
        self.assertEqual(self.settings("/dev/ttyS1"), before)

    def test_a_port_that_another_program_holds_is_left_alone_until_it_is_free(self):
        since = self.guest.mark()
        self.guest.wait_line("serial:held: cannot open /dev/ttyS3: busy: another program holds it$")
        self.check_settings("/dev/ttyS3", HELD_SETTINGS)
        self.guest.done("kill $(cat /run/holder)")
        self.guest.wait_line("serial:held: /dev/ttyS3 open as /dev/ttyS3, 9600 baud", RETRY_S, since)


def start_gateway(guest):
    since = guest.mark()
    guest.done(f"{AS_USER} dormoused -d -c /etc/dormouse.ini >/dev/console 2>&1 & "
               "echo $! >/run/dormoused.pid")
    guest.wait_line("upstream: .*: connected with MQTT 5", since=since)
    guest.wait_line("serial:uart: /dev/ttyS1 open as /dev/ttyS1, 115200 baud", since=since)


def stop_gateway(guest):
    guest.done("p=$(cat /run/dormoused.pid); kill $p && while [ -d /proc/$p ]; do usleep 10000; done")


def setUpModule():
    unittest.addModuleCleanup(WORLD.close)
    WORLD.start()
    guest = WORLD.guest
    guest.done("chown dormouse:dialout /state && mkdir -p /run/dormouse && "
               "chown dormouse:dialout /run/dormouse")
    guest.done(f"/usr/bin/flock /dev/ttyS3 sh -c 'stty {' '.join(HELD_SETTINGS)} </dev/ttyS3; "
               "echo $$ >/run/holder; exec sleep 100000 </dev/ttyS3' >/dev/null 2>&1 & "
               "while [ ! -s /run/holder ]; do usleep 10000; done")
    start_gateway(guest)


def on_alarm(_signal, _frame):
    signal.alarm(5)  # for each test that is left
    raise AssertionError(f"not done within {LIMIT_S} s")


def main():
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(LIMIT_S)
    try:
        harness.main()
    except SystemExit as end:
        if end.code:
            WORLD.print_logs()
        raise
    finally:
        shutil.rmtree(WORLD.directory, ignore_errors=True)


if __name__ == "__main__":
    main()
