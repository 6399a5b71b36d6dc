# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import nginx_site as decide

MOVES = {"/etc/nginx/": "/tmp/t/etc/", "/var/log/nginx/": "/tmp/t/log/", "/run/nginx.pid": "/tmp/t/nginx.pid"}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "2026/11/21 00:51:00 [emerg] 28#28: unknown directive in /tmp/t/etc/a.conf:1\n\
nginx: configuration file /tmp/t/etc/nginx.conf test failed\n",
            "[emerg] unknown directive in /etc/nginx/a.conf:1",
        ),
        (
            "nginx: [emerg] open() /tmp/t/log/x failed\nnginx: configuration file /tmp/t/etc/nginx.conf test failed",
            "[emerg] open() /var/log/nginx/x failed",
        ),
        ("something else", "something else"),
        ("", ""),
    ],
)
def test_readable(output, expected):
    assert decide.readable(output, MOVES) == expected


@pytest.mark.parametrize(
    ("output", "contents", "expected"),
    [
        ('[warn] conflicting server name "a.test" on 0.0.0.0:443, ignored', ["server_name b.test a.test;"], ["a.test"]),
        ('[warn] conflicting server name "c.test" on 0.0.0.0:443, ignored', ["server_name a.test;"], []),
        ('[warn] conflicting server name "a.test" on [::]:80, ignored', ["server_name www.a.test;"], []),
        ("", ["server_name a.test;"], []),
    ],
)
def test_served_twice(output, contents, expected):
    assert decide.served_twice(output, contents) == expected


def test_warnings_are_told_once():
    output = "[warn] one\n[emerg] no\n[warn] one\n[warn] two"
    assert decide.warnings(output) == ["one", "two"]


@pytest.mark.parametrize(
    ("policy", "present", "is_link", "untouched", "expected"),
    [
        ("keep", True, True, True, False),
        ("remove_untouched", False, False, False, False),
        ("remove_untouched", True, True, True, True),
        ("remove", True, True, False, True),
        ("remove", False, False, False, False),
        ("remove_untouched", True, True, False, "not as the package left it"),
        ("remove_untouched", True, False, False, "a file of somebody's"),
        ("remove", True, False, False, "a file of somebody's"),
    ],
)
def test_removes_default(policy, present, is_link, untouched, expected):
    if isinstance(expected, bool):
        assert decide.removes_default(policy, present, is_link, untouched) is expected
    else:
        with pytest.raises(ValueError, match=expected):
            decide.removes_default(policy, present, is_link, untouched)


@pytest.mark.parametrize(
    ("line", "listens", "proxied"),
    [
        ("    listen 443;", True, False),
        ("listen 443 ssl;", True, False),
        ("    listen [::]:443 ssl proxy_protocol;", True, True),
        ("    listen 127.0.0.1:443 ssl http2 proxy_protocol;", True, True),
        ("    listen 4430 proxy_protocol;", False, False),
        ("    listen 8443 proxy_protocol;", False, False),
        ("    # listen 443 proxy_protocol;", False, False),
        ("    listen 443; real_ip_header proxy_protocol;", True, False),
    ],
)
def test_who_listens_and_how(line, listens, proxied):
    assert decide.listens_on(f"server {{\n{line}\n}}", 443) is listens
    assert decide.speaks_proxy_protocol(f"server {{\n{line}\n}}", 443) is proxied


@pytest.mark.parametrize(
    ("name", "port", "expected"),
    [
        ("a.test", 443, True),
        ("b.test", 443, True),
        ("c.test", 443, False),
        ("a.test", 8443, False),
        (".test", 443, False),
    ],
)
def test_serves(name, port, expected):
    assert decide.serves("server {\n    listen 443 ssl;\n    server_name b.test a.test;\n}\n", name, port) is expected
    assert not decide.serves("", name, port)


SITE = """
server {
    listen 80;
    listen [::]:80;
}
server {
    listen 8443 ssl;
    listen 192.0.2.1:8444 ssl http2 proxy_protocol;
    listen [::]:8445 quic;
}
"""


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        (["asgi-shop.conf", "asgi-00-shared.conf", "asgi-01-default-80.conf", "asgi-01-default-8443.conf"], []),
        (["asgi-shop.conf", "asgi-01-default-8444.conf", "asgi-01-default-8445-quic.conf"], []),
        (["asgi-shop.conf", "asgi-01-default-8445.conf", "asgi-01-default-8444-quic.conf"], [1, 2]),
        (["asgi-shop.conf", "asgi-01-default-443.conf", "asgi-01-default-8.conf"], [2, 1]),
        (["asgi-00-shared.conf", "asgi-01-default-80.conf"], [1, 0]),
        # files of nobody's, or of somebody else's
        (["asgi-shop.conf.bak", "default-80.conf", "zz.conf"], []),
        ([], []),
    ],
)
def test_what_no_app_needs(names, gone):
    assert decide.unneeded(dict.fromkeys(names, SITE)) == [names[index] for index in gone]


def test_quic_ports():
    site = "server {\n    listen 443 ssl;\n    listen [::]:443 quic;\n    listen 8443 quic reuseport;\n    # listen 1 quic;\n}\n"
    assert decide.quic_ports([site, "listen 444 ssl http2;\n", "listen 10.0.0.1:445 quic;"]) == [443, 445, 8443]
