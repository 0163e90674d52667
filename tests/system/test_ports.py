# SPDX-License-Identifier: Apache-2.0
"""`dormouse ports`: the gateway's links, and the serial ports of this machine and of made-up ones."""

import binascii
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
import mqttsn as sn
import schema
from device import slip_encode
from harness import BIN, SystemTest, main, run, wait_until

OK, USAGE, CONNECTION = 0, 1, 2
EVIL = 'x", RUN+="/bin/sh\x1b[2J'


def aquila_forwarded(lqi, rssi, node, message):
    """What a bridge says of a message that it heard: SLIP, and a CRC of polynomial 1021 from 0."""
    octets = bytes([lqi, rssi, 5 + len(message), 0xfe, 1]) + node.to_bytes(2, "little") + message
    return slip_encode(octets + binascii.crc_hqx(octets, 0).to_bytes(2, "little"))


class Links(SystemTest):
    def show(self, *arguments):
        return self.command("--socket", self.gateway.socket, "ports", *arguments)

    def test_links_of_the_gateway_are_shown_with_their_counts(self):
        self.pty("barn")
        self.start_gateway()
        self.device("d").connect()
        shown = self.show()
        self.assertEqual((shown.returncode, shown.stderr), (OK, ""))
        head, lan, barn = shown.stdout.splitlines()[:3]
        self.assertTrue(head.startswith("LINK "), head)
        self.assertEqual(lan.split()[:3], ["udp:lan", "up", "1"])
        self.assertEqual(barn.split()[:3], ["serial:barn", "up", "0"])

    def test_serial_line_is_shown_with_its_counters_and_nodes(self):
        line = self.pty("barn")
        self.start_gateway(serial_barn={"max_nodes": 1})
        line.send(sn.encapsulate(b"\x01\xab", sn.pingreq()))
        line.send(sn.encapsulate(b"\x02", sn.pingreq()))
        wait_until(lambda: self.gateway.status()["links"][1]["nodes_refused"] == 1,
                   "the second node is refused")
        shown = self.show().stdout
        self.assertRegex(shown, r"\n\nserial:barn: mtu 255\n  in    0 crc errors, .*"
                                r", 1 from nodes beyond max_nodes\n"
                                r"  out   0 repeats, 0 unconfirmed, 0 waiting\n  line  0 framing")
        self.assertRegex(shown, r"\n\nNODE +MESSAGES +UNCONFIRMED\nserial:barn:01ab +1 +0\n$")
        status = self.command("--socket", self.gateway.socket, "status").stdout
        self.assertIn("  in    ", status)
        self.assertNotIn("  line  ", status)
        self.assertIn("\nserial:barn:01ab ", status)

    def test_signal_of_a_radio_is_shown_with_node_and_session(self):
        bridge = self.pty("field", "aquila")
        self.start_gateway()
        heard = aquila_forwarded(lqi=43, rssi=90, node=0x0102, message=sn.connect("pump"))
        bridge.write(heard)
        self.gateway.wait_state("pump", "active")
        self.device("wired").connect()
        sessions = self.gateway.sessions()
        self.assertEqual((sessions["pump"]["lqi"], sessions["pump"]["rssi"]), (43, 90))
        self.assertNotIn("lqi", sessions["wired"])
        shown = self.command("--socket", self.gateway.socket, "sessions").stdout
        self.assertRegex(shown, r"\npump .* lqi 43  serial:field:0201\n")
        self.assertRegex(self.show().stdout, r" RSSI +LQI\nserial:field:0201 +1 +0 +90 +43\n$")

    def test_json_has_the_links_and_nothing_else(self):
        self.start_gateway()
        done = self.show("--json")
        self.assertEqual(done.returncode, OK, done.stderr)
        answer = schema.check_json("links", done.stdout)
        self.assertEqual(list(answer), ["links"])
        self.assertEqual([link["name"] for link in answer["links"]], ["lan"])

    def test_no_gateway_is_said_with_status_2(self):
        done = self.show()
        self.assertEqual(done.returncode, CONNECTION)
        self.assertIn("no gateway answers", done.stderr)


class List(unittest.TestCase):
    """The machine that runs the test: nobody knows which ports it has."""

    def ports(self, *arguments, **how):
        done = run([BIN / "dormouse", "ports", *arguments], **how)
        self.assertNotIn("Sanitizer", done.stderr)
        return done

    def test_text_always_says_what_to_do(self):
        done = self.ports("--list")
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        self.assertIn("docs/serial.md", done.stdout)
        self.assertTrue("No serial port was found." in done.stdout or
                        "\n    [serial " in done.stdout, done.stdout)

    def test_json_is_one_object(self):
        for arguments in (["--list", "--json"], ["--json", "--list"]):
            done = self.ports(*arguments)
            self.assertEqual((done.returncode, done.stderr), (OK, ""))
            for port in schema.check_json("ports", done.stdout)["ports"]:
                self.assertLessEqual({"path", "bus", "links", "name", "section", "udev_rule"},
                                     set(port))

    def test_wrong_usage_is_said_with_status_1(self):
        for arguments in (["extra"], ["--list", "extra"], ["--list", "-c", "x"],
                          ["--list", "--socket", "x"], ["--nonsense"]):
            done = self.ports(*arguments)
            self.assertEqual((done.returncode, done.stdout), (USAGE, ""), arguments)
            self.assertIn("--help", done.stderr)

    def test_help_tells_of_the_list(self):
        done = self.ports("--help")
        self.assertEqual(done.returncode, OK)
        self.assertIn("--list", done.stdout)


class Documentation(unittest.TestCase):
    def test_sections_of_the_page_about_radios_are_valid(self):
        page = (harness.ROOT / "docs/serial.md").read_text()
        sections = re.findall(r"^```ini\n(.*?)^```", page, re.S | re.M)
        self.assertGreater(len(sections), 5)
        with tempfile.TemporaryDirectory() as top:
            path = pathlib.Path(top) / "main.ini"
            path.touch(0o600)
            for section in sections:
                path.write_text(section)
                done = run([BIN / "dormouse", "check", path])
                self.assertEqual((done.returncode, done.stderr), (OK, ""), section)


def bind(source, target):
    """mount --bind, in a mount namespace of one's own."""
    if harness.LIBC.mount(bytes(source), target.encode(), None, 0x1000, None) != 0:
        raise OSError("mount")


@unittest.skipUnless(os.geteuid() == 0, "makes up /sys and /dev, which needs root")
class MadeUpMachine(unittest.TestCase):
    """What the kernel tells of ports in /sys/class/tty and udev in /dev/serial is made up, and seen by
    the program alone."""

    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="dm-"))
        self.addCleanup(shutil.rmtree, self.top)
        self.sys = self.top / "tty"
        self.dev = self.top / "dev"
        for path in (self.sys, self.dev / "serial/by-id", self.dev / "serial/by-path"):
            path.mkdir(parents=True)
        # the class has links, and the device of a USB port is two levels below the dongle
        self.devices = self.top / "usb1"

    def add_dongle(self, tty, **attributes):
        dongle = self.devices / f"1-{tty[-1]}"
        port = dongle / "1:1.0" / tty
        (port / "tty" / tty).mkdir(parents=True)
        (port / "tty" / tty / "device").symlink_to("../..")
        for name, value in attributes.items():
            (dongle / name).write_text(value + "\n")
        (self.sys / tty).symlink_to(port / "tty" / tty)
        (self.dev / tty).touch()

    def add_link(self, name, tty):
        (self.dev / name).symlink_to(self.dev / tty if name.count("/") == 0 else f"../../{tty}")

    def ports(self, *arguments):
        def make_up():
            harness.in_own_mount_namespace()
            bind(self.sys, "/sys/class/tty")
            bind(self.dev, "/dev")
            harness.die_with_parent()
        done = subprocess.run([BIN / "dormouse", "ports", "--list", *arguments], timeout=60,
                              text=True, capture_output=True, preexec_fn=make_up,
                              stdin=subprocess.DEVNULL)
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        return done.stdout

    def check_section(self, section):
        path = self.top / "main.ini"
        path.write_text(section)
        done = run([BIN / "dormouse", "check", path])
        self.assertEqual((done.returncode, done.stderr), (OK, ""))

    def test_machine_without_ports_gets_advice_and_status_0(self):
        self.assertIn("No serial port was found.", self.ports())
        self.assertEqual(schema.check_strictly("ports", self.ports("--json")), {"ports": []})

    def test_dongle_is_described_with_section_and_rule(self):
        self.add_dongle("ttyUSB0", idVendor="0403", idProduct="6001", busnum="1", devnum="4",
                        manufacturer="FTDI", product="FT232R USB UART", serial="A50285BI")
        by_id = "serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
        self.add_link(by_id, "ttyUSB0")
        (port,) = schema.check_strictly("ports", self.ports("--json"))["ports"]
        known = {"path": "/dev/ttyUSB0", "bus": "usb", "vendor_id": "0403", "product_id": "6001",
                 "manufacturer": "FTDI", "product": "FT232R USB UART", "serial_number": "A50285BI",
                 "usb_bus": 1, "usb_address": 4, "links": [f"/dev/{by_id}"], "console": False,
                 "accessible": True, "name": "ft232r-usb-uart", "device": f"/dev/{by_id}",
                 "udev_rule": 'SUBSYSTEM=="tty", ENV{ID_SERIAL_SHORT}=="A50285BI", '
                              'ENV{DORMOUSE_PORT}="ft232r-usb-uart"'}
        self.assertEqual({key: port[key] for key in known}, known)
        self.check_section(port["section"])
        self.assertIn("\n    device = /dev/" + by_id, self.ports())

    def test_ports_are_in_order_and_their_sections_fit_together(self):
        for number in (3, 1, 2):
            self.add_dongle(f"ttyUSB{number}", idVendor="10c4", idProduct="ea60", busnum="1",
                            devnum=str(number), product="CP2102", serial="0001")
        ports = schema.check_strictly("ports", self.ports("--json"))["ports"]
        self.assertEqual([port["path"] for port in ports],
                         ["/dev/ttyUSB1", "/dev/ttyUSB2", "/dev/ttyUSB3"])
        self.assertEqual([port["name"] for port in ports], ["cp2102", "cp2102-2", "cp2102-3"])
        self.assertEqual([port["udev_rule"] for port in ports], [None] * 3)
        self.check_section("".join(port["section"] for port in ports))
        self.assertIn("udevadm info --query=property --name=/dev/ttyUSB1", self.ports())

    def test_hostile_descriptors_reach_neither_terminal_nor_file(self):
        self.add_dongle("ttyACM0", idVendor="1a86", idProduct="7523", busnum="1", devnum="9",
                        manufacturer=EVIL, product=EVIL, serial=EVIL)
        self.add_link("serial/by-path/platform-usb-0:1:1.0", "ttyACM0")
        text = self.ports()
        self.assertNotIn("\x1b", text)
        self.assertIn("\\x1b[2J", text)
        (port,) = schema.check_strictly("ports", self.ports("--json"))["ports"]
        self.assertEqual(port["serial_number"], EVIL)
        self.assertEqual(port["udev_rule"],
                         'SUBSYSTEM=="tty", ENV{ID_PATH}=="platform-usb-0:1:1.0", '
                         f'ENV{{DORMOUSE_PORT}}="{port["name"]}"')
        self.check_section(port["section"])


if __name__ == "__main__":
    main()
