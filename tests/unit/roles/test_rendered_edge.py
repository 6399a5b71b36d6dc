# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The handling of Host and proxy headers in the rendered configuration of nginx and HAProxy."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._balancer.haproxy_site import lookup_files
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.request_headers import CLEARED, SET
from rendering import defaults, rendered, with_includes

ROLES = Path(__file__).resolve().parents[3] / "roles"
TEMPLATES = {"asgi_proxy": "etc/nginx/conf.d", "asgi_balancer": "etc/haproxy/asgi"}
TRUSTED = ["x-forwarded-user", "X-Company-User"]
CAPACITY = {"memtotal_mb": 4000}
HOSTS = {
    "web": {
        "asgi_proxy_server_names": ["shop.test", "*.shop.test"],
        "asgi_proxy_https_port": 4443,
        "asgi_proxy_public_ports": [9443],
        "asgi_proxy_trusted": ["192.0.2.1"],
        "asgi_proxy_trusted_headers": TRUSTED,
        "asgi_proxy_locations": [{"url": "/noted", "snippet": "proxy_set_header X-Noted here;"}],
        "__asgi_proxy_host": {"nginx": {"http2_directive": True, "keepalive_min_timeout": False}, "capacity": CAPACITY},
    },
    "lb": {
        "asgi_balancer_https_port": 8443,
        "asgi_balancer_public_ports": [18443],
        "__asgi_balancer_host": {"capacity": CAPACITY},
    },
}
INVENTORY = """
[asgi_proxy]
web
[asgi_balancer]
lb
[all:vars]
asgi_name=shop
asgi_hosts=asgi_proxy
asgi_balancer_hosts=asgi_balancer
"""
PLAY = """
- hosts: {role}
  gather_facts: false
  vars_files: [{roles}/{role}/vars/main.yml]
  tasks:
    - ansible.builtin.copy:
        content: "{{{{ __{role}_files | to_json }}}}"
        dest: {directory}/{role}.json
        mode: "0600"
      vars: {{__{role}_templates: {roles}/{role}/templates/{templates}}}
"""


@pytest.fixture
def files(ansible_playbook, tmp_path):
    """Return the files of the site and of its balancer, by role and name."""
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "host_vars").mkdir()
    for role in TEMPLATES:
        shutil.copy(ROLES / role / "defaults/main.yml", tmp_path / f"group_vars/{role}.yml")
    for host, variables in HOSTS.items():
        (tmp_path / f"host_vars/{host}.yml").write_text(json.dumps(variables))
    plays = [
        PLAY.format(role=role, roles=ROLES, directory=tmp_path, templates=templates)
        for role, templates in TEMPLATES.items()
    ]
    status, output = ansible_playbook("".join(plays), INVENTORY)
    assert status == 0, output
    return {role: json.loads((tmp_path / f"{role}.json").read_text()) for role in TEMPLATES}


def server_blocks(text):
    """Return the server blocks of the site *text*."""
    return [block.partition("\n}\n")[0] for block in text.split("\nserver {\n")[1:]]


def test_host_and_headers(files):
    shared = files["asgi_proxy"]["asgi-00-shared.conf"]
    site = with_includes(files["asgi_proxy"], "asgi-shop.conf")
    redirect, app = server_blocks(site)
    _check_ports_in_nginx(shared, site, redirect, app)
    _check_headers_in_nginx(site, app)
    https, http, balanced = (
        files["asgi_balancer"][name] for name in ("asgi-01-https-8443.cfg", "asgi-01-http-80.cfg", "asgi-shop.cfg")
    )
    _check_haproxy(https, http)
    _check_haproxy_of_the_app(balanced)


def test_the_site_of_an_ordinary_app_fits_on_two_screens():
    own = {"asgi_name": "shop", "asgi_user": "shop", "asgi_proxy_server_names": ["shop.test"]}
    files = rendered("asgi_proxy", {**defaults("asgi_proxy"), **own})
    assert len(files["asgi-shop.conf"].splitlines()) <= 120


def test_included_files_are_written_before_the_site(files):
    names = list(files["asgi_proxy"])
    included = re.findall(r"include conf\.d/([^\s*]+);", files["asgi_proxy"]["asgi-shop.conf"])
    assert set(included) == {name for name in names if name.endswith(".inc")}
    assert max(map(names.index, included)) < names.index("asgi-shop.conf")
    for name in included:
        assert "shop" not in files["asgi_proxy"][name], name


def _check_ports_in_nginx(shared, site, redirect, app):
    assert 'map "$host $http_host" $asgi_host_port {' in shared
    misdirected = re.search(r"map \$asgi_host_port \$asgi_shop_misdirected \{(.*?)\}", site, re.DOTALL)[1]
    # The accepted ports: the site's port, the balancer's ports in the inventory, and additional ports.
    assert re.findall(r'"(:?\d*)" 0;', misdirected) == ["", ":4443", ":8443", ":9443", ":18443"]
    assert "default 1;" in misdirected
    # The check must precede the redirect, which contains $host, and every location.
    check = 'if ($asgi_host_port = "-") { return 400; }'
    assert redirect.index(check) < redirect.index("location ")
    assert redirect.index("return 308 https://$host:4443$request_uri;") > redirect.index(check)
    assert app.index(check) < app.index("if ($asgi_shop_misdirected) { return 421; }") < app.index("\n    location ")


def _check_headers_in_nginx(site, app):
    lines = re.findall(r"^( +)proxy_set_header (\S+) (.+);$", app, re.MULTILINE)
    everywhere = {indent for indent, _name, _value in lines}
    # The indentation in the server, and in locations with their own headers.
    assert everywhere == {"    ", "        "}
    for indent in everywhere:
        found = [(name, value) for each, name, value in lines if each == indent]
        by_name = {name.lower(): value for name, value in found}
        trusted = {"x-forwarded-user": "$asgi_shop_trusted_1", "x-company-user": "$asgi_shop_trusted_2"}
        for name in map(str.lower, (*CLEARED, "X-Company-User")):
            assert by_name[name] == trusted.get(name, '""'), name
            if "-" in name:
                assert by_name[name.replace("-", "_")] == '""', name
    for number, source in ((1, "$http_x_forwarded_user"), (2, "$http_x_company_user")):
        assert f'map $asgi_balanced $asgi_shop_trusted_{number} {{\n    default "";\n    1 {source};\n}}' in site


def _check_haproxy(https, http):
    for frontend, decision in ((https, "http-request return status 421"), (http, "http-request redirect")):
        host = frontend.index("http-request deny deny_status 400 unless { req.fhdr_cnt(host) eq 1 }")
        assert host < frontend.index("http-request set-var(txn.host) req.fhdr(host),host_only,lower")
        assert host < frontend.index(decision)
        assert "req.hdr(host)" not in frontend
    assert "acl own_port req.fhdr(host) -m reg ^[^:]*(?::8443)?$" in https
    assert "var(txn.backend),concat(:,txn.port),map_str(/etc/haproxy/asgi/ports-8443.map) -m found" in https


def _check_haproxy_of_the_app(balanced):
    assert lookup_files({"asgi-shop.cfg": balanced})["ports-8443.map"] == "asgi_shop:18443 public\n"
    patterns = re.findall(r"^    http-request del-header (\S+) -m reg$", balanced, re.MULTILINE)
    # The hosts trust X-Company-User of this balancer.
    for name in (*CLEARED, "X-Company-User"):
        for spelling in (name.lower(), name.lower().replace("-", "_")):
            assert any(re.search(pattern, spelling) for pattern in patterns), spelling
    for name in (*SET, "Accept", "Authorization", "Cookie", "X-Forwarded-User-Agent", "My-Remote-User"):
        assert not any(re.search(pattern, name.lower()) for pattern in patterns), name
    assert max(len(line) for line in balanced.splitlines()) < 2048
