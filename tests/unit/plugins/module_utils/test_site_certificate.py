"""The certificate of a site, as openssl tells it."""

from __future__ import annotations

import ssl

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.site_certificate import certificate_path, read_certificate

SAID = """\
notAfter=Dec 21 12:00:00 2026 GMT
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

    assert found == {"days": days, "names": ["hello.example.org", "*.example.org"]}


def test_what_is_no_certificate(tmp_path):
    path = tmp_path / "live.pem"
    assert read_certificate(lambda _argv: (0, SAID, ""), str(path), 0) is None
    path.touch()
    assert read_certificate(lambda _argv: (1, "", "unable to load"), str(path), 0) is None
    assert read_certificate(lambda _argv: (0, SAID, ""), None, 0) is None
