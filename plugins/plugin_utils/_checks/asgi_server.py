# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the values of asgi_server's variables. _values/options.py checks the types."""

from __future__ import annotations

import re
from itertools import pairwise

from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import processes
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.claims import distinct_ports
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.frontend import (
    address_problems,
    least_problems,
    status_problems,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.keepalive import keepalive_order
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.shared import hook_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._render import systemd_unit
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.settings import setting_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.workers import SINGLE
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.addresses import listener
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Problem, shown

AT_LEAST = {
    "asgi_server_threads": 1,
    "asgi_server_workers_min": 1,
    "asgi_server_workers_max": 1,
    "asgi_server_reserved_memory": 0,
    "asgi_server_keepalive": 1,
    "asgi_server_timeout": 5,  # several heartbeats, so that gunicorn does not kill a worker for one late heartbeat
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

SIZE = re.compile(r"[0-9]+[KMGT]?|infinity|[0-9]+%")
QUOTA = re.compile(r"[1-9][0-9]*%")
# Colons are not allowed, because BindPaths= interprets the text after a colon as another path.
PATH = re.compile(r"/[^\s\\\"'%$:]*")
GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,64}")
# No segment starts with a dot.
HOOKS = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*\.py")
WORKING_DIRECTORY = re.compile(r"code|shared(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)*")
SETTING = re.compile(r"[A-Z][A-Za-z0-9]+")

# Settings that the role reserves, because the slots, the socket and the drain depend on them.
OWNED_SETTINGS = frozenset(
    "Type ExitType NotifyAccess User Group WorkingDirectory EnvironmentFile UnsetEnvironment ExecStart ExecReload KillMode "
    "KillSignal RestartKillSignal FinalKillSignal SendSIGHUP SendSIGKILL RemainAfterExit GuessMainPID PIDFile BusName Sockets "
    "NonBlocking DynamicUser RootDirectory RootImage TimeoutSec TimeoutStartSec TimeoutStopSec TimeoutAbortSec "
    "WatchdogSec WatchdogSignal".split()
)
# Settings that may contain secrets. Every account can read them in unit files and with systemctl show, and --diff prints them.
PUBLIC_SETTINGS = {
    "Environment": "move the variables to asgi_env, which only root and the app can read",
    "SetCredential": "move it to asgi_env, which only root and the app can read, or use LoadCredential with a file that only root can read",
}
# For each setting, the parent directory and the names in it that belong to root; {app} is the app's name. systemd would change the owner
# of these directories to the app's account.
ROOT_DIRECTORIES = {
    "RuntimeDirectory": ("/run", ("{app}", "nginx", "haproxy", "systemd")),
    "StateDirectory": ("/var/lib", ("asgi", "asgi-timers", "nginx", "haproxy", "letsencrypt", "systemd")),
    "CacheDirectory": ("/var/cache", ("asgi", "nginx")),
    "LogsDirectory": ("/var/log", ("nginx", "haproxy", "letsencrypt", "journal")),
}


def problems(context: Context) -> list[Problem]:
    """Return the problems in the role's variables."""
    options = context.options
    return [
        *least_problems(options, AT_LEAST),
        *_workers(options),
        *_server(options),
        *_working_directory(options),
        *_gunicorn_hooks(options),
        *setting_problems(options["asgi_server_settings"], options["asgi_server_type"]),
        *_root_path(options),
        *_probe(options),
        *_unit(options),
        *processes.problems(options),
        *_log(options),
        *_metrics(options),
        *keepalive_order(options),
        *distinct_ports(options),
        *hook_problems(context, "asgi_server_hook_before"),
        *hook_problems(context, "asgi_server_hook_after"),
    ]


def _workers(options):
    workers = options["asgi_server_workers"]
    if workers != "auto" and not _is_count(workers):
        yield Problem("workers-invalid", "asgi_server_workers", f"is {shown(workers)}")
    memory = options["asgi_server_worker_memory"]
    if memory != "measured" and not _is_count(memory):
        yield Problem("worker-memory-invalid", "asgi_server_worker_memory", f"is {shown(memory)}")
    share = options.get("asgi_server_memory_share")
    if share is not None and not 1 <= share <= 100:
        remedy = "use a percentage from 1 to 100"
        yield Problem("number-out-of-range", "asgi_server_memory_share", f"is {share}", remedy)
    least, most = options["asgi_server_workers_min"], options.get("asgi_server_workers_max")
    if most is not None and most < least:
        fault = f"is {most}, less than asgi_server_workers_min, which is {least}"
        yield Problem("workers-range-inverted", "asgi_server_workers_max", fault)


def _server(options):
    """Yield a problem for each setting that the application server does not support, and for settings that conflict."""
    kind, timeout, watchdog = (options[f"asgi_server_{name}"] for name in ("type", "timeout", "watchdog"))
    of_type = f"but asgi_server_type is {kind}"
    if "asgi_server_threads" in options and SERVERS[kind].interface != "wsgi":
        fault = f"is {options['asgi_server_threads']}, {of_type}, whose workers have an event loop"
        remedy = "remove it: a worker serves many requests at a time"
        yield Problem("threads-not-supported", "asgi_server_threads", fault, remedy)
    if SERVERS[kind].plan == SINGLE:
        if str(options["asgi_server_workers"]) not in ("auto", "1"):
            fault = f"is {options['asgi_server_workers']}, {of_type}, which is a single process"
            yield Problem("workers-not-supported", "asgi_server_workers", fault)
        if options["asgi_server_max_requests"]:
            fault = f"is {options['asgi_server_max_requests']}, {of_type}, whose only process cannot be replaced"
            yield Problem("max-requests-not-supported", "asgi_server_max_requests", fault)
    elif 0 < watchdog <= timeout:
        fault = (
            f"is {watchdog} s and asgi_server_timeout is {timeout} s, so systemd would restart the whole service before "
            f"gunicorn replaces a worker that hangs"
        )
        yield Problem("watchdog-too-short", "asgi_server_watchdog", fault)


def _working_directory(options):
    directory = options["asgi_server_working_directory"]
    if not WORKING_DIRECTORY.fullmatch(directory):
        yield Problem("working-directory-invalid", "asgi_server_working_directory", f"is {shown(directory)}")


def _gunicorn_hooks(options):
    variable, path = "asgi_server_gunicorn_hooks", options.get("asgi_server_gunicorn_hooks")
    if path is None:
        return
    if not HOOKS.fullmatch(path):
        yield Problem("gunicorn-hooks-invalid", variable, f"is {shown(path)}")
    if SERVERS[options["asgi_server_type"]].plan == SINGLE:
        fault = f"is set, but asgi_server_type is {options['asgi_server_type']}, which runs without gunicorn"
        yield Problem("gunicorn-hooks-not-supported", variable, fault)


def _root_path(options):
    path = options.get("asgi_proxy_path")
    if path is not None and options["asgi_proxy_strip_path"] and options["asgi_server_settings"].get("root_path"):
        fault = f"contains root_path, but asgi_proxy_path is {path!r}, which the app gets as its root_path already"
        yield Problem("server-setting-reserved", "asgi_server_settings", fault, "remove it")


def _is_count(value):
    """Return whether *value* is a positive integer, or a string that contains one."""
    return bool(whole(value))


def _probe(options):
    path = options["asgi_server_probe_path"]
    if not re.fullmatch(r"/[!-~]*", path):
        yield Problem("probe-path-invalid", "asgi_server_probe_path", f"is {path!r}")
    host = options["asgi_server_probe_host"]
    if not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", host):
        yield Problem("probe-host-invalid", "asgi_server_probe_host", f"is {host!r}")
    yield from status_problems(options, "asgi_server_probe_statuses")


def _unit(options):
    memory = options.get("asgi_server_memory_max")
    if memory is not None and not SIZE.fullmatch(memory):
        yield Problem("memory-limit-invalid", "asgi_server_memory_max", f"is {memory!r}")
    quota = options.get("asgi_server_cpu_quota")
    if quota is not None and not QUOTA.fullmatch(quota):
        yield Problem("cpu-quota-invalid", "asgi_server_cpu_quota", f"is {quota!r}")
    for variable in ("asgi_server_write_paths", "asgi_server_read_paths"):
        for path in options[variable]:
            if not _is_path(path):
                yield Problem("path-not-absolute", variable, f"contains {path!r}")
    for setting, value in options["asgi_server_unit_settings"].items():
        yield from _setting(setting, value, options)


def _setting(setting, value, options):
    variable = "asgi_server_unit_settings"
    if not isinstance(setting, str) or not SETTING.fullmatch(setting):
        yield Problem("unit-setting-invalid", variable, f"contains {setting!r}")
    elif setting in OWNED_SETTINGS:
        yield Problem("unit-setting-reserved", variable, f"contains {setting}", "remove it: the slots depend on it")
    elif setting in PUBLIC_SETTINGS:
        # The message omits the value, which may be a password.
        fault = f"contains {setting}, whose value every account of the host could read"
        yield Problem("unit-setting-public", variable, fault, PUBLIC_SETTINGS[setting])
    elif setting in ROOT_DIRECTORIES and _root_directories(setting, value, options):
        directory = _root_directories(setting, value, options)[0]
        fault = f"contains {setting} with {directory}, which the app's account would own"
        yield Problem("unit-setting-root-directory", variable, fault)
    else:
        try:
            systemd_unit.value(value)
        except ValueError as exc:
            yield Problem("unit-setting-value-invalid", variable, f"has an invalid value for {setting}: {exc}")


def _is_path(text):
    """Return whether *text* is an absolute path that every setting of a unit interprets literally."""
    return bool(PATH.fullmatch(text)) and text.isprintable() and ".." not in text.split("/")


def _root_directories(setting, value, options):
    """Return the directories of root that *setting* with *value* would give to the app's account."""
    parent, names = ROOT_DIRECTORIES[setting]
    own = {name.format(app=options.get("asgi_name")) for name in names}
    words = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    # Each word is a path below the parent, optionally followed by a colon and the name of a symlink.
    first = [re.sub("/+", "/", word.strip("\"'")).strip("/").split(":")[0].split("/")[0] for word in words.split()]
    return [f"{parent}/{name}" for name in first if name in own]


def _log(options):
    namespace = options.get("asgi_server_log_namespace")
    if namespace is not None and not NAMESPACE.fullmatch(namespace):
        yield Problem("log-namespace-invalid", "asgi_server_log_namespace", f"is {namespace!r}")


def _metrics(options):
    variable, listen = "asgi_server_metrics_listen", options.get("asgi_server_metrics_listen")
    if listen is None:
        pass
    elif not _is_path(listen) and not listener(listen):
        yield Problem("metrics-listen-invalid", variable, f"is {shown(listen)}")
    elif listen.startswith("/") and not re.fullmatch(r"/run/.+", listen):
        yield Problem("metrics-socket-outside-run", variable, f"is {listen!r}")
    group = options["asgi_server_metrics_group"]
    if not GROUP.fullmatch(group):
        yield Problem("group-invalid", "asgi_server_metrics_group", f"is {shown(group)}")
    allowed = options["asgi_server_metrics_allow"]
    yield from address_problems("asgi_server_metrics_allow", allowed)
    if allowed and (listen is None or listen.startswith("/")):
        fault = "is set, but the metrics listen on a unix socket, whose clients have no address"
        yield Problem("metrics-allow-unused", "asgi_server_metrics_allow", fault)
    buckets = options["asgi_server_metrics_buckets"]
    if not buckets or buckets[0] <= 0 or not all(low < high for low, high in pairwise(buckets)):
        yield Problem("metrics-buckets-invalid", "asgi_server_metrics_buckets", f"is {buckets}")
    if not options["asgi_server_metrics"]:
        return
    if "PROMETHEUS_MULTIPROC_DIR" in options.get("asgi_env", {}):
        fault = "contains PROMETHEUS_MULTIPROC_DIR, which asgi_server_metrics sets"
        yield Problem("metrics-directory-reserved", "asgi_env", fault)
    kind = options["asgi_server_type"]
    if SERVERS[kind].plan == SINGLE or SERVERS[kind].interface != "asgi":
        fault = f"is true, but asgi_server_type is {kind}, which has no metrics: only gunicorn's ASGI workers have them"
        yield Problem("metrics-not-supported", "asgi_server_metrics", fault)
