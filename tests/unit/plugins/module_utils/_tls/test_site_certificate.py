"""The certificate that nginx uses for a site."""

from __future__ import annotations

import ssl

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._tls.site_certificate import (
    certificate_path,
    describe_certificate,
)

OUTPUT = """\
notBefore=Dec 21 12:00:00 2025 GMT
notAfter=Dec 21 12:00:00 2026 GMT
subject=CN = hello.example.org
issuer=O = Example, CN = An Authority
sha256 Fingerprint=AA:01
X509v3 Subject Alternative Name:
    DNS:hello.example.org, DNS:*.example.org, IP Address:192.0.2.1
"""
EXPIRES = ssl.cert_time_to_seconds("Dec 21 12:00:00 2026 GMT")


@pytest.mark.parametrize(
    ("site", "path"),
    [
        ("server {\n    ssl_certificate /etc/a.pem;\n    ssl_certificate_key /etc/a.key;\n}\n", "/etc/a.pem"),
        ('    ssl_certificate "/etc/a.pem";\n', "/etc/a.pem"),
        ("    ssl_certificate_key /etc/a.key;\n", None),
        (None, None),
    ],
)
def test_certificate_path(site, path):
    assert certificate_path(site) == path


@pytest.mark.parametrize(("before", "days"), [(10 * 86400, 10), (3600, 0), (-3600, -1)])
def test_days_and_names(tmp_path, before, days):
    path = tmp_path / "live.pem"
    path.touch()

    found = describe_certificate(lambda _argv: (0, OUTPUT, ""), str(path), EXPIRES - before)

    names = ["hello.example.org", "*.example.org"]
    assert found == {"days": days, "names": names, "fingerprint": "AA:01", "shared": True}


# the formats of OpenSSL 3.0 and 3.5
@pytest.mark.parametrize("names", ["subject=CN = x\nissuer=CN = x\n", "subject=CN=x\nissuer=CN=x\n"])
def test_a_self_signed_certificate_is_not_shared(tmp_path, names):
    path = tmp_path / "live.pem"
    path.touch()
    output = f"notBefore=Dec 21 12:00:00 2025 GMT\nnotAfter=Dec 21 12:00:00 2026 GMT\n{names}SHA256 Fingerprint=BB:02\n"

    found = describe_certificate(lambda _argv: (0, output, ""), str(path), EXPIRES)

    assert (found["fingerprint"], found["shared"]) == ("BB:02", False)


def test_a_file_without_a_certificate(tmp_path):
    path = tmp_path / "live.pem"
    assert describe_certificate(lambda _argv: (0, OUTPUT, ""), str(path), 0) is None
    path.touch()
    assert describe_certificate(lambda _argv: (1, "", "unable to load"), str(path), 0) is None
    assert describe_certificate(lambda _argv: (0, OUTPUT, ""), None, 0) is None
