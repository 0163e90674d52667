# SPDX-License-Identifier: Apache-2.0
"""`cmake --install` into a scratch directory: everything is where a system looks for it, and what
is installed works from there."""

import os
import pathlib
import re
import shutil
import stat
import tempfile
import unittest

from harness import BIN, main, run

BUILD = BIN.parent


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
                     "lib/udev/rules.d/70-dormouse.rules", "lib/sysusers.d/dormouse.conf"):
            self.assertTrue(self.path(path).is_file(), path)
        for name in ("dormouse.ini", "configuration.md", "sessions.md", "mosquitto.conf"):
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

    def test_installed_headers_are_enough_for_a_device(self):
        source = self.root / "device.c"
        source.write_text("#include <dormouse/client.h>\n#include <dormouse/framing.h>\n"
                          "#include <dormouse/mqttsn.h>\n")
        include = self.find("client.h").parent.parent
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        done = run([compiler, "-std=c11", "-fsyntax-only", f"-I{include}", source])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_second_installation_leaves_the_operators_file_alone(self):
        (config,) = (path for path in self.root.rglob("dormouse.ini")
                     if path.parent.parent.name == "etc")
        self.assertFalse(stat.S_IMODE(config.stat().st_mode) & 0o022, "others may change it")
        config.write_text("[udp lan]\n")
        self.install()
        self.assertEqual(config.read_text(), "[udp lan]\n")


if __name__ == "__main__":
    main()
