# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import selfsigned_pem as decide

KEY = "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----"
SHOWN = f"""subject=CN = a.test
issuer=CN = a.test
X509v3 Subject Alternative Name:
    DNS:a.test, DNS:*.b.test
{KEY}
"""
FOUND = decide.Certificate("CN = a.test", "CN = a.test", frozenset({"a.test", "*.b.test"}), KEY)
NAMES = ["*.b.test", "a.test"]


def test_parse_certificate():
    assert decide.parse_certificate(SHOWN) == FOUND
    assert decide.parse_certificate("") == decide.Certificate("", "", frozenset(), "")


@pytest.mark.parametrize(
    ("found", "lasts", "key", "names", "expected"),
    [
        (FOUND, True, KEY + "\n", NAMES, ""),
        (None, True, KEY, NAMES, "there is none"),
        (FOUND._replace(issuer="CN = CA"), True, KEY, NAMES, "not self-signed"),
        (FOUND, True, "", NAMES, "does not fit its key"),
        (FOUND._replace(public_key=""), True, "", NAMES, "does not fit its key"),
        (FOUND, True, KEY, ["a.test"], "the names have changed"),
        (FOUND, True, KEY, [*NAMES, "c.test"], "the names have changed"),
        (FOUND, False, KEY, NAMES, "fewer than 30 days"),
    ],
)
def test_why_new(found, lasts, key, names, expected):
    reason = decide.why_new(found, lasts, key, names, 30)
    assert expected in reason
    assert bool(reason) is bool(expected)


@pytest.mark.parametrize(
    ("found", "key", "expected"),
    [
        (FOUND, KEY + "\n", ""),
        (FOUND._replace(issuer="CN = CA", names=frozenset()), KEY, ""),
        (None, KEY, "there is none"),
        (FOUND, "", "does not fit its key"),
        (FOUND._replace(public_key=""), "", "does not fit its key"),
    ],
)
def test_why_placeholder(found, key, expected):
    reason = decide.why_placeholder(found, key)
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
