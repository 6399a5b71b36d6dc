# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the observations of the module doctor mean, and what to do about it.

A check is a function of what was seen and of what the inventory expects. It yields a finding for each thing that is
amiss; one that finds nothing is ok, and may yield what it looked at. ``fail`` is what loses requests, now or at the next reboot, deploy or renewal; ``warn``
is what a person should look at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils.layout import SLOTS, TRIAL, layout
from ansible_collections.asgi.deploy.plugins.module_utils.release import Kept, needed_by_log, same_python, to_prune
from ansible_collections.asgi.deploy.plugins.plugin_utils.workers import MASTER_MEMORY, suggested_memory

OK, WARN, FAIL = "ok", "warn", "fail"
LEVELS = (OK, WARN, FAIL)

CERTIFICATE_DAYS = 14
DEFAULT_KEEP = 5
# Of the connections that came in; a scan of the ports makes a few.
DROPS_WORTH_NOTING = 0.001
DROPS_AT_LEAST = 10
# nginx waits this long between two pieces of an answer, and a drain for the whole of it.
READ_TIMEOUT_RATIO = 2

DEPRECATED_SETTINGS = {
    "BlockIOAccounting": "IOAccounting",
    "BlockIODeviceWeight": "IODeviceWeight",
    "BlockIOReadBandwidth": "IOReadBandwidthMax",
    "BlockIOWeight": "IOWeight",
    "BlockIOWriteBandwidth": "IOWriteBandwidthMax",
    "CPUShares": "CPUWeight",
    "MemoryLimit": "MemoryMax",
    "StartupBlockIOWeight": "StartupIOWeight",
    "StartupCPUShares": "StartupCPUWeight",
}


class Finding(NamedTuple):
    """One thing that is amiss: how bad, what was found, what to do."""

    verdict: str
    found: str
    remedy: str


class Verdict(NamedTuple):
    """What one check came to."""

    check: str
    verdict: str
    found: str
    remedy: str


def verdicts(seen: dict[str, Any], expected: dict[str, Any] | None = None) -> list[Verdict]:
    """Return what every check says of what was *seen*; *expected* is what the inventory says, as far as it is known."""
    expected = expected or {}
    if not seen["live"] or not seen.get("running"):
        # a slot that is given the traffic and has nothing in it is no better
        return [Verdict("deployed", FAIL, f"{seen['name']} is not live on this host", "run site.yml")]
    found = []
    for name, check in CHECKS.items():
        findings = list(check(seen, expected)) or [Finding(OK, "", "")]
        amiss = [finding for finding in findings if finding.verdict != OK]
        found += [Verdict(name, *finding) for finding in amiss or findings]
    return found


def rows(hosts: Iterable[str], found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each verdict on each host, from what the module doctor returned for each host."""
    return [
        {"host": host, "app": answer["observations"]["name"], **verdict}
        for host, answer in zip(hosts, found, strict=True)
        for verdict in answer.get("verdicts", [])
    ]


def as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2)


def as_table(rows: list[dict[str, Any]]) -> str:
    """Return the verdicts of each app of each host as text, what is worst first."""
    if not rows:
        return "no host was examined"
    lines = []
    width = max(len(row["check"]) for row in rows)
    for host, app in dict.fromkeys((row["host"], row["app"]) for row in rows):
        its = [row for row in rows if (row["host"], row["app"]) == (host, app)]
        counts = [f"{sum(row['verdict'] == level for row in its)} {level}" for level in LEVELS]
        lines.append(f"{host} {app}: {', '.join(counts)}")
        for row in sorted(its, key=lambda row: -LEVELS.index(row["verdict"])):
            found = row["found"].splitlines() or [""]
            lines.append(f"  {row['verdict']:4}  {row['check']:{width}}  {found[0]}".rstrip())
            lines += [f"  {'':4}  {'':{width}}  {line}" for line in found[1:]]
            if row["remedy"]:
                lines.append(f"  {'':4}  {'':{width}}  -> {row['remedy']}")
    return "\n".join(lines)


# ---- what serves


def _its(seen: dict[str, Any]) -> dict[str, str]:
    return layout(seen["name"])["slots"][seen["live"]]


def _idle(seen: dict[str, Any]) -> dict[str, str]:
    return layout(seen["name"])["slots"][SLOTS[1 - SLOTS.index(seen["live"])]]


def _units(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for unit in (_its(seen)["socket_unit"], _its(seen)["service_unit"], "nginx.service"):
        state = seen["units"].get(unit) or {"active": "unknown"}
        if state["active"] not in ("active", "reloading"):
            yield Finding(FAIL, f"{unit} is {state['active']}", f"see journalctl --unit={unit}; site.yml starts it")


def _boot(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for unit in (_its(seen)["socket_unit"], _its(seen)["service_unit"], "nginx.service"):
        if not (seen["units"].get(unit) or {}).get("enabled"):
            yield Finding(FAIL, f"{unit} does not start at boot", f"systemctl enable {unit}")
    paths = layout(seen["name"])
    if f" {seen['live']}.sock\n" not in (seen["tmpfiles"] or ""):
        yield Finding(
            FAIL, f"{paths['tmpfiles']} does not lead to slot {seen['live']} after a reboot", "run site.yml, which does"
        )


def _idle_slot(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for unit in (_idle(seen)["socket_unit"], _idle(seen)["service_unit"]):
        state = seen["units"].get(unit) or {}
        if state.get("active") not in ("inactive", "failed", None):
            yield Finding(WARN, f"{unit}, which has no traffic, is {state['active']}", f"run site.yml, or stop {unit}")
        if state.get("enabled"):
            yield Finding(WARN, f"{unit}, which has no traffic, starts at boot", f"systemctl disable {unit}")
    paths = layout(seen["name"])
    # who measures just now holds the app's lock
    if seen["trial"] and not any(lock["held_by"] for lock in seen["locks"] if lock["path"] == paths["lock"]):
        yield Finding(
            WARN,
            f"{paths[TRIAL]['directory']} is what a tune.yml that was killed has left, and {paths[TRIAL]['service_unit']} may "
            f"still run",
            "run site.yml, which removes it",
        )


def _traffic(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    paths, release = layout(seen["name"]), seen["pairs"][seen["live"]]["release"]
    if seen["links"]["live_socket"] != f"{seen['live']}.sock":
        yield Finding(FAIL, f"{paths['live_socket']} is not there, so nginx reaches no slot", "run site.yml")
    if seen["links"]["current"] != f"releases/{release}":
        yield Finding(
            FAIL,
            f"{paths['current']} is {seen['links']['current'] or 'missing'}, and {release} is live: "
            f"static files are those of another release",
            "run site.yml",
        )


def _health(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    health = seen["running"]["health"]
    if health["socket"]:
        yield Finding(FAIL, health["socket"], f"see journalctl --unit={_its(seen)['service_unit']}")
    elif health["site"]:
        yield Finding(FAIL, health["site"], f"see /var/log/nginx/{seen['name']}.error.log")
    elif health["socket"] == "":
        yield Finding(OK, "the app answers" + (", and so does its site" if health["site"] == "" else ""), "")


def _workers(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    running, wanted = seen["running"]["workers"]["running"], seen["running"]["gunicorn"].get("workers")
    if wanted is not None and running != wanted:
        yield Finding(
            FAIL if running < wanted else WARN,
            f"{running} of {wanted} workers run" if running < wanted else f"{running} workers run instead of {wanted}",
            f"run reload.yml; see journalctl --unit={_its(seen)['service_unit']}",
        )
    yield Finding(OK, f"{running} run", "")


def _queue(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    its, backlog = seen["running"], seen["running"]["gunicorn"].get("backlog") or 0
    waiting = its["queue"]
    if waiting and waiting["waiting"] > waiting["limit"] / 2:
        yield Finding(
            WARN,
            f"{waiting['waiting']} connections wait in the queue of {waiting['limit']}",
            "the workers do not keep up: see the plan, and what they wait for",
        )
    if its["queue_full"]:
        yield Finding(
            WARN,
            f"nginx has found the queue of the socket full {its['queue_full']} times and answered 502",
            "raise asgi_server_backlog, or give the app more workers",
        )
    if its["somaxconn"] and backlog > its["somaxconn"]:
        yield Finding(
            WARN,
            f"asgi_server_backlog is {backlog}, and the kernel allows {its['somaxconn']}",
            f"sysctl net.core.somaxconn={backlog}, or a smaller asgi_server_backlog",
        )
    tcp = its["tcp"]
    if tcp and tcp["dropped"] >= max(DROPS_AT_LEAST, DROPS_WORTH_NOTING * tcp["accepted"]):
        yield Finding(
            WARN,
            f"{tcp['dropped']} TCP connections to this host found a queue full since it was started, {tcp['accepted']} did not",
            "nginx, or another server of the host, does not keep up: see ss -ltn and net.core.somaxconn",
        )


def _nginx(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    nginx = seen["nginx"]
    if not nginx["there"]:
        yield Finding(FAIL, "there is no nginx on this host", "run site.yml")
    elif not nginx["accepts"]:
        yield Finding(
            FAIL, f"nginx -t refuses the configuration: {nginx['said']}", "mend that, or nginx will not start again"
        )
    else:
        for warning in nginx["warnings"]:
            if "deprecated" not in warning:
                yield Finding(WARN, f"nginx -t warns: {warning}", "mend that")


def _certificate(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    its = seen["running"]["certificate"]
    if its["path"] is None:
        yield Finding(FAIL, f"{layout(seen['name'])['nginx_site']} names no certificate", "run site.yml")
        return
    if its["read"] is None:
        yield Finding(FAIL, f"{its['path']} cannot be read as a certificate", "run site.yml")
        return
    days, names = its["read"]["days"], its["read"]["names"]
    if days < 0:
        yield Finding(FAIL, f"{its['path']} has expired", "renew it, and run site.yml")
    elif days < CERTIFICATE_DAYS:
        yield Finding(WARN, f"{its['path']} expires in {days} days", "renew it, and see why it was not renewed")
    missing = [name for name in expected.get("server_names") or [] if not _covered(name, names)]
    if missing:
        yield Finding(WARN, f"{its['path']} is not for {' and '.join(missing)}", "get one for asgi_proxy_server_names")
    if its["mode"] and its["mode"]["mode"][-2:] != "00":
        yield Finding(
            FAIL,
            f"{its['path']}, which holds the key, is {_shown(its['mode'])}",
            f"chmod 0600 {its['path']}, and take a new key",
        )
    yield Finding(OK, f"{days} days", "")


def _covered(name: str, names: list[str]) -> bool:
    return name in names or f"*.{name.partition('.')[2]}" in names


# ---- what was configured


def _unit_files(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    its, running = _its(seen), seen["running"]
    if not running["unit_as_configured"]:
        yield Finding(
            FAIL,
            f"{layout(seen['name'])['service_template']} is not what was activated",
            "run site.yml, which mends it",
        )
    if not running["drop_in_as_configured"]:
        yield Finding(FAIL, f"{its['drop_in']} is not what was activated", "run site.yml, which mends it")
    for unit in (its["socket_unit"], its["service_unit"]):
        if (seen["units"].get(unit) or {}).get("needs_daemon_reload"):
            yield Finding(
                WARN, f"systemd has not read the files of {unit} since they changed", "systemctl daemon-reload"
            )
    if running["misread"]:
        yield Finding(
            WARN, f"systemd does not understand {its['drop_in']}: {running['misread']}", "see asgi_server_unit_settings"
        )


def _permissions(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    paths, its, user = layout(seen["name"]), _its(seen), seen["user"]
    config = f"{paths['configs']}/{seen['pairs'][seen['live']]['config']}"
    wanted = {
        its["socket"]: ("root", "www-data", "0660"),
        paths["run"]: ("root", "root", "0755"),
        paths["releases"]: ("root", "root", "0755"),
        paths["shared"]: (user, user, "0750"),
        config: ("root", user, "0750"),
        f"{config}/env": ("root", user, "0640"),
    }
    for path, (owner, group, mode) in wanted.items():
        found = seen["running"]["modes"].get(path)
        if found is None:
            yield Finding(FAIL, f"{path} is not there", "run site.yml")
        elif (found["owner"], found["group"], found["mode"]) != (owner, group, mode):
            yield Finding(
                FAIL,
                f"{path} is {_shown(found)}, not {owner}:{group} {mode}",
                f"chown {owner}:{group} {path}; chmod {mode} {path}",
            )


def _shown(found: dict[str, Any]) -> str:
    return f"{found['owner']}:{found['group']} {found['mode']}"


def _plan(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    plan, configured = expected.get("plan"), seen["running"]["gunicorn"].get("workers")
    if not plan or configured is None:
        return
    explicit = expected.get("workers", "auto") != "auto"
    if not explicit and configured != plan["workers"]:
        yield Finding(WARN, f"{configured} workers are configured, and the plan is {plan['reason']}", "run deploy.yml")
    allowed = plan["by_memory"]
    if explicit and allowed is not None and configured > allowed:
        yield Finding(
            WARN,
            f"{configured} workers are configured, and during a deploy there is memory for {allowed}",
            "a smaller asgi_server_workers, or a smaller asgi_server_worker_memory if they take less",
        )
    yield Finding(OK, f"{configured} set explicitly; the plan is {plan['reason']}" if explicit else plan["reason"], "")


def _memory(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    measured = seen["running"]["workers"]["memory_mb"]
    counted = seen["running"]["plan"]["worker_memory"]
    if measured and counted and measured > counted:
        yield Finding(
            WARN,
            f"a worker takes {measured} MiB, and the plan counts {counted}",
            f"asgi_server_worker_memory: {suggested_memory(measured)}, or 'measured'",
        )
    elif measured and counted:
        yield Finding(OK, f"the largest worker takes {measured} MiB of the {counted} that the plan counts", "")
    capacity = seen["capacity"]
    apps = [app for app in capacity["apps"] if app["workers"] and app["worker_memory"]]
    taken = sum(app["workers"] * app["worker_memory"] + MASTER_MEMORY for app in apps)
    available = min(filter(None, [capacity["memtotal_mb"], capacity["cgroup_memory_mb"]]), default=None)
    if available and taken > available:
        yield Finding(
            WARN,
            f"the workers of the {len(apps)} apps of this host are counted with {taken} MiB, and it has {available}",
            "fewer workers, for instance asgi_server_workers: auto",
        )


def _deprecated(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for setting in seen["running"]["settings"]:
        if setting in DEPRECATED_SETTINGS:
            yield Finding(
                WARN,
                f"{setting} is deprecated, and ignored with version 2 of control groups",
                f"use {DEPRECATED_SETTINGS[setting]} in asgi_server_unit_settings",
            )
    for warning in seen["nginx"].get("warnings") or []:
        if "deprecated" in warning:
            yield Finding(WARN, f"nginx -t warns: {warning}", "mend that before the next version of nginx")


def _timeouts(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    gunicorn, site = seen["running"]["gunicorn"], seen["running"]["site"]
    graceful, keepalive = gunicorn.get("graceful_timeout"), gunicorn.get("keepalive")
    if keepalive is not None and site["keepalive_timeout"] is not None and keepalive <= site["keepalive_timeout"]:
        yield Finding(
            FAIL,
            f"the app closes idle connections after {keepalive} s, nginx after {site['keepalive_timeout']} s: a POST may be "
            f"written into one that is being closed",
            "make asgi_server_keepalive larger than asgi_proxy_upstream_keepalive_timeout, and run site.yml",
        )
    stop = (seen["units"].get(_its(seen)["service_unit"]) or {}).get("stop_seconds")
    if graceful is not None and stop is not None and stop <= graceful:
        yield Finding(
            FAIL,
            f"systemd kills the service {stop:g} s after it is told to stop, and the drain may take {graceful} s",
            "do not set TimeoutStopSec anywhere: it comes from asgi_server_graceful_timeout",
        )
    if (
        graceful is not None
        and site["read_timeout"] is not None
        and site["read_timeout"] > READ_TIMEOUT_RATIO * graceful
    ):
        yield Finding(
            WARN,
            f"nginx waits {site['read_timeout']} s for an answer, and a deploy ends requests after {graceful} s",
            "raise asgi_server_graceful_timeout to what the longest request takes",
        )
    timeout = gunicorn.get("timeout")
    watchdog = (seen["units"].get(_its(seen)["service_unit"]) or {}).get("watchdog_seconds")
    if timeout is not None and watchdog is not None and watchdog <= timeout:
        yield Finding(
            WARN,
            f"systemd restarts the service when nobody has served for {watchdog:g} s, and gunicorn replaces a worker that "
            f"hangs after {timeout} s",
            "do not set WatchdogSec anywhere: it comes from asgi_server_watchdog, which is to be more than asgi_server_timeout",
        )
    # busy threads are given as long as nginx waits: see servers.server_patience
    threads = "threads" in gunicorn
    if timeout is not None and not threads and site["read_timeout"] is not None and site["read_timeout"] <= timeout:
        yield Finding(
            WARN,
            f"nginx answers 504 after {site['read_timeout']} s, and a worker that hangs is replaced after {timeout} s: no "
            f"request of its can be repeated by another one",
            "make asgi_server_timeout smaller than asgi_proxy_read_timeout",
        )
    if gunicorn.get("max_requests") and not gunicorn.get("max_requests_jitter"):
        yield Finding(
            WARN,
            f"all workers are replaced at once, after {gunicorn['max_requests']} requests",
            "set asgi_server_max_requests_jitter to a tenth of asgi_server_max_requests",
        )


def _drift(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    """What site.yml would change, by what the roles' modules say in check mode."""
    remedy = "run site.yml, or mend the inventory"
    for what, result in (expected.get("drift") or {}).items():
        if not result:
            continue
        if result.get("failed"):
            yield Finding(WARN, f"{what}: cannot be compared: {_first_line(result)}", "mend that; site.yml fails, too")
        elif result.get("changed"):
            yield Finding(WARN, f"{what}: {_would(result)}", remedy)


def _first_line(result: dict[str, Any]) -> str:
    return (str(result.get("msg") or "no reason given").splitlines() or [""])[0]


def _would(result: dict[str, Any]) -> str:
    if result.get("changes"):
        return "site.yml would " + ", ".join(result["changes"])
    if "built" in result:
        return f"site.yml would {'build' if result['built'] else 'stage'} release {result['release']}"
    if "written" in result:
        files = [*result["written"], *result["removed"]]
        return "site.yml would change " + " and ".join(files) if files else "nginx has not loaded what is on disk"
    return "site.yml would change it"


# ---- what was left


def _log(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    path = layout(seen["name"])["log"]
    if seen["log"] is None:
        yield Finding(
            FAIL, f"{path} cannot be understood", "mend or remove it: no release can be removed or rolled back to"
        )
        return
    live = [(entry["release"], entry["config"]) for entry in seen["log"] if entry["result"] == "live"]
    pair = seen["pairs"][seen["live"]]
    if live != [(pair["release"], pair["config"])]:
        said = " and ".join("/".join(each) for each in live) or "nothing"
        yield Finding(
            FAIL,
            f"{path} says that {said} is live, and slot {seen['live']} has {pair['release']}/{pair['config']}",
            "run site.yml, which notes what is live",
        )
    for slot, there in seen["on_disk"].items():
        if seen["pairs"][slot] and not there:
            gone = seen["pairs"][slot]["release"]
            yield Finding(
                FAIL if slot == seen["live"] else WARN,
                f"slot {slot} has release {gone}, which is not whole on the disk",
                "run site.yml, which builds it anew"
                if slot == seen["live"]
                else "none: the next deploy fills the slot",
            )


def _locks(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for lock in seen["locks"]:
        if lock["held_by"]:
            yield Finding(
                WARN, f"{lock['path']} is held {lock['note'] or 'by somebody'}", "wait: what is seen here is half-way"
            )
        elif lock["note"]:
            yield Finding(
                WARN,
                f"{lock['path']} is stale, its holder was killed: {lock['note']}",
                "run site.yml, which brings what was interrupted to its end",
            )


def _releases(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    paths = layout(seen["name"])
    used = {pair["release"] for pair in seen["pairs"].values() if pair}
    used |= {link.rpartition("/")[2] for link in (seen["links"]["staged"], seen["links"]["current"]) if link}
    used |= needed_by_log(seen["log"] or [])
    found = [Kept(**each) for each in seen["releases"]]
    orphans = to_prune(found, expected.get("keep_releases") or DEFAULT_KEEP, used) if seen["log"] is not None else []
    half = [each.release for each in found if each.built_at is None]
    for release in orphans:
        why = "was never completed" if release in half else "is needed by nobody"
        yield Finding(WARN, f"{paths['releases']}/{release} {why}", "the next deploy removes it")
    for name in seen["leftovers"]:
        yield Finding(
            WARN, f"{paths['configs']}/{name} is what an interrupted run has left", f"rm -r {paths['configs']}/{name}"
        )
    python = seen["running"]["python"]
    if not same_python(python["recorded"], python["found"] or ""):
        yield Finding(
            FAIL,
            f"the live release was built with Python {python['recorded']}, and its interpreter is {python['found'] or 'gone'}",
            "run site.yml, which builds it anew: a restart would not find its packages",
        )


def _disk(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    disk, home = seen["running"]["disk"], layout(seen["name"])["home"]
    if disk["free_mb"] < 2 * disk["release_mb"]:
        yield Finding(
            FAIL if disk["free_mb"] < disk["release_mb"] else WARN,
            f"{disk['free_mb']} MiB are free for {home}, and the live release takes {disk['release_mb']}",
            "make room, for instance with a smaller asgi_app_keep_releases",
        )
    if disk["free_files"] is not None and disk["free_files"] < 2 * disk["release_files"]:
        yield Finding(
            FAIL if disk["free_files"] < disk["release_files"] else WARN,
            f"{disk['free_files']} files can be made below {home}, and the live release has {disk['release_files']}",
            "make room: the file system has no more inodes",
        )
    yield Finding(OK, f"{disk['free_mb']} MiB free, the live release takes {disk['release_mb']}", "")


def _clock(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    # a container has the clock of its host, and may not be told about it
    if seen["clock"]["synchronised"] is False and not seen["clock"]["container"]:
        yield Finding(
            WARN,
            "nothing keeps the clock of this host right",
            "install systemd-timesyncd or chrony: certificates and logs need the time",
        )
    yield Finding(OK, "that of the container's host" if seen["clock"]["container"] else "", "")


def _timers(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for unit in seen["timers"]:
        state = seen["units"].get(unit) or {}
        if state.get("active") != "active":
            yield Finding(FAIL, f"{unit} is {state.get('active') or 'unknown'}", f"systemctl enable --now {unit}")
        elif not state["enabled"]:
            yield Finding(WARN, f"{unit} does not start at boot", f"systemctl enable {unit}")


def _metrics(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for unit in seen["metrics"]:
        state = seen["units"].get(unit) or {}
        if state.get("active") != "active" or not state["enabled"]:
            found = (
                f"{unit} is {state.get('active') or 'unknown'}, {'' if state.get('enabled') else 'not '}enabled at boot"
            )
            yield Finding(
                WARN, found, f"systemctl enable --now {unit}; see journalctl --unit={unit.removesuffix('.socket')}"
            )


CHECKS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Iterator[Finding]]] = {
    "units": _units,
    "boot": _boot,
    "idle slot": _idle_slot,
    "traffic": _traffic,
    "health": _health,
    "workers": _workers,
    "queue": _queue,
    "nginx -t": _nginx,
    "certificate": _certificate,
    "unit files": _unit_files,
    "permissions": _permissions,
    "plan": _plan,
    "memory": _memory,
    "deprecated": _deprecated,
    "timeouts": _timeouts,
    "drift": _drift,
    "release log": _log,
    "locks": _locks,
    "releases": _releases,
    "disk": _disk,
    "clock": _clock,
    "timers": _timers,
    "metrics": _metrics,
}
