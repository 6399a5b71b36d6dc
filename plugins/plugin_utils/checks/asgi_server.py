# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of asgi_server's variables beyond what its argument specification can say."""

from __future__ import annotations

import re
from ipaddress import ip_address
from itertools import pairwise

from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.keepalive import keepalive_order
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.shared import hook_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Problem, shown
from ansible_collections.asgi.deploy.plugins.plugin_utils.servers import SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils.workers import SINGLE

AT_LEAST = {
    "asgi_server_threads": 1,
    "asgi_server_workers_min": 1,
    "asgi_server_workers_max": 1,
    "asgi_server_reserved_memory": 0,
    "asgi_server_keepalive": 1,
    "asgi_server_timeout": 5,  # several heartbeats: who is only late is not to be killed
    "asgi_server_watchdog": 0,
    "asgi_server_graceful_timeout": 1,
    "asgi_server_boot_timeout": 1,
    "asgi_server_max_requests": 0,
    "asgi_server_max_requests_jitter": 0,
    "asgi_server_backlog": 1,
    "asgi_server_probe_successes": 1,
    "asgi_server_probe_timeout": 1,
    "asgi_server_probe_deadline": 1,
    "asgi_server_lock_timeout": 0,
    "asgi_server_log_rate_burst": 0,
    "asgi_server_log_rate_interval": 1,
    "asgi_server_tasks_max": 1,
}

SIZE = re.compile(r"\d+[KMGT]?|infinity|\d+%")
QUOTA = re.compile(r"[1-9]\d*%")
PATH = re.compile(r"/[^\s\\\"'%$]*")
NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,64}")
SETTING = re.compile(r"[A-Z][A-Za-z0-9]+")

# The slots, the socket and the drain depend on these.
OWNED_SETTINGS = frozenset(
    "Type NotifyAccess User Group WorkingDirectory EnvironmentFile ExecStart ExecReload KillMode DynamicUser "
    "RootDirectory TimeoutStartSec TimeoutStopSec TimeoutAbortSec WatchdogSec WatchdogSignal".split()
)


def problems(context: Context) -> list[Problem]:
    options = context.options
    found = [
        Problem(name, f"is {options[name]}", f"give a number of at least {least}")
        for name, least in AT_LEAST.items()
        if name in options and options[name] < least
    ]
    found += _workers(options)
    found += _server(options)
    found += _probe(options)
    found += _unit(options)
    found += _log(options)
    found += _metrics(options)
    found += keepalive_order(options)
    found += hook_problems(context, "asgi_server_hook_before")
    found += hook_problems(context, "asgi_server_hook_after")
    return found


def _workers(options):
    workers = options["asgi_server_workers"]
    if workers != "auto" and not _is_count(workers):
        yield Problem("asgi_server_workers", f"is {shown(workers)}", "give 'auto' or a number of at least 1")
    memory = options["asgi_server_worker_memory"]
    if memory != "measured" and not _is_count(memory):
        yield Problem(
            "asgi_server_worker_memory", f"is {shown(memory)}", "give a number of MiB of at least 1, or 'measured'"
        )
    share = options.get("asgi_server_memory_share")
    if share is not None and not 1 <= share <= 100:
        yield Problem("asgi_server_memory_share", f"is {share}", "give a percentage from 1 to 100")
    least, most = options["asgi_server_workers_min"], options.get("asgi_server_workers_max")
    if most is not None and most < least:
        yield Problem(
            "asgi_server_workers_max",
            f"is {most}, less than asgi_server_workers_min, which is {least}",
            "raise the one or lower the other",
        )


def _server(options):
    """Yield the objections to what the chosen server cannot do, or would do badly."""
    kind, timeout, watchdog = (options[f"asgi_server_{name}"] for name in ("type", "timeout", "watchdog"))
    if "asgi_server_threads" in options and SERVERS[kind].interface != "wsgi":
        yield Problem(
            "asgi_server_threads",
            f"is {options['asgi_server_threads']}, and asgi_server_type is {kind}, whose workers have an event loop",
            "leave it out: a worker answers many requests at one time",
        )
    if SERVERS[kind].plan == SINGLE:
        if str(options["asgi_server_workers"]) not in ("auto", "1"):
            yield Problem(
                "asgi_server_workers",
                f"is {options['asgi_server_workers']}, and asgi_server_type is {kind}, which is a single process",
                "leave it out, or choose uvicorn_worker",
            )
        if options["asgi_server_max_requests"]:
            yield Problem(
                "asgi_server_max_requests",
                f"is {options['asgi_server_max_requests']}, and asgi_server_type is {kind}, whose only process nobody replaces",
                "leave it out, or choose uvicorn_worker",
            )
    elif 0 < watchdog <= timeout:
        yield Problem(
            "asgi_server_watchdog",
            f"is {watchdog} s and asgi_server_timeout is {timeout} s, so the whole service would be restarted before the "
            f"workers that hang are replaced",
            "make asgi_server_watchdog the larger one, or 0 for none",
        )


def _is_count(value):
    """Return whether *value* is a number of at least 1, or the text of one."""
    return bool(whole(value))


def _probe(options):
    path = options["asgi_server_probe_path"]
    if not re.fullmatch(r"/[!-~]*", path):
        yield Problem("asgi_server_probe_path", f"is {path!r}", "give a path that starts with '/', such as '/health'")
    host = options["asgi_server_probe_host"]
    if not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", host):
        yield Problem("asgi_server_probe_host", f"is {host!r}", "give a host name that the app answers to")
    statuses = options["asgi_server_probe_statuses"]
    if not statuses or any(not 100 <= status <= 599 for status in statuses):
        yield Problem("asgi_server_probe_statuses", f"is {statuses}", "give HTTP statuses between 100 and 599")


def _unit(options):
    memory = options.get("asgi_server_memory_max")
    if memory is not None and not SIZE.fullmatch(memory):
        yield Problem(
            "asgi_server_memory_max", f"is {memory!r}", "give a size as systemd writes it, such as '512M' or '2G'"
        )
    quota = options.get("asgi_server_cpu_quota")
    if quota is not None and not QUOTA.fullmatch(quota):
        yield Problem("asgi_server_cpu_quota", f"is {quota!r}", "give a percentage of one CPU, such as '150%'")
    for path in options["asgi_server_write_paths"]:
        if not PATH.fullmatch(path) or ".." in path.split("/"):
            yield Problem(
                "asgi_server_write_paths", f"contains {path!r}", "give absolute paths without '..' and spaces"
            )
    for setting, value in options["asgi_server_unit_settings"].items():
        if not isinstance(setting, str) or not SETTING.fullmatch(setting):
            yield Problem("asgi_server_unit_settings", f"contains {setting!r}", "give names from systemd.exec(5)")
        elif setting in OWNED_SETTINGS:
            yield Problem("asgi_server_unit_settings", f"contains {setting}", "leave it out: the slots depend on it")
        elif (
            not isinstance(value, (str, int, float, list)) or not str(value).isprintable() or str(value).endswith("\\")
        ):
            yield Problem(
                "asgi_server_unit_settings", f"has {value!r} for {setting}", "give one line of text or a list"
            )


def _log(options):
    namespace = options.get("asgi_server_log_namespace")
    if namespace is not None and not NAMESPACE.fullmatch(namespace):
        yield Problem(
            "asgi_server_log_namespace",
            f"is {namespace!r}",
            "give 1 to 64 letters, digits, '_' and '-', such as 'shop'",
        )


def _metrics(options):
    variable, listen = "asgi_server_metrics_listen", options["asgi_server_metrics_listen"]
    if not PATH.fullmatch(listen) and not _is_address(listen):
        yield Problem(
            variable,
            f"is {shown(listen)}",
            "give address and port, such as '127.0.0.1:9464', or the path of a unix socket",
        )
    elif listen.startswith("/") and not re.match(r"/run/.", listen):
        yield Problem(variable, f"is {listen!r}", "give a path below /run, where sockets belong")
    buckets = options["asgi_server_metrics_buckets"]
    if not buckets or buckets[0] <= 0 or any(low >= high for low, high in pairwise(buckets)):
        yield Problem(
            "asgi_server_metrics_buckets", f"is {buckets}", "give seconds above 0, each more than the one before"
        )
    if options["asgi_server_metrics"] and "PROMETHEUS_MULTIPROC_DIR" in options.get("asgi_env", {}):
        yield Problem(
            "asgi_env",
            "holds PROMETHEUS_MULTIPROC_DIR, which asgi_server_metrics sets",
            "leave it out: the app's own metrics are served with the others",
        )
    kind = options["asgi_server_type"]
    if options["asgi_server_metrics"] and (SERVERS[kind].plan == SINGLE or SERVERS[kind].interface != "asgi"):
        yield Problem(
            "asgi_server_metrics",
            f"is true, and asgi_server_type is {kind}, which counts nothing: metrics are those of gunicorn's ASGI workers",
            "set it to false, or choose uvicorn_worker or gunicorn_asgi",
        )


def _is_address(text):
    """Return whether *text* is an address and a port, in brackets if the address has colons."""
    host, _colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return 1 <= (whole(port) or 0) <= 65535 and bracketed == (address.version == 6)
