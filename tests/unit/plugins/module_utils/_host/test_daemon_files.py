# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import daemon_files as decide

MOVES = {"/etc/nginx/": "/tmp/t/etc/", "/var/log/nginx/": "/tmp/t/log/", "/run/nginx.pid": "/tmp/t/nginx.pid"}


@pytest.mark.parametrize(
    ("text", "running", "pid", "since"),
    [
        (
            "ActiveState=active\nMainPID=42\nInactiveExitTimestamp=Sat 2026-11-21 00:10:00.250000 UTC\n",
            True,
            42,
            1795219800.25,
        ),
        (
            "ActiveState=reloading\nMainPID=7\nInactiveExitTimestamp=Sat 2026-11-21 00:10:00 UTC\n",
            True,
            7,
            1795219800.0,
        ),
        ("ActiveState=inactive\nMainPID=0\nInactiveExitTimestamp=\n", False, 0, 0.0),
        ("ActiveState=failed\nMainPID=0\nInactiveExitTimestamp=n/a\n", False, 0, 0.0),
        ("", False, 0, 0.0),
    ],
)
def test_parse_service(text, running, pid, since):
    assert decide.parse_service(text) == (running, pid, since)


@pytest.mark.parametrize(
    ("changed", "loaded", "expected"),
    [
        ([], [], False),
        ([10.0], [0.0, 20.0], False),
        ([10.0, 30.0], [0.0, 20.0], True),
        ([10.0], [20.0, 0.0], False),
        ([20.0], [20.0], False),
        # 2000.0 is later than now (100.0): the clock was set back, so this timestamp is ignored
        ([30.0], [0.0, 2000.0], True),
        ([30.0], [50.0, 2000.0], False),
        ([30.0], [100.0], False),
    ],
)
def test_not_loaded(changed, loaded, expected):
    assert decide.not_loaded(changed, loaded, now=100.0) is expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"include /etc/nginx/conf.d/*.conf;", b"include /tmp/t/etc/conf.d/*.conf;"),
        (b'include "/etc/nginx/mime.types";', b'include "/tmp/t/etc/mime.types";'),
        (b"root /srv/etc/nginx/html;", b"root /srv/etc/nginx/html;"),
        (b"include modules/etc/nginx/x;", b"include modules/etc/nginx/x;"),
        (b"pid /run/nginx.pid;", b"pid /tmp/t/nginx.pid;"),
        (b"access_log /var/log/nginx/a.log;\n# \xff", b"access_log /tmp/t/log/a.log;\n# \xff"),
        (b"/etc/nginx/a /etc/nginx/b", b"/tmp/t/etc/a /tmp/t/etc/b"),
    ],
)
def test_relocate(content, expected):
    assert decide.relocate(content, MOVES) == expected


def test_listening_sockets():
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0\n"
        "   1: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0\n"
        "   2: 0100007F:01BB 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0\n"
        "   3: short\n"
    )
    assert decide.listening_sockets(text) == {80: {"4711", "4712"}}
    assert decide.listening_sockets("") == {}


def test_sockets_of_udp():
    text = (
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
        "  370: 00000000:01BB 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0\n"
        "  371: 0100007F:A001 0100007F:0035 01 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 0\n"
    )
    assert decide.listening_sockets(text, decide.UDP_UNCONNECTED) == {443: {"4711"}}


def test_conffile_digest():
    text = "\n /etc/nginx/nginx.conf aaa\n /etc/nginx/sites-available/default bbb obsolete\n"
    assert decide.conffile_digest(text, "/etc/nginx/sites-available/default") == "bbb"
    assert decide.conffile_digest(text, "/etc/nginx/sites-available") is None


AGREED = "# x\n# Agreed on port 8443: ipv6=true tls_profile=modern\nserver {\n"


def test_agreement():
    assert decide.agreement(AGREED) == (8443, {"ipv6": "true", "tls_profile": "modern"})
    assert decide.agreement("server {}") == (0, {})


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (AGREED, []),
        ("", []),
        (AGREED.replace("modern", "intermediate"), ["tls_profile is intermediate and not modern"]),
        # a setting that an older version did not record cannot disagree
        (AGREED.replace(" tls_profile=modern", ""), []),
        (AGREED.replace("ipv6=true", "ipv6=false old=1"), ["ipv6 is false and not true"]),
    ],
)
def test_disagreements(before, expected):
    assert decide.disagreements(before, AGREED) == expected
