# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.addresses import address, listener, network

NOT_ADDRESSES = [
    "",
    "fe80::1%eth0",
    "fe80::1%a\n    server evil 192.0.2.66:80",
    "192.0.2.7\n",
    " 192.0.2.7",
    "\uff11.2.3.4",
    "192.0.2",
    "3221225991",
    "localhost",
]


@pytest.mark.parametrize("text", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7", "::"])
def test_addresses_are_parsed(text):
    assert address(text) == ip_address(text)
    assert network(text) == ip_network(text)


@pytest.mark.parametrize("text", NOT_ADDRESSES)
def test_invalid_addresses_are_rejected(text):
    assert address(text) is None
    assert network(text) is None
    assert listener(f"{text}:80") is None
    assert listener(f"[{text}]:80") is None


@pytest.mark.parametrize("text", ["192.0.2.7/24", "2001:db8::/32", "0.0.0.0/0"])
def test_networks_are_parsed(text):
    assert network(text) == ip_network(text, strict=False)


@pytest.mark.parametrize(
    "text",
    ["192.0.2.0/255.255.255.0", "192.0.2.0/33", "192.0.2.0/\u0662", "fe80::%a\n/64", "192.0.2.0/ 24", "192.0.2.0/"],
)
def test_invalid_networks_are_rejected(text):
    assert network(text) is None


def test_listeners_are_parsed():
    assert listener("127.0.0.1:9464") == (ip_address("127.0.0.1"), 9464)
    assert listener("[::1]:65535") == (ip_address("::1"), 65535)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:\uff11",
        "::1:80",
        "[127.0.0.1]:80",
        "[[::1]]:80",
        "[::1]",
        ":80",
    ],
)
def test_invalid_listeners_are_rejected(text):
    assert listener(text) is None
