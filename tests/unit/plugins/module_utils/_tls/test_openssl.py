"""Read certificates with openssl."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._tls.openssl import (
    Certificate,
    parse_certificate,
    read_certificate,
)

KEY = "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----"
OUTPUT = f"""\
subject=CN = a.test
issuer=CN = a.test
notBefore=Jan  1 00:00:00 1970 GMT
notAfter=Jan  2 00:00:01 1970 GMT
sha256 Fingerprint=AA:01
X509v3 Subject Alternative Name:
    DNS:a.test, DNS:*.b.test, IP Address:192.0.2.1
{KEY}
"""


def run_command(argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_parse_certificate():
    expected = Certificate("CN = a.test", "CN = a.test", ("a.test", "*.b.test"), 0, 86401, "AA:01", KEY)
    assert parse_certificate(OUTPUT) == expected
    # the format of OpenSSL 3.5
    assert parse_certificate(OUTPUT.replace("CN = ", "CN=").replace("sha", "SHA")).selfsigned


@pytest.mark.parametrize("text", ["", "subject=CN = a.test\nnotAfter=Jan  2 00:00:01 1970 GMT\n"])
def test_output_without_dates(text):
    assert parse_certificate(text) is None


def test_a_certificate_of_this_openssl(tmp_path):
    path, key = str(tmp_path / "a.pem"), str(tmp_path / "a.key")
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a.test", "-days", "2"]
    assert run_command([*argv, "-addext", "subjectAltName=DNS:a.test", "-keyout", key, "-out", path])[0] == 0

    found = read_certificate(run_command, path)

    assert (found.names, found.selfsigned, found.expires - found.starts) == (("a.test",), True, 2 * 86400)
    assert found.public_key == run_command(["openssl", "pkey", "-in", key, "-pubout"])[1].strip()
    assert len(found.fingerprint.split(":")) == 32


def test_a_file_without_a_certificate(tmp_path):
    path = tmp_path / "a.pem"
    assert read_certificate(run_command, str(path)) is None
    path.touch()
    assert read_certificate(run_command, str(path)) is None
