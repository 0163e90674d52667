# SPDX-License-Identifier: Apache-2.0
"""`cmake --install` into a scratch directory: everything is where a system looks for it, and what
is installed works from there."""

import fnmatch
import os
import pathlib
import re
import shutil
import stat
import tempfile
import unittest

from harness import BIN, main, run

BUILD = BIN.parent
UDEV_TERM = re.compile(r'\s*([A-Z_]+)(?:\{([^{}"]+)\})?\s*(==|!=|\+=|=)\s*"([^"]*)"\s*(,|$)')


def udev_rules(text):
    """Each rule as a list of (key, argument, operator, value); what is no rule raises."""
    rules = []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        terms, place = [], 0
        while place < len(line):
            term = UDEV_TERM.match(line, place)
            if not term:
                raise ValueError(f"not a rule from here: {line[place:]}")
            terms.append(term.groups()[:4])
            place = term.end()
        rules.append(terms)
    return rules


def udev_apply(rules, event):
    """The links that the rules give to a device. `event` is changed: keys are as in a rule."""
    links, goto = [], None
    for terms in rules:
        labels = [value for key, _, _, value in terms if key == "LABEL"]
        if goto is not None and goto not in labels:
            continue
        goto = None
        for key, argument, operator, value in terms:
            name = f"{key}{{{argument}}}" if argument else key
            if operator in ("==", "!="):
                same = fnmatch.fnmatchcase(event.get(name, ""), value)
                if same != (operator == "=="):
                    break
            elif key == "GOTO":
                goto = value
            elif key == "SYMLINK":
                links.append(re.sub(r"\$env\{(\w+)\}", lambda m: event[f"ENV{{{m[1]}}}"], value))
            else:
                event[name] = value
    assert goto is None, f"there is no LABEL {goto} behind the GOTO"
    return links


class Install(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="dm-"))
        self.addCleanup(shutil.rmtree, self.root)
        cache = (BUILD / "CMakeCache.txt").read_text()
        self.prefix = re.search(r"^CMAKE_INSTALL_PREFIX:\w+=(.*)$", cache, re.M)[1]
        self.install()

    def install(self):
        done = run(["cmake", "--install", BUILD], env={**os.environ, "DESTDIR": str(self.root)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def path(self, *parts):
        """Where a path of the installed system is in the scratch directory."""
        return self.root.joinpath(*(str(part).lstrip("/") for part in (self.prefix, *parts)))

    def find(self, name):
        found = list(self.root.rglob(name))
        self.assertEqual(len(found), 1, f"{name}: {found}")
        return found[0]

    def test_every_part_is_in_its_place(self):
        for path in ("sbin/dormoused", "bin/dormouse", "lib/systemd/system/dormoused.service",
                     "lib/udev/rules.d/70-dormouse.rules", "lib/sysusers.d/dormouse.conf",
                     "share/bash-completion/completions/dormouse",
                     "share/man/man8/dormoused.8", "share/man/man1/dormouse.1",
                     "share/man/man5/dormouse.ini.5"):
            self.assertTrue(self.path(path).is_file(), path)
        for name in ("dormouse.ini", "configuration.md", "serial.md", "sessions.md",
                     "mosquitto.conf"):
            self.assertTrue(list(self.root.rglob(name)), name)
        for name in ("mqttsn.h", "client.h", "framing.h", "libmqttsn.a"):
            self.find(name)

    def test_programs_run(self):
        for path in ("sbin/dormoused", "bin/dormouse"):
            done = run([self.path(path), "--version"])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"^dormoused? \d+\.\d+\.\d+\n$")

    def test_unit_names_what_is_installed(self):
        unit = self.path("lib/systemd/system/dormoused.service").read_text()
        words = re.search(r"^ExecStart=(.*)$", unit, re.M)[1].split()
        self.assertTrue(os.access(self.root / words[0].lstrip("/"), os.X_OK), words[0])
        self.assertTrue((self.root / words[-1].lstrip("/")).is_file(), words[-1])
        pages = re.search(r"^Documentation=(.*)$", unit, re.M)[1].split()
        self.assertTrue(pages)
        for page in pages:
            self.assertTrue(page.startswith("file:///"), page)
            self.assertTrue((self.root / page[len("file:///"):]).is_file(), page)

    def test_installed_headers_are_enough_for_a_device(self):
        source = self.root / "device.c"
        source.write_text("#include <dormouse/client.h>\n#include <dormouse/framing.h>\n"
                          "#include <dormouse/mqttsn.h>\n")
        include = self.find("client.h").parent.parent
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        done = run([compiler, "-std=c11", "-fsyntax-only", f"-I{include}", source])
        self.assertEqual(done.returncode, 0, done.stderr)

    # What is set when 70-dormouse.rules is read, and the link that follows.
    EVENTS = [
        ({"ACTION": "add", "SUBSYSTEM": "tty", "ENV{ID_SERIAL_SHORT}": "A50285BI"}, "barn"),
        ({"ACTION": "change", "SUBSYSTEM": "tty", "ENV{ID_SERIAL_SHORT}": "A50285BI"}, "barn"),
        ({"ACTION": "remove", "SUBSYSTEM": "tty", "ENV{ID_SERIAL_SHORT}": "A50285BI"}, None),
        ({"ACTION": "add", "SUBSYSTEM": "usb", "ENV{ID_SERIAL_SHORT}": "A50285BI"}, None),
        ({"ACTION": "add", "SUBSYSTEM": "tty", "ENV{ID_SERIAL_SHORT}": "A50285BJ"}, None),
        ({"ACTION": "add", "SUBSYSTEM": "usb", "ENV{DORMOUSE_PORT}": "barn"}, None),
        ({"ACTION": "add", "SUBSYSTEM": "tty", "KERNEL": "ttyAMA0"}, "attic"),
        ({"ACTION": "add", "SUBSYSTEM": "tty", "ENV{ID_SERIAL_SHORT}": "FT7XYZ12",
          "ENV{ID_USB_INTERFACE_NUM}": "00"}, None),
        ({"ACTION": "add", "SUBSYSTEM": "tty", "ENV{ID_SERIAL_SHORT}": "FT7XYZ12",
          "ENV{ID_USB_INTERFACE_NUM}": "01"}, "yard"),
        ({"ACTION": "add", "SUBSYSTEM": "tty", "ATTRS{port_number}": "1",
          "ENV{ID_PATH}": "pci-0000:00:14.0-usb-0:2:1.0"}, "shed"),
    ]

    def test_udev_rules_name_the_ports_of_the_operators_file(self):
        rules = udev_rules(self.path("lib/udev/rules.d/70-dormouse.rules").read_text())
        example = self.find("65-dormouse-local.rules.example")
        self.assertEqual(example.parts[-4:-1], ("doc", "dormouse", "examples"))
        local = udev_rules(re.sub(r"^#(?=SUBSYSTEM)", "", example.read_text(), flags=re.M))
        self.assertEqual(udev_rules(example.read_text()), [], "an example that is in force")
        self.assertEqual(len(local), 5)
        for event, name in self.EVENTS:
            with self.subTest(event=event):
                event = dict(event)
                links = udev_apply(local + rules, event)
                self.assertEqual(links, [f"dormouse/{name}"] if name else [])
                self.assertEqual(event.get("ENV{ID_MM_PORT_IGNORE}"), "1" if name else None)
                self.assertEqual(event.get("ENV{ID_MM_DEVICE_IGNORE}"), "1" if name else None)
                self.assertEqual(event.get("TAG"), "systemd" if name else None)

    def test_every_goto_of_the_udev_rules_has_one_label_behind_it(self):
        rules = udev_rules(self.path("lib/udev/rules.d/70-dormouse.rules").read_text())
        labels = [value for terms in rules for key, _, _, value in terms if key == "LABEL"]
        self.assertEqual(len(labels), len(set(labels)))
        for number, terms in enumerate(rules):
            for key, _, _, value in terms:
                if key == "GOTO":
                    behind = [v for later in rules[number:] for k, _, _, v in later if k == "LABEL"]
                    self.assertIn(value, behind)

    @unittest.skipUnless(shutil.which("udevadm"), "there is no udevadm")
    def test_udev_itself_takes_the_rules(self):
        if run(["udevadm", "verify", "--help"]).returncode != 0:
            self.skipTest("this udevadm cannot verify (systemd 254 can)")
        done = run(["udevadm", "verify", self.path("lib/udev/rules.d/70-dormouse.rules")])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_second_installation_leaves_the_operators_file_alone(self):
        (config,) = (path for path in self.root.rglob("dormouse.ini")
                     if path.parent.parent.name == "etc")
        self.assertFalse(stat.S_IMODE(config.stat().st_mode) & 0o022, "others may change it")
        config.write_text("[udp lan]\n")
        self.install()
        self.assertEqual(config.read_text(), "[udp lan]\n")


if __name__ == "__main__":
    main()
