# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import nginx_site as decide

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
def test_error_lines(output, expected):
    assert decide.error_lines(output, MOVES) == expected


@pytest.mark.parametrize(
    ("output", "contents", "expected"),
    [
        ('[warn] conflicting server name "a.test" on 0.0.0.0:443, ignored', ["server_name b.test a.test;"], ["a.test"]),
        ('[warn] conflicting server name "c.test" on 0.0.0.0:443, ignored', ["server_name a.test;"], []),
        ('[warn] conflicting server name "a.test" on [::]:80, ignored', ["server_name www.a.test;"], []),
        ("", ["server_name a.test;"], []),
    ],
)
def test_duplicate_names(output, contents, expected):
    assert decide.duplicate_names(output, contents) == expected


def test_warnings_have_no_duplicates():
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
        ("remove_untouched", True, True, False, "was changed since its installation"),
        ("remove_untouched", True, False, False, "a file instead of the package's symlink"),
        ("remove", True, False, False, "a file instead of the package's symlink"),
    ],
)
def test_removes_default(policy, present, is_link, untouched, expected):
    if isinstance(expected, bool):
        assert decide.removes_default(policy, present, is_link, untouched) is expected
    else:
        with pytest.raises(ValueError, match=expected):
            decide.removes_default(policy, present, is_link, untouched)


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
        # files of other tools
        (["asgi-shop.conf.bak", "default-80.conf", "zz.conf"], []),
        ([], []),
    ],
)
def test_unneeded(names, gone):
    assert decide.unneeded(dict.fromkeys(names, SITE)) == [names[index] for index in gone]


def test_included_files_stay_while_a_site_includes_them():
    own, other, old = (f"asgi-00-tls-{digest}.inc" for digest in ("0a1b2c3d", "11111111", "22222222"))
    sites = {
        "asgi-shop.conf": f"server {{\n    include conf.d/{own};\n}}\n",
        # another version of the collection wrote this site
        "asgi-blog.conf": f"server {{\n    include conf.d/{other};\n}}\n",
    }
    shared = {**dict.fromkeys((own, other, old), "ssl_protocols TLSv1.3;\n"), "asgi-00-shared.conf": "map"}
    assert decide.unneeded({**sites, **shared}) == [old]
    assert decide.unneeded(shared) == [old, other, own, "asgi-00-shared.conf"]


def test_quic_ports():
    site = "server {\n    listen 443 ssl;\n    listen [::]:443 quic;\n    listen 8443 quic reuseport;\n    # listen 1 quic;\n}\n"
    assert decide.quic_ports([site, "listen 444 ssl http2;\n", "listen 10.0.0.1:445 quic;"]) == [443, 445, 8443]
