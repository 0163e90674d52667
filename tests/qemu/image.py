# SPDX-License-Identifier: Apache-2.0
"""What the emulated machine starts from: an initramfs with Debian's kernel modules, busybox, udev,
and the programs to be tested with the libraries they need."""

import os
import pathlib
import re
import shutil
import subprocess

import harness

HERE = pathlib.Path(__file__).parent
MODULES = ("virtio_pci", "virtio_net", "xhci_pci", "ftdi_sio")
# Of the same name as something in busybox, whose shell prefers its own: to be called by the path.
PROGRAMS = ("/usr/bin/flock", "/usr/bin/setpriv")
RULES = ("50-udev-default.rules", "60-serial.rules")  # of Debian; ours stand between and behind
PASSWD = "root:x:0:0::/:/bin/sh\ndormouse:x:100:20::/:/bin/sh\n"
GROUP = "".join(f"{name}:x:{number}:\n" for number, name in enumerate((
    "root tty disk lp mem kmem audio video cdrom tape input kvm render sgx").split()))
DIALOUT = "dialout:x:20:\n"


def output(*arguments):
    return subprocess.run([str(a) for a in arguments], check=True, text=True,
                          capture_output=True).stdout


class Image:
    """`packages` is the directory into which the kernel's and udev's packages were unpacked."""

    def __init__(self, packages, directory):
        self.packages = packages
        self.root = directory / "root"
        self.file = directory / "initramfs"
        self.kernel = next((packages / "boot").glob("vmlinuz-*"))
        self.version = self.kernel.name.removeprefix("vmlinuz-")
        for folder in ("bin", "sbin", "dev", "etc", "proc", "sys", "run", "tmp", "usr/bin", "lib",
                       "lib64", "state"):
            (self.root / folder).mkdir(parents=True)

    def add(self, source, place):
        target = self.root / str(place).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def add_text(self, text, place):
        target = self.root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def add_program(self, program, place):
        self.add(program, place)
        for library in re.findall(r"(/\S+) \(0x", output("ldd", program)):
            self.add(library, library)

    def add_modules(self):
        """In the order in which they have to be loaded."""
        output("/sbin/depmod", "-b", self.packages, self.version)
        order = []
        for module in MODULES:
            shown = output("/sbin/modprobe", "-d", self.packages, "-S", self.version,
                           "--show-depends", module)
            order += [pathlib.Path(file) for file in re.findall(r"^insmod (\S+)", shown, re.M)]
        order = list(dict.fromkeys(order))
        for module in order:
            self.add(module, f"/lib/modules/{module.name}")
        self.add_text("".join(f"/lib/modules/{module.name}\n" for module in order), "modules")

    def add_udev(self, local_rules):
        udevadm = self.packages / "bin/udevadm"
        self.add_program(udevadm, "/bin/udevadm")
        (self.root / "bin/systemd-udevd").symlink_to("udevadm")
        for rule in RULES:
            self.add(self.packages / "lib/udev/rules.d" / rule, f"/lib/udev/rules.d/{rule}")
        self.add(harness.ROOT / "udev/70-dormouse.rules", "/lib/udev/rules.d/70-dormouse.rules")
        self.add_text(local_rules, "etc/udev/rules.d/65-dormouse-local.rules")

    def add_base(self):
        self.add("/bin/busybox", "/bin/busybox")
        for name in output("/bin/busybox", "--list").split():
            if not (self.root / "bin" / name).exists():
                (self.root / "bin" / name).symlink_to("busybox")
        for program in PROGRAMS:
            self.add_program(program, program)
        for program in ("dormoused", "dormouse"):
            self.add_program(harness.BIN / program, f"/usr/bin/{program}")
        self.add(HERE / "init", "/init")
        self.add_text(PASSWD, "etc/passwd")
        self.add_text(GROUP + DIALOUT, "etc/group")

    def write(self):
        names = sorted(os.path.relpath(path, self.root) for path in self.root.rglob("*"))
        with open(self.file, "wb") as out:
            subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], check=True,
                           cwd=self.root, input="\n".join(names).encode(), stdout=out)
        return self.file
