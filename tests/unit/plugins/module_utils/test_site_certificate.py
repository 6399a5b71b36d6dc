"""The certificate of a site, as openssl tells it."""

from __future__ import annotations

import ssl

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.site_certificate import certificate_path, read_certificate

SAID = """\
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
def test_which_file(site, path):
    assert certificate_path(site) == path


@pytest.mark.parametrize(("before", "days"), [(10 * 86400, 10), (3600, 0), (-3600, -1)])
def test_days_and_names(tmp_path, before, days):
    path = tmp_path / "live.pem"
    path.touch()

    found = read_certificate(lambda _argv: (0, SAID, ""), str(path), EXPIRES - before)

    names = ["hello.example.org", "*.example.org"]
    assert found == {"days": days, "names": names, "fingerprint": "AA:01", "shared": True}


# as OpenSSL 3.0 writes them, and 3.5
@pytest.mark.parametrize("names", ["subject=CN = x\nissuer=CN = x\n", "subject=CN=x\nissuer=CN=x\n"])
def test_one_that_signs_itself_is_not_shared(tmp_path, names):
    path = tmp_path / "live.pem"
    path.touch()
    said = f"notAfter=Dec 21 12:00:00 2026 GMT\n{names}SHA256 Fingerprint=BB:02\n"

    found = read_certificate(lambda _argv: (0, said, ""), str(path), EXPIRES)

    assert (found["fingerprint"], found["shared"]) == ("BB:02", False)


def test_what_is_no_certificate(tmp_path):
    path = tmp_path / "live.pem"
    assert read_certificate(lambda _argv: (0, SAID, ""), str(path), 0) is None
    path.touch()
    assert read_certificate(lambda _argv: (1, "", "unable to load"), str(path), 0) is None
    assert read_certificate(lambda _argv: (0, SAID, ""), None, 0) is None
