# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of capacity: workers and their memory, queues, and connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.findings import Finding, fail, live_slot, ok, warn
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.workers import MASTER_MEMORY, suggested_memory

# Report dropped connections from this share of the accepted ones and this number on, because a port scan causes a few.
DROPS_WORTH_NOTING = 0.001
DROPS_AT_LEAST = 10
# Warn if more than this share of a limit on connections or files is in use: a burst may use up the rest.
MOST_IN_USE = 0.8


def workers(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    running, wanted = seen["running"]["workers"]["running"], seen["running"]["gunicorn"].get("workers")
    remedy = f"run reload.yml; see journalctl --unit={live_slot(seen)['service_unit']}"
    if wanted is not None and running < wanted:
        yield fail("workers-missing", f"{running} of {wanted} workers are running", remedy)
    elif wanted is not None and running > wanted:
        yield warn("workers-surplus", f"{running} workers are running instead of {wanted}", remedy)
    yield ok(f"{running} are running")


def queue(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    running = seen["running"]
    backlog, somaxconn = running["gunicorn"].get("backlog") or 0, running["somaxconn"]
    waiting, tcp = running["queue"], running["tcp"]
    if waiting and waiting["waiting"] > waiting["limit"] / 2:
        found = f"{waiting['waiting']} connections wait in the socket's queue of {waiting['limit']}"
        yield warn("queue-filling", found)
    if running["queue_full"]:
        found = f"the socket's queue was full {running['queue_full']} times, and nginx answered 502"
        yield warn("queue-overflowed", found)
    if somaxconn and backlog > somaxconn:
        found = f"asgi_server_backlog is {backlog}, but the kernel allows {somaxconn}"
        remedy = f"sysctl net.core.somaxconn={backlog}, or lower asgi_server_backlog"
        yield warn("backlog-above-somaxconn", found, remedy)
    if tcp and tcp["dropped"] >= max(DROPS_AT_LEAST, DROPS_WORTH_NOTING * tcp["accepted"]):
        found = (
            f"{tcp['dropped']} TCP connections to this host were dropped since its boot, and {tcp['accepted']} accepted"
        )
        yield warn("tcp-connections-dropped", found)


def connections(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    proxy, app = seen["proxy_connections"], seen["running"]["connections"]
    refused, limit, used = proxy["refused"], proxy["limit"], proxy["connections"]
    if refused["connections"]:
        found = f"nginx has refused {refused['connections']} connections since the boot, at the limit of {limit} for a worker"
        yield warn("connections-refused", found)
    if limit < proxy["wanted"]:
        found = f"nginx.conf has worker_connections {limit}, but {proxy['clients']} clients need {proxy['wanted']}"
        yield warn("connections-limit-low", found)
    if used > MOST_IN_USE * limit:
        yield warn("connections-near-limit", f"a worker of nginx uses {used} of {limit} connections")
    if refused["files"]:
        found = f"nginx could not open {refused['files']} files or connections since the boot (errno 24)"
        yield warn("nginx-files-exhausted", found)
    if app["refused"]:
        found = f"the app ran out of file descriptors {app['refused']} times since the boot (errno 24)"
        yield warn("app-files-exhausted", found)
    for name, process in (("nginx", proxy), ("the app", app)):
        if process["files_limit"] and process["files"] > MOST_IN_USE * process["files_limit"]:
            found = f"a process of {name} has {process['files']} of {process['files_limit']} files open"
            yield warn("files-near-limit", found)
    yield ok(f"a worker of nginx uses {used} of {limit}")


def plan(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    planned, configured = expected.get("plan"), seen["running"]["gunicorn"].get("workers")
    if not planned or configured is None:
        return
    explicit, allowed = expected.get("workers", "auto") != "auto", planned["by_memory"]
    if not explicit and configured != planned["workers"]:
        found = f"{configured} workers are configured, but the plan is {planned['reason']}"
        yield warn("workers-differ-from-plan", found)
    if explicit and allowed is not None and configured > allowed:
        found = f"{configured} workers are configured, but during a deploy there is memory for {allowed}"
        yield warn("workers-exceed-memory", found)
    yield ok(f"{configured} set explicitly; the plan is {planned['reason']}" if explicit else planned["reason"])


def memory(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    measured = seen["running"]["workers"]["memory_mb"]
    planned = seen["running"]["plan"]["worker_memory"]
    if measured and planned and measured > planned:
        found = f"a worker uses {measured} MiB, but the plan assumes {planned}"
        remedy = f"asgi_server_worker_memory: {suggested_memory(measured)}, or 'measured'"
        yield warn("worker-memory-exceeded", found, remedy)
    elif measured and planned:
        yield ok(f"the largest worker uses {measured} of the planned {planned} MiB")
    capacity = seen["capacity"]
    apps = [app for app in capacity["apps"] if app["workers"] and app["worker_memory"]]
    taken = sum(app["workers"] * app["worker_memory"] + MASTER_MEMORY for app in apps)
    available = min(filter(None, [capacity["memtotal_mb"], capacity["cgroup_memory_mb"]]), default=None)
    if available and taken > available:
        found = f"the worker plans of all apps on this host need {taken} MiB, but it has {available}"
        yield warn("host-memory-exceeded", found)
