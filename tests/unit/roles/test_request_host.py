# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Host headers that a site and its balancer accept: their regular expressions, tested with a table of hosts.

molecule/edge sends the same table to nginx, molecule/fleet to HAProxy.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import jinja2
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
ROLES = REPOSITORY / "roles"
TABLE = json.loads((REPOSITORY / "molecule/edge/request_hosts.json").read_text(encoding="utf-8"))
NAMES = re.compile(r"features\.test|.+\.wild\.test", re.IGNORECASE)


def plain(template: str) -> str:
    return jinja2.Environment(trim_blocks=True).from_string((ROLES / template).read_text(encoding="utf-8")).render()


NGINX, HTTP3 = (
    re.compile(each.replace("(?<a", "(?P<a"), re.IGNORECASE)
    for each in re.findall(
        r'^ +"~\*(.*)" \S+;', plain("asgi_proxy/templates/etc/nginx/conf.d/site/host.conf.j2"), re.MULTILINE
    )
)
HAPROXY = re.compile(
    re.search(r"-m reg -i (\S+)", plain("asgi_balancer/templates/etc/haproxy/asgi/host.j2"))[1], re.IGNORECASE
)


def port_in_nginx(host: str, line: str | None = None, protocol: str = "HTTP/1.1") -> str | None:
    """Return the port that nginx finds in the Host header *host*, or None if nginx rejects the request.

    *line* is the host in the request line. Without it, nginx uses the name in Host, in lower case and without the port and a trailing dot.
    """
    chosen = re.sub(r":.*", "", host).lower().removesuffix(".") if line is None else line
    if ".." in host:
        return None  # nginx itself rejects the header
    found = NGINX.search(f"{chosen} {host}")
    if found:
        return found["asgi_port"]
    return "" if HTTP3.search(f"{protocol} {chosen} {host}") else None


def test_the_tables_are_long_enough():
    assert len(TABLE["refused"]) >= 30
    assert len(TABLE["passed"]) >= 5


@pytest.mark.parametrize("host", TABLE["passed"])
def test_passed(host):
    assert port_in_nginx(host) == "".join(host.partition(":")[1:])
    assert HAPROXY.search(host)


@pytest.mark.parametrize("host", TABLE["refused"])
def test_refused(host):
    assert port_in_nginx(host) is None
    assert not HAPROXY.search(host)


@pytest.mark.parametrize("host", TABLE["misdirected"])
def test_a_foreign_port_is_detected(host):
    assert port_in_nginx(host) == f":{host.partition(':')[2]}"
    assert HAPROXY.search(host)


@pytest.mark.parametrize(
    ("host", "line", "protocol", "port"),
    [
        # nginx ignores a trailing dot; HAProxy rejects it.
        ("a.test.:443", "a.test", "HTTP/1.1", ":443"),
        # The host in the request line selects the site.
        ("b.test", "a.test", "HTTP/1.1", None),
        ("a.test", "b.test", "HTTP/2.0", None),
        ("a.test", "a.test", "HTTP/1.0", ""),
        # Without Host, nginx uses the first name of the site.
        ("", "a.test", "HTTP/1.1", None),
        ("", "a.test", "HTTP/1.0", None),
        ("", "a.test", "HTTP/3.0", ""),
        ("a.test:443", "a.test", "HTTP/3.0", ":443"),
        ("b.test", "a.test", "HTTP/3.0", None),
        # nginx joins repeated headers.
        ("a.test, a.test", "a.test", "HTTP/1.1", None),
    ],
)
def test_request_line_and_header_must_name_the_same_host(host, line, protocol, port):
    assert port_in_nginx(host, line, protocol) == port
