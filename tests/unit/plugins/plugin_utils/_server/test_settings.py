"""The settings of uvicorn and gunicorn that the inventory can set."""

from __future__ import annotations

import inspect

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.settings import (
    ASGI,
    GUNICORN,
    RESERVED,
    SETTINGS,
    UVICORN,
    setting_problems,
)

VALID = {
    "root_path": ["", "/api", "/a/b-1"],
    "limit_concurrency": [1, 1000],
    "lifespan": ["auto", "on", "off"],
    "loop": ["uvloop"],
    "http": ["h11"],
    "interface": ["asgi3"],
    "h11_max_incomplete_event_size": [65536],
    "ws": ["none", "wsproto"],
    "ws_max_size": [1],
    "ws_max_queue": [32],
    "ws_ping_interval": [20, 0.5, None],
    "ws_ping_timeout": [20, None],
    "ws_per_message_deflate": [True, False],
    "asgi_lifespan": ["off"],
    "asgi_loop": ["asyncio"],
    "asgi_disconnect_grace_period": [0],
    "websocket_max_message_size": [1024],
    "limit_request_line": [0, 8190],
    "limit_request_fields": [1, 32768],
    "limit_request_field_size": [0],
    "forwarder_headers": [[], ["SCRIPT_NAME", "REMOTE_USER"]],
    "secure_scheme_headers": [{"X-FORWARDED-PROTO": "https"}],
    "header_map": ["drop"],
}
INVALID = {
    "root_path": ["api", "/api/", "/a b", 1, None],
    "limit_concurrency": [0, True, "10", 1.5, None],
    "lifespan": [True, "no"],
    "ws_ping_interval": [0, -1, "20", float("inf"), True],
    "ws_per_message_deflate": ["true", 1],
    "limit_request_fields": [0, 32769],
    "forwarder_headers": ["SCRIPT_NAME", [1], ["a b"]],
    "secure_scheme_headers": [["https"], {"X": 1}, {"X\n": "a"}],
    "header_map": ["dangerous"],
}


def problems(server, **settings):
    return [(problem.code, f"{problem.fault} -> {problem.remedy}") for problem in setting_problems(settings, server)]


def test_every_server_has_settings():
    assert {*ASGI, *GUNICORN} == set(SERVERS)
    assert {*UVICORN, *GUNICORN} == set(SERVERS)
    assert VALID.keys() == SETTINGS.keys()
    assert not SETTINGS.keys() & RESERVED.keys()


@pytest.mark.parametrize("name", VALID)
def test_valid_values(name):
    for server in SETTINGS[name].servers:
        for value in VALID[name]:
            assert problems(server, **{name: value}) == []


@pytest.mark.parametrize("name", INVALID)
def test_invalid_values(name):
    for value in INVALID[name]:
        [(code, message)] = problems(SETTINGS[name].servers[0], **{name: value})
        assert (code, message.startswith(f"contains {name}: ")) == ("server-setting-value-invalid", True)


@pytest.mark.parametrize(
    ("server", "name", "code", "message"),
    [
        ("uvicorn", "ws_max_sise", "unknown", "did you mean ws_max_size?"),
        ("uvicorn_worker", "worker", "reserved", "use asgi_server_type"),
        ("uvicorn_worker", "preload_ap", "unknown", "to share memory, reduce asgi_server_workers"),
        ("gthread", "zzz", "unknown", "use settings of gthread: limit_request_line"),
        ("gthread", 1, "unknown", "use settings of gthread"),
        ("gthread", "limit_concurrency", "not-supported", "asgi_server_threads"),
        ("gthread", "bind", "reserved", "the socket that systemd holds"),
        ("gunicorn_asgi", "ws_max_size", "not-supported", "use websocket_max_message_size"),
        ("uvicorn", "asgi_lifespan", "not-supported", "use lifespan"),
        ("gthread", "lifespan", "not-supported", "set asgi_server_type to uvicorn_worker or uvicorn"),
        ("uvicorn_worker", "limit_request_line", "not-supported", "set asgi_server_type to gunicorn_asgi or gthread"),
        ("gthread", "worker_connections", "reserved", "asgi_server_threads with gthread"),
        ("uvicorn", "post_fork", "reserved", "asgi_server_gunicorn_hooks"),
    ],
)
def test_other_names_are_rejected_with_an_alternative(server, name, code, message):
    [(found, text)] = (
        problems(server, **{name: 1})
        if isinstance(name, str)
        else [(problem.code, f"{problem.fault} -> {problem.remedy}") for problem in setting_problems({name: 1}, server)]
    )
    assert found == f"server-setting-{code}"
    assert message in text


def test_the_names_are_those_of_the_servers():
    """The accepted and the rejected settings exist in the newest versions of the servers."""
    gunicorn, uvicorn = pytest.importorskip("gunicorn.config"), pytest.importorskip("uvicorn.config")
    names = {
        "uvicorn": {*inspect.signature(uvicorn.Config).parameters},
        "gunicorn": {setting.name for setting in gunicorn.KNOWN_SETTINGS},
    }
    for name, setting in SETTINGS.items():
        for server in setting.servers:
            assert name == "limit_concurrency" or name in names[SERVERS[server].settings]
    assert not {name for name in RESERVED if name not in names["uvicorn"] | names["gunicorn"]} - {
        "worker",
        "app_dir",
        "limit_max_requests_jitter",
    }
