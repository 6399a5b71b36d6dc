# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of uvicorn and gunicorn that ``asgi_server_settings`` accepts, and those that it rejects, with the reasons."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import HEAD_FIELDS, SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Problem, shown

VARIABLE = "asgi_server_settings"

UVICORN = tuple(name for name, server in SERVERS.items() if server.settings == "uvicorn")
GUNICORN = tuple(name for name, server in SERVERS.items() if server.settings == "gunicorn")
ASGI = tuple(name for name, server in SERVERS.items() if server.interface == "asgi")
GUNICORN_ASGI = tuple(name for name in GUNICORN if name in ASGI)

ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~!@+-]+)*")
HEADER = re.compile(r"[A-Za-z0-9_-]+")


class Setting(NamedTuple):
    """A setting: the servers that have it, and a test of its value with a description of the valid ones."""

    servers: tuple[str, ...]
    accepts: Callable[[Any], bool]
    valid: str


def _integer(least: int, most: int | None = None) -> tuple[Callable[[Any], bool], str]:
    def accepts(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= (most or value)

    return accepts, f"an integer of at least {least}" if most is None else f"an integer from {least} to {most}"


def _one_of(*choices: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in choices, f"one of {', '.join(choices)}"


def _is_seconds(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None or (number and 0 < value < float("inf"))


def _is_root_path(value: Any) -> bool:
    return isinstance(value, str) and bool(ROOT_PATH.fullmatch(value))


def _are_headers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and HEADER.fullmatch(each) for each in value)


def _are_header_values(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(each, str) and HEADER.fullmatch(each) for item in value.items() for each in item
    )


SECONDS = (_is_seconds, "a positive number of seconds, or null to disable it")
BOOLEAN = (lambda value: isinstance(value, bool), "true or false")

SETTINGS = {
    "root_path": Setting(ASGI, _is_root_path, "a path that starts with '/' and does not end with it, such as /api"),
    "limit_concurrency": Setting(ASGI, *_integer(1)),
    "lifespan": Setting(UVICORN, *_one_of("auto", "on", "off")),
    "loop": Setting(UVICORN, *_one_of("auto", "asyncio", "uvloop")),
    "http": Setting(UVICORN, *_one_of("auto", "h11", "httptools")),
    "interface": Setting(UVICORN, *_one_of("auto", "asgi2", "asgi3")),
    "h11_max_incomplete_event_size": Setting(UVICORN, *_integer(1024)),
    "ws": Setting(UVICORN, *_one_of("auto", "none", "websockets", "websockets-sansio", "wsproto")),
    "ws_max_size": Setting(UVICORN, *_integer(1)),
    "ws_max_queue": Setting(UVICORN, *_integer(1)),
    "ws_ping_interval": Setting(UVICORN, *SECONDS),
    "ws_ping_timeout": Setting(UVICORN, *SECONDS),
    "ws_per_message_deflate": Setting(UVICORN, *BOOLEAN),
    "asgi_lifespan": Setting(GUNICORN_ASGI, *_one_of("auto", "on", "off")),
    "asgi_loop": Setting(GUNICORN_ASGI, *_one_of("auto", "asyncio", "uvloop")),
    "asgi_disconnect_grace_period": Setting(GUNICORN_ASGI, *_integer(0)),
    "websocket_max_message_size": Setting(GUNICORN_ASGI, *_integer(1)),
    "limit_request_line": Setting(GUNICORN, *_integer(0)),
    "limit_request_fields": Setting(GUNICORN, *_integer(1, HEAD_FIELDS)),
    "limit_request_field_size": Setting(GUNICORN, *_integer(0)),
    "forwarder_headers": Setting(GUNICORN, _are_headers, "a list of header names, such as [SCRIPT_NAME, REMOTE_USER]"),
    "secure_scheme_headers": Setting(
        GUNICORN, _are_header_values, "a dictionary of header names and values, such as {X-FORWARDED-PROTO: https}"
    ),
    "header_map": Setting(GUNICORN, *_one_of("drop", "refuse")),
}

# The same setting under the name of the other server.
EQUIVALENTS = (
    ("lifespan", "asgi_lifespan"),
    ("loop", "asgi_loop"),
    ("ws_max_size", "websocket_max_message_size"),
)

SOCKET = ("the server listens on the socket that systemd holds", "remove it")
TLS = ("nginx terminates TLS", "use asgi_proxy_tls_provider")
LOGS = ("the log has one format from nginx to the app", "use asgi_server_log_level and asgi_server_access_log")
PROCESS = ("systemd controls the process", "remove it")
ACCOUNT = ("systemd runs the app as its own account", "remove it")
HEADERS = ("nginx sets this header", "use asgi_proxy_headers")
RELEASE = ("a release is immutable", "deploy a new release, or run reload.yml")
HOOK = ("it is a function", "define it in the file of asgi_server_gunicorn_hooks")
RECYCLING = ("a worker may only leave when another one serves", "use asgi_server_max_requests")
JITTER = (RECYCLING[0], "use asgi_server_max_requests_jitter")
KEEPALIVE = ("nginx must be the side that closes idle connections", "use asgi_server_keepalive")
GRACE = ("the drain depends on it", "use asgi_server_graceful_timeout")
METRICS = ("the collection has its own metrics", "use asgi_server_metrics")
APPLICATION = ("the import check must load the same application", "use asgi_module")
ENVIRONMENT = ("the import check and hooks need the same environment", "use asgi_env")
PROXY = ("only nginx can open the socket", "use asgi_server_forwarded_allow_ips")

_RESERVED = (
    ("bind fd uds host port reuse_port", SOCKET),
    ("workers", ("it is part of the worker plan", "use asgi_server_workers")),
    ("threads", ("it is part of the worker plan", "use asgi_server_threads")),
    ("worker_class worker", ("the drain depends on the collection's worker class", "use asgi_server_type")),
    (
        "worker_connections",
        (
            "a worker at this limit would leave connections in the queue of the socket without an answer",
            "use limit_concurrency with an ASGI server, and asgi_server_threads with gthread",
        ),
    ),
    (
        "preload_app",
        (
            "workers would inherit the old code in a reload, and connections that the app opened before the fork",
            "remove it; to share memory, reduce asgi_server_workers",
        ),
    ),
    ("backlog", ("the socket's unit has the same value", "use asgi_server_backlog")),
    ("keepalive timeout_keep_alive", KEEPALIVE),
    ("timeout timeout_worker_healthcheck", ("the watchdog depends on it", "use asgi_server_timeout")),
    ("graceful_timeout timeout_graceful_shutdown", GRACE),
    ("max_requests limit_max_requests", RECYCLING),
    ("max_requests_jitter limit_max_requests_jitter", JITTER),
    ("callback_notify timeout_notify", ("the drain uses it", "remove it")),
    ("forwarded_allow_ips", ("it has its own variable", "use asgi_server_forwarded_allow_ips")),
    ("proxy_headers proxy_protocol proxy_allow_ips uwsgi_allow_ips protocol", PROXY),
    ("server_header date_header headers", HEADERS),
    ("reload reload_engine reload_extra_files reload_dirs reload_delay reload_includes reload_excludes", RELEASE),
    ("app wsgi_app factory paste raw_paste_global_conf", APPLICATION),
    ("app_dir pythonpath", ("modules are imported from the code of the release", "use PYTHONPATH in asgi_env")),
    ("chdir", ("the import check and hooks need the same directory", "use asgi_server_working_directory")),
    ("env_file raw_env", ENVIRONMENT),
    (
        (
            "daemon pidfile worker_tmp_dir tmp_upload_dir spew check_config print_config proc_name default_proc_name "
            "control_socket control_socket_mode control_socket_disable enable_stdio_inheritance sendfile"
        ),
        PROCESS,
    ),
    ("user group umask initgroups", ACCOUNT),
    (
        (
            "certfile keyfile ca_certs cert_reqs ssl_version ciphers ssl_keyfile ssl_certfile ssl_keyfile_password "
            "ssl_cert_reqs ssl_ca_certs ssl_ciphers ssl_context_factory do_handshake_on_connect suppress_ragged_eofs"
        ),
        TLS,
    ),
    (
        "http2 http_protocols http2_cleartext",
        ("nginx speaks HTTP/1.1 to the app", "remove it: clients get HTTP/2 from nginx"),
    ),
    (
        (
            "accesslog access_log access_log_format errorlog loglevel log_level log_config logconfig logconfig_dict "
            "logconfig_json logger_class capture_output use_colors syslog syslog_addr syslog_prefix syslog_facility "
            "disable_redirect_access_to_syslog"
        ),
        LOGS,
    ),
    ("statsd_host statsd_prefix dogstatsd_tags enable_backlog_metric", METRICS),
    (
        (
            "on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int worker_abort pre_exec pre_request "
            "post_request child_exit worker_exit nworkers_changed on_exit ssl_context"
        ),
        HOOK,
    ),
    (
        "dirty_apps dirty_workers dirty_timeout dirty_threads dirty_graceful_timeout",
        ("the drain does not wait for these processes", "run background work in a separate unit"),
    ),
)
RESERVED = {name: reason for names, reason in _RESERVED for name in names.split()}
"""Settings that the collection sets, with the reason and the alternative."""


def setting_problems(settings: Mapping[Any, Any], server: str) -> Iterator[Problem]:
    """Yield the problems of *settings*, the value of ``asgi_server_settings``, with the *server* of ``asgi_server_type``."""
    for name, value in settings.items():
        if name in RESERVED:
            reason, remedy = RESERVED[name]
            yield Problem("server-setting-reserved", VARIABLE, f"contains {name}, but {reason}", remedy)
        elif name not in SETTINGS:
            yield Problem("server-setting-unknown", VARIABLE, f"contains {shown(name)}", _nearest(name, server))
        elif server not in SETTINGS[name].servers:
            fault = f"contains {name}, but asgi_server_type is {server}, which has no such setting"
            yield Problem("server-setting-not-supported", VARIABLE, fault, _equivalent(name, server))
        elif not SETTINGS[name].accepts(value):
            fault = f"contains {name}: {shown(value)}"
            yield Problem("server-setting-value-invalid", VARIABLE, fault, f"use {SETTINGS[name].valid}")


def _known(server: str) -> list[str]:
    return [name for name, setting in SETTINGS.items() if server in setting.servers]


def _nearest(name: Any, server: str) -> str:
    [*near] = difflib.get_close_matches(str(name), [*_known(server), *RESERVED], n=1)
    if near and near[0] in RESERVED:
        return RESERVED[near[0]][1]
    if near:
        return f"did you mean {near[0]}?"
    return f"use settings of {server}: {', '.join(_known(server))}"


def _equivalent(name: str, server: str) -> str:
    for pair in EQUIVALENTS:
        if name in pair:
            other = pair[1 - pair.index(name)]
            if server in SETTINGS[other].servers:
                return f"use {other}"
    if name == "limit_concurrency":
        return "remove it: asgi_server_threads limits the requests of a worker"
    return f"remove it, or set asgi_server_type to {' or '.join(SETTINGS[name].servers)}"
