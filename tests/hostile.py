"""Harmless values for all strings in the roles' variables, and hostile strings that try to inject configuration.

Strings are identified by their path: `asgi_proxy_locations[].url` is the URL of each location, `asgi_env{}` a value and
`asgi_env{name}` a key in a dictionary without fixed keys.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.action.preflight import SPECIFICATIONS

HASH = "$6$qPvz0aXBNnRVoLhE$" + "a" * 86

STRINGS = (
    # Line breaks for various parsers.
    "\n",
    "\n    server evil 192.0.2.66:80",
    "\nExecStartPre=/usr/bin/touch /run/pwned",
    "\n}\ninclude /etc/passwd",
    "\r",
    "\r\nX-Evil: 1",
    "\0",
    "\0ExecStartPre=/usr/bin/touch /run/pwned",
    "\x0b",
    "\x0c",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\ud800",
    "\t",
    # Continuation, quotes and comments.
    "\\",
    "\\\n",
    "a\\",
    "\\\\",
    "\\n",
    '"',
    "'",
    "''",
    "'a' 'b'",
    "#",
    " #",
    "#a",
    "!",
    "!a",
    "~a",
    "@a",
    # Separators.
    " ",
    " a",
    "a b",
    "\xa0",
    "\u2003#",
    ";",
    "; include /etc/passwd;",
    "{",
    "}",
    "} server { listen 81; }",
    ":",
    ":b",
    ",",
    "=",
    # Expansions.
    "$",
    "$HOME",
    "${HOME}",
    "$host",
    "%",
    "%n",
    "%%",
    "%[env(HOME)]",
    "`id`",
    "$(id)",
    "{{ 7 * 7 }}",
    "{% raw %}",
    # Words with a special meaning.
    "-x",
    "--server=https://evil.example",
    "off",
    "unix:/run/x.sock",
    "include",
    "../x",
    # Addresses and numbers.
    "fe80::1%a\n    server evil 192.0.2.66:80",
    "fe80::1%eth0",
    "fe80::%a\n/64",
    "[fe80::1%a\nListenStream=/run/pwned]:9464",
    "[[::1]]:9464",
    "2001:db8::7",
    "2001:db8::/32",
    "192.0.2.7\n",
    "192.0.2.0/255.255.255.0",
    "\uff11",
    "\u0661",
    "\xe9",
    "a" * 5000,
    "root:" + HASH,
    "/",
)


class Case(NamedTuple):
    """The variables of one role in one inventory. Tests replace all strings, or only those whose path is in *only*."""

    role: str
    variables: dict[str, Any]
    only: tuple[str, ...] = ()


def balancer_app(address: str, **options: Any) -> dict[str, Any]:
    return {
        "servers": [{"name": "server-name", "address": address, "port": 443}],
        "health_url": "/healthurl",
        "health_statuses": [200],
        "server_timeout": 65,
        "websocket_timeout": 3605,
        "trusted_headers": ["trusted-header"],
        "trusted": {"web1": ["192.0.2.51"]},
        "proxy_protocol": [],
        **options,
    }


CASES = {
    "site": Case(
        "asgi_proxy",
        {
            "asgi_name": "shop",
            "asgi_module": "main:app",
            "asgi_clients": "4321",
            "asgi_proxy_server_names": ["names.example.org"],
            "asgi_proxy_redirect_names": ["redirect.example.net"],
            "asgi_proxy_tls_provider": "acme",
            "asgi_proxy_acme_agree_tos": True,
            "asgi_proxy_acme_directory": "https://acme.example.com/directory",
            "asgi_proxy_acme_mail": "admin@example.org",
            "asgi_proxy_acme_extra_names": ["extra.example.com"],
            "asgi_proxy_acme_eab_kid": "kid-1",
            "asgi_proxy_acme_eab_hmac_key": "aGVsbG8",
            "asgi_proxy_trusted": ["192.0.2.11"],
            "asgi_proxy_http3": True,
            "asgi_proxy_ocsp_stapling": True,
            "asgi_proxy_body_size": "11m",
            "asgi_proxy_header_size": "12k",
            "asgi_proxy_static": [{"url": "/staticurl/", "path": "staticpath", "hashed": True}],
            "asgi_proxy_compression": ["gzip", "brotli"],
            "asgi_proxy_locations": [
                {
                    "url": "/locationurl",
                    "body_size": "13m",
                    "rate": "14r/s",
                    "burst": 5,
                    "connections": 3,
                    "allow": ["192.0.2.12"],
                    "deny": ["192.0.2.13"],
                    "basic_auth": "realm",
                    "snippet": "add_header X-Location-Snippet 1;",
                }
            ],
            "asgi_proxy_users": {"anna": HASH},
            "asgi_proxy_health_url": "/healthurl",
            "asgi_proxy_maintenance_allow": ["192.0.2.14"],
            "asgi_proxy_log_query_parameters": ["parameter"],
            "asgi_proxy_headers": {"X-Header-Name": "header-value"},
            "asgi_proxy_snippet_http": "map $http_x_snippet $asgi_snippet { default 0; }",
            "asgi_proxy_snippet_server": "error_page 404 /missing.html;",
            "asgi_proxy_status_listen": "127.0.0.1:8091",
            "asgi_proxy_public_ports": [8443],
            "asgi_proxy_trusted_headers": ["trusted-header"],
            "asgi_proxy_reserved_paths": ["/reservedpath"],
        },
    ),
    "joined": Case(
        "asgi_proxy",
        {
            "asgi_name": "shop",
            "asgi_module": "main:app",
            "asgi_proxy_server_names": ["names.example.org"],
            "asgi_proxy_path": "/apppath",
            "asgi_proxy_locations": [{"url": "/locationurl", "deny": ["192.0.2.13"]}],
            "asgi_proxy_health_url": "/healthurl",
            "asgi_proxy_static": [{"url": "/staticurl/", "path": "staticpath"}],
        },
        (
            "asgi_proxy_server_names[]",
            "asgi_proxy_path",
            "asgi_proxy_locations[].url",
            "asgi_proxy_health_url",
            "asgi_proxy_static[].url",
        ),
    ),
    "wildcards": Case(
        "asgi_proxy",
        {
            "asgi_name": "shop",
            "asgi_module": "main:app",
            "asgi_proxy_server_names": ["names.example.org", "*.example.org"],
            "asgi_proxy_trusted": ["2001:db8::11"],
            "asgi_proxy_proxy_protocol": True,
            "asgi_proxy_static": [{"url": "/sharedurl/", "shared": "shareddirectory"}],
        },
        ("asgi_proxy_server_names[]", "asgi_proxy_trusted[]", "asgi_proxy_static[].shared"),
    ),
    "slot": Case(
        "asgi_server",
        {
            "asgi_name": "shop",
            "asgi_module": "module_x:app",
            "asgi_env": {"VARIABLE": "environment-value"},
            "asgi_clients": "4321",
            "asgi_server_workers": "37",
            "asgi_server_worker_memory": "129",
            "asgi_server_forwarded_allow_ips": "192.0.2.21",
            "asgi_server_metrics": True,
            "asgi_server_metrics_listen": "127.0.0.1:9465",
            "asgi_server_metrics_group": "metricsgroup",
            "asgi_server_metrics_allow": ["192.0.2.22"],
            "asgi_server_probe_path": "/probe-path",
            "asgi_server_probe_host": "probe.example.org",
            "asgi_server_working_directory": "shared/directory",
            "asgi_server_settings": {"root_path": "/root-path"},
            "asgi_server_gunicorn_hooks": "deploy/hooks.py",
            "asgi_server_memory_max": "515M",
            "asgi_server_cpu_quota": "151%",
            "asgi_server_tasks_max": 99,
            "asgi_server_log_rate_burst": 98,
            "asgi_server_log_namespace": "name-space",
            "asgi_server_write_paths": ["/var/lib/written"],
            "asgi_server_read_paths": ["/opt/read"],
            "asgi_server_unit_settings": {"LimitNPROC": "setting-value", "SupplementaryGroups": ["first", "second"]},
            "asgi_server_deployed_by": "anna",
            "asgi_server_release": "0123456789ab",
            "asgi_proxy_server_names": ["names.example.org"],
        },
    ),
    "single": Case(
        "asgi_server",
        {
            "asgi_name": "shop",
            "asgi_module": "module_x:app",
            "asgi_server_type": "uvicorn",
            "asgi_server_forwarded_allow_ips": "192.0.2.21",
            "asgi_server_metrics_listen": "/run/shop-metrics.sock",
            "asgi_server_probe_host": "probe.example.org",
            "asgi_server_unit_settings": {"CPUAffinity": ["0", "1"]},
            "asgi_proxy_server_names": ["names.example.org"],
        },
        ("asgi_module", "asgi_server_forwarded_allow_ips", "asgi_server_metrics_listen", "asgi_server_unit_settings{}"),
    ),
    "planned": Case(
        "asgi_server",
        {
            "asgi_name": "shop",
            "asgi_module": "module_x:app",
            "asgi_server_memory_max": "80%",
            "asgi_server_probe_host": "probe.example.org",
            # Both affect the worker plan, which a comment in the rendered file explains.
            "asgi_server_unit_settings": {"CPUAffinity": ["0"], "MemoryHigh": "1G"},
            "asgi_proxy_server_names": ["names.example.org"],
        },
        ("asgi_server_memory_max", "asgi_server_unit_settings{}"),
    ),
    "balancer": Case(
        "asgi_balancer",
        {
            "asgi_name": "shop",
            "asgi_balancer_app": {},
            "asgi_clients": "4321",
            "asgi_balancer_servers": [{"name": "server-name", "address": "192.0.2.31", "port": 443}],
            "asgi_balancer_server_names": ["names.example.org"],
            "asgi_balancer_health_url": "/healthurl",
            "asgi_balancer_health_statuses": [200],
            "asgi_balancer_verify": "system",
            "asgi_balancer_server_timeout": 65,
            "asgi_balancer_websocket_timeout": 3605,
            "asgi_balancer_sticky": True,
            "asgi_balancer_tls_provider": "acme",
            "asgi_balancer_acme_agree_tos": True,
            "asgi_balancer_acme_directory": "https://acme.example.com/directory",
            "asgi_balancer_acme_mail": "admin@example.org",
            "asgi_balancer_acme_eab_kid": "kid-1",
            "asgi_balancer_acme_eab_hmac_key": "aGVsbG8",
            "asgi_balancer_address": "192.0.2.41",
            "asgi_balancer_peers": ["192.0.2.41", "192.0.2.42"],
            "asgi_balancer_virtual_ip": "192.0.2.43/24",
            "asgi_balancer_interface": "eth9",
            "asgi_balancer_vrrp_password": "s3cret",
        },
    ),
    "app of a balancer": Case(
        "asgi_balancer",
        {
            "asgi_name": "shop",
            "asgi_balancer_app": balancer_app("host.example.org", server_names=["*.example.org"], verify="none"),
            "asgi_balancer_address": "192.0.2.51",
            "asgi_balancer_peers": ["peer.example.org"],
        },
        (
            "asgi_balancer_app.servers[].address",
            "asgi_balancer_app.server_names[]",
            "asgi_balancer_address",
            "asgi_balancer_peers[]",
        ),
    ),
    "other balancers": Case(
        "asgi_balancer",
        {
            "asgi_name": "shop",
            "asgi_balancer_app": balancer_app("2001:db8::31", server_names=["names.example.org"], verify="system"),
            "asgi_balancer_tls_provider": "acme",
            "asgi_balancer_acme_agree_tos": True,
            "asgi_balancer_address": "192.0.2.51",
            "asgi_balancer_peers": ["peer.example.org"],
        },
        (
            "asgi_balancer_app.servers[].name",
            "asgi_balancer_app.servers[].address",
            "asgi_balancer_app.server_names[]",
            "asgi_balancer_app.health_url",
            "asgi_balancer_peers[]",
        ),
    ),
}

# Strings that do not appear in files: paths on the controller, and arguments of modules.
UNRENDERED = {
    "asgi_env{}": "the env file, which has separate tests",
    "asgi_env{name}": "the env file",
    "asgi_uninstall": "compared with asgi_name",
    "asgi_balancer_app.verify": "a path on the controller, none or system",
    "asgi_balancer_app.trusted_headers[]": "letters, digits and '-'; with another length, the pattern of all headers breaks elsewhere",
    "asgi_balancer_app.trusted{}": "compared with the balancer's address",
    "asgi_balancer_app.trusted{name}": "a host in a message",
    "asgi_balancer_app.proxy_protocol[]": "a host in a message",
    "asgi_balancer_verify": "a path on the controller, none or system",
    "asgi_balancer_acme_ca_bundle": "a path on the controller",
    "asgi_balancer_tls_certificate": "a path on the controller",
    "asgi_balancer_tls_key": "a path on the controller",
    "asgi_balancer_tls_certificate_content": "parsed as PEM",
    "asgi_balancer_tls_key_content": "parsed as PEM",
    "asgi_proxy_acme_ca_bundle": "a path on the controller",
    "asgi_proxy_maintenance_page": "a path on the controller",
    "asgi_proxy_tls_certificate": "a path on the controller",
    "asgi_proxy_tls_key": "a path on the controller",
    "asgi_proxy_tls_certificate_content": "parsed as PEM",
    "asgi_proxy_tls_key_content": "parsed as PEM",
    "asgi_server_processes{}": "a dictionary; test_processes.py of _checks and _server test its strings",
    "asgi_server_processes{name}": "part of a unit's name; test_processes.py of _checks",
    "asgi_server_timers{}": "a dictionary; test_processes.py of _checks and _server test its strings",
    "asgi_server_timers{name}": "part of a unit's name; test_processes.py of _checks",
    "asgi_server_hook_before": "a path on the controller",
    "asgi_server_hook_after": "a path on the controller",
}

# Variables that become arguments or settings of certbot, each of them one word.
CERTBOT = re.compile(r"asgi_(proxy|balancer)_acme_(directory|mail|eab_kid|eab_hmac_key)")
SNIPPETS = ("asgi_proxy_snippet_http", "asgi_proxy_snippet_server", "asgi_proxy_locations[].snippet")


def strings_of(role: str) -> Iterator[str]:
    """Yield the path of each string in the variables of *role*, according to its argument specification."""
    for entry_point in SPECIFICATIONS[role]["argument_specs"].values():
        for name, option in entry_point["options"].items():
            yield from _strings(name, option)


def _strings(path: str, option: Mapping[str, Any]) -> Iterator[str]:
    kind = option.get("type", "str")
    if "choices" in option:
        return
    if kind in ("str", "path", "raw"):
        yield path
    elif kind == "list":
        yield from _strings(
            f"{path}[]",
            {"type": option.get("elements", "raw"), **({"options": option["options"]} if "options" in option else {})},
        )
    elif kind == "dict" and "options" in option:
        for key, suboption in option["options"].items():
            yield from _strings(f"{path}.{key}", suboption)
    elif kind == "dict":
        yield f"{path}{{}}"
        yield f"{path}{{name}}"


_STEP = re.compile(r"\[\]|\{\}|\{name\}|\.?[a-z0-9_]+")


def harmless(variables: Mapping[str, Any], path: str) -> str | None:
    """Return the string at *path* in *variables*, using the first item of lists and dictionaries; None if there is none."""
    value: Any = variables
    for step in _STEP.findall(path):
        if value is None or value == {} or value == []:
            return None
        if step == "[]":
            value = value[0]
        elif step == "{}":
            value = next(iter(value.values()))
        elif step == "{name}":
            value = next(iter(value))
        else:
            value = value.get(step.removeprefix("."))
    # A dictionary value may be a list.
    return value[-1] if isinstance(value, list) else value


def changed(variables: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return *variables* with *value* at *path*."""
    result = copy.deepcopy(dict(variables))
    steps = _STEP.findall(path)
    place: Any = result
    for step in steps[:-1]:
        place = place[0] if step == "[]" else place[step.removeprefix(".")]
    last = steps[-1]
    if last == "[]":
        place[0] = value
    elif last == "{}":
        name = next(iter(place))
        place[name] = [*place[name][:-1], value] if isinstance(place[name], list) else value
    elif last == "{name}":
        items = list(place.items())
        place.clear()
        place.update([(value, items[0][1]), *items[1:]])
    else:
        place[last.removeprefix(".")] = value
    return result
