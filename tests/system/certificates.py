# SPDX-License-Identifier: Apache-2.0
"""Certificates made at run time with openssl, for tests of TLS."""

import datetime
import subprocess

CONFIG = """[ca]
default_ca = own
[own]
database = {directory}/index.txt
new_certs_dir = {directory}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
"""


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def stamp(days):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return at.strftime("%Y%m%d%H%M%SZ")


class Authority:
    """A CA in a directory of its own: `file` is its certificate."""

    def __init__(self, directory):
        directory.mkdir()
        self.directory = directory
        self.file = directory / "ca.pem"
        self.key = directory / "ca.key"
        self.config = directory / "ca.cnf"
        self.config.write_text(CONFIG.format(directory=directory))
        (directory / "index.txt").touch()
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={directory.name}", "-days", 365, "-config", self.config,
                "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self.key,
                "-out", self.file)

    def issue(self, name, hosts="DNS:localhost,IP:127.0.0.1", begins=-1, ends=100):
        """A certificate and its key; times in days from now."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        request, extra = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={name}", "-config", self.config, "-keyout", key, "-out", request)
        extra.write_text(f"subjectAltName = {hosts}\n")
        openssl("ca", "-batch", "-notext", "-config", self.config, "-cert", self.file,
                "-keyfile", self.key, "-startdate", stamp(begins), "-enddate", stamp(ends),
                "-extfile", extra, "-in", request, "-out", certificate)
        key.chmod(0o600)
        return certificate, key

    def self_signed(self, name):
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={name}", "-config", self.config, "-days", 30,
                "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate)
        return certificate, key
