# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._tls import selfsigned_pem as decide
from ansible_collections.asgi.deploy.plugins.module_utils._tls.openssl import Certificate

DAY = 24 * 60 * 60

KEY = "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----"
FOUND = Certificate("CN = a.test", "CN = a.test", ("a.test", "*.b.test"), 0.0, 40 * DAY, "AA:01", KEY)
NAMES = ["*.b.test", "a.test"]


@pytest.mark.parametrize(
    ("found", "now", "names", "expected"),
    [
        (FOUND, 10 * DAY, NAMES, ""),
        (FOUND._replace(issuer="CN = CA"), 0, NAMES, "not self-signed"),
        (FOUND, 0, ["a.test"], "the names have changed"),
        (FOUND, 0, [*NAMES, "c.test"], "the names have changed"),
        (FOUND, 10 * DAY + 1, NAMES, "fewer than 30 days"),
    ],
)
def test_why_new(found, now, names, expected):
    reason = decide.why_new(found, names, 30, now)
    assert expected in reason
    assert bool(reason) is bool(expected)


@pytest.mark.parametrize(
    ("found", "key", "expected"),
    [
        (FOUND, KEY + "\n", ""),
        (FOUND._replace(issuer="CN = CA", names=()), KEY, ""),
        (None, KEY, "there is none"),
        (FOUND, "", "does not match its key"),
        (FOUND._replace(public_key=""), "", "does not match its key"),
    ],
)
def test_why_unusable(found, key, expected):
    reason = decide.why_unusable(found, key)
    assert expected in reason
    assert bool(reason) is bool(expected)


def test_request_configuration():
    text = decide.request_configuration(["a.test", "*.b.test"])
    assert "CN = a.test\n" in text
    assert "subjectAltName = DNS:a.test, DNS:*.b.test\n" in text
    assert "CA:FALSE" in text


def test_a_common_name_has_a_limit():
    name = ".".join(["a" * 40] * 3)
    assert f"CN = {name[:64]}\n" in decide.request_configuration([name])


@pytest.mark.parametrize("names", [[], ["A.test"], ["a.test\nCN=x"], ["a.test, IP:1.2.3.4"], ["$ENV::HOME"], [""]])
def test_request_configuration_refuses(names):
    with pytest.raises(ValueError, match="name"):
        decide.request_configuration(names)
