# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain an HAProxy server and restore its traffic through the runtime API, without losing a request.

The section "Unix Socket commands" of HAProxy's management guide describes the responses.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import socket
import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Callable, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import locked, read_text, write_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import (
    ACME,
    BALANCER_LOCK,
    FRESH,
    balancer_server,
)

READY, DRAIN, MAINT = "ready", "drain", "maint"
# How to handle sessions that do not end in time.
LINGERING = REFUSE, CUT, LEAVE = "refuse", "cut", "leave"

AGE = re.compile(r"\bage=(\S+)")
# Backends for ACME challenges, as layout.py names them.
ACME_BACKEND = re.compile(rf"asgi_\S+{re.escape(ACME)}")
# Value of `type` in "show stat" for a server.
SERVER_ROW = "2"
# Bits of srv_admin_state: maintenance and drain, each set by a command or the configuration or inherited from a tracked server, and
# maintenance because no address is known.
IN_MAINT, IN_DRAIN, NO_ADDRESS = 0x03, 0x18, 0x60
# The bits that a command sets. After "set server ... state", at most one of them is set.
OWN_MAINT, OWN_DRAIN = 0x01, 0x08
# srv_op_state: 0 stopped, 1 starting, 2 running, 3 stopping
RUNNING = ("1", "2")
# bits of srv_check_state: a check is configured and enabled
CHECKED = 0x06

# Directory on the balancer with a mark for each server that this collection has drained. Like the settings of the runtime API, marks do not
# survive a reboot.
MARKS = "/run/asgi-maintain"
# States of ended processes in /proc.
ENDED = ("Z", "X")
POLL_SECONDS = 0.1
CUT_SECONDS = 5
# `timeout http-keep-alive` of asgi_balancer. For this time after a reload, the previous process may receive a request on an idle connection.
# It closes the connection with the response.
KEEP_ALIVE_SECONDS = 65
# HAProxy notifies the previous process only after the new worker has read its files, but the new worker's uptime begins earlier.
STOPPING_SECONDS = 5
PREVIOUS_POLL_SECONDS = 0.5
# as long as for changes of HAProxy's files
LOCK_SECONDS = 300


class HaproxyError(Reported):
    """The runtime API is not available, or HAProxy rejects a command."""


class Refused(Reported):
    """The change would lose requests."""


class Server(NamedTuple):
    """The state of one server of a backend, according to one HAProxy."""

    name: str
    address: str
    admin: str  # administrative state: READY, DRAIN or MAINT
    own_admin: str  # administrative state without the part inherited from a tracked server
    running: bool  # whether HAProxy considers the server up
    checked: bool  # whether the server has health checks
    usable: bool  # whether it may get new requests of all clients
    sessions: int  # active requests and upgraded connections, and requests in the server's queue
    total: int  # number of sessions since the start of HAProxy
    status: str  # text for users
    # Name of the companion backend, if that contains a server of the same name. That server tracks this one, and the sessions of both are
    # counted.
    companion: str = ""

    @property
    def out(self) -> bool:
        return self.admin != READY


def parse_backends(stat: str, state: str) -> dict[str, dict[str, Server]]:
    """Return the servers of each backend by name, from the responses to ``show stat`` and ``show servers state``.

    Both responses are necessary: the first does not show the drain state of a server that is down, the second does not contain sessions.
    Raises HaproxyError for other responses, for example from the socket of HAProxy's master process.
    """
    for command, answer, heading in (("show stat", stat, "pxname,"), ("show servers state", state, " be_name ")):
        if heading not in answer:
            line = next((line.strip() for line in answer.splitlines() if line.strip()), "empty")
            raise HaproxyError(f"the response to {command!r} is: {line}; is this the socket of HAProxy's runtime API?")
    states = {(row["be_name"], row["srv_name"]): row for row in _state_rows(state)}
    rows = {
        (row["pxname"], row["svname"]): row
        for row in _stat_rows(stat)
        # the servers for ACME challenges are not drained
        if row["type"] == SERVER_ROW and not ACME_BACKEND.fullmatch(row["pxname"])
    }
    companions = {(backend + FRESH, name) for backend, name in rows}
    found: dict[str, dict[str, Server]] = {}
    for (backend, name), row in rows.items():
        if (backend, name) in states and (backend, name) not in companions:
            companion = rows.get((backend + FRESH, name))
            found.setdefault(backend, {})[name] = _server(row, states[backend, name], companion)
    return found


def _stat_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.lstrip("# \n").splitlines()))


def _state_rows(text: str) -> Iterable[dict[str, str]]:
    lines = text.splitlines()
    headings = next((line.lstrip("# ").split() for line in lines if line.startswith("#")), [])
    return (dict(zip(headings, line.split())) for line in lines if line and not line.startswith("#") and " " in line)


def _server(row: dict[str, str], state: dict[str, str], companion: dict[str, str] | None) -> Server:
    both = [row, companion] if companion else [row]
    bits = int(state["srv_admin_state"])
    admin = MAINT if bits & IN_MAINT else DRAIN if bits & IN_DRAIN else READY
    own_admin = MAINT if bits & OWN_MAINT else DRAIN if bits & OWN_DRAIN else READY
    running = state["srv_op_state"] in RUNNING and not bits & NO_ADDRESS
    checked = int(state["srv_check_state"]) & CHECKED == CHECKED
    status = row["status"]
    if admin == DRAIN and not running:
        status = f"DRAIN, {status}"
    if not running and admin != MAINT and row["check_status"]:
        words = (row["check_status"].lstrip("* "), row["check_code"], row["last_chk"])
        status += f" ({' '.join(word for word in words if word)})"
    return Server(
        name=row["svname"],
        address=state["srv_addr"],
        admin=admin,
        own_admin=own_admin,
        running=running,
        checked=checked,
        # a backup server only receives requests when all others are down, and may only serve an error page
        usable=admin == READY and running and int(state["srv_uweight"]) > 0 and row["bck"] == "0",
        sessions=sum(int(each["scur"] or 0) + int(each["qcur"] or 0) for each in both),
        total=sum(int(each["stot"] or 0) for each in both),
        status=status,
        companion=companion["pxname"] if companion else "",
    )


def oldest_session(sessions: str, of_backends: Iterable[str], server: str) -> str:
    """Return the age of the oldest session of *server* from *sessions*, the response to ``show sess``; "" if there is none."""
    patterns = [f" be={backend} srv={server} " for backend in of_backends]
    lines = [line for line in sessions.splitlines() if any(each in line for each in patterns)]
    ages = [match[1] for line in lines for match in [AGE.search(line)] if match]
    return max(ages, key=_age_seconds, default="")


def _age_seconds(age: str) -> int:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhms])", age))


class Socket:
    """The runtime API's socket at *path*."""

    def __init__(self, path: str, timeout: float = 10) -> None:
        self.path = path
        self.timeout = timeout

    def send(self, command: str) -> str:
        """Return the response to *command*; raise HaproxyError if there is none."""
        answer = []
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                peer.settimeout(self.timeout)
                peer.connect(self.path)
                peer.sendall(f"{command}\n".encode())
                while True:
                    part = peer.recv(65536)
                    if not part:
                        break
                    answer.append(part)
        except OSError as exc:
            remedy = "is HAProxy running, and does its configuration contain `stats socket ... level admin`?"
            raise HaproxyError(f"{self.path}: {exc.strerror or exc}; {remedy}") from exc
        return b"".join(answer).decode(errors="replace")


def backends(send: Callable[[str], str]) -> dict[str, dict[str, Server]]:
    """Return the current servers of each backend by name; *send* sends commands to HAProxy."""
    return parse_backends(send("show stat"), send("show servers state"))


def haproxy_processes(proc: str = "/proc") -> dict[int, int]:
    """Return the parent process of each HAProxy process on this host."""
    found = {}
    for pid in filter(str.isdigit, os.listdir(proc)):
        try:
            with open(f"{proc}/{pid}/stat", encoding="utf-8", errors="replace") as file:
                # format: 4711 (haproxy) S 4710 ...; the name may contain parentheses
                name, _end, rest = file.read().partition(" (")[2].rpartition(") ")
        except OSError:
            continue  # the process has ended
        if name == "haproxy":
            state, parent = rest.split()[:2]
            if state not in ENDED:
                found[int(pid)] = int(parent)
    return found


class Balancer:
    """One server of *backend*, and its mark if this collection has drained it. *send* sends commands to HAProxy."""

    def __init__(
        self,
        send: Callable[[str], str],
        backend: str,
        server: str,
        marks: str = MARKS,
        lock: str = BALANCER_LOCK,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        processes: Callable[[], dict[int, int]] = haproxy_processes,
    ) -> None:
        self.send = send
        # Validate the names, so that they cannot inject commands. The same rule applies to names of backends and servers.
        self.backend = balancer_server(backend)
        self.name = balancer_server(server)
        self.mark_path = os.path.join(marks, f"{backend}@{server}.json")
        self.lock = lock
        self.clock = clock
        self.sleep = sleep
        self.processes = processes

    def read(self) -> Server:
        """Return the current state of the server; raise HaproxyError if it does not exist."""
        return self._all()[self.name]

    def _all(self) -> dict[str, Server]:
        """Return the servers of the backend; raise HaproxyError if this one does not exist."""
        found = backends(self.send)
        if self.backend not in found:
            raise HaproxyError(
                f"there is no backend {self.backend} with servers; backends: {', '.join(found) or 'none'}"
            )
        if self.name not in found[self.backend]:
            raise HaproxyError(
                f"backend {self.backend} has no server {self.name}; servers: {', '.join(found[self.backend])}"
            )
        return found[self.backend]

    def _backends_of(self, server: Server) -> list[str]:
        return [self.backend, server.companion] if server.companion else [self.backend]

    @property
    def mark(self) -> dict[str, Any] | None:
        """The mark of a drained server: the previous state ``found``, the time ``at`` and the user ``by``; None without a mark."""
        try:
            text = read_text(self.mark_path)
            mark = json.loads(text) if text else None
        except ValueError:
            mark = ""
        if mark is not None and not (isinstance(mark, dict) and mark.get("found") in (READY, DRAIN, MAINT)):
            raise HaproxyError(
                f"{self.mark_path} does not contain the previous state of {self.name} -> set the state of the server on the balancer, "
                f"and remove that file"
            )
        return mark

    def refuse_too_few(self, together: Collection[str], least: int) -> None:
        """Raise Refused if fewer than *least* usable servers remain after this server and those in *together* are drained.

        A server that receives no requests can always be drained.
        """
        found = self._all()
        if not found[self.name].usable:
            return
        leaving = {self.name, *together}
        rest = [server for server in found.values() if server.name not in leaving]
        usable = [server.name for server in rest if server.usable]
        if len(usable) < least:
            others = ", ".join(f"{server.name} {server.status}" for server in rest) or "no other server"
            raise Refused(
                f"without {', '.join(sorted(leaving))}, the backend {self.backend} would have {_counted(len(usable), 'server')} "
                f"for requests, and asgi_maintain_min_servers is {least}: {others}"
            )

    def take_out(self, timeout: float, lingering: str, by: str = "") -> int:
        """Drain the server, wait until it has no sessions, and put it into maintenance; return the number of sessions that were cut.

        *lingering* determines what happens to sessions that have not ended after *timeout* seconds. With REFUSE, the previous state is
        restored and Refused is raised. After a reload of HAProxy, draining may take longer than *timeout*, because previous processes may
        still receive requests.
        """
        with self._unreloaded():
            before = self.read()
            ours = self.mark
            # A server that was already in maintenance gets no new mark, so that give_back() leaves it there.
            if not before.out or (before.admin == DRAIN and ours is None):
                mark = {"found": before.admin, "at": time.strftime("%Y-%m-%d %H:%M"), "by": by}
                write_text(self.mark_path, json.dumps(mark) + "\n")
            if not before.out:
                self._set_state(DRAIN)
        end = self.clock() + timeout
        server = self._wait_empty(end, also=_persists)
        # Only maintenance also stops requests with a persistence cookie or an entry in a stick table, and closes idle connections. It is not
        # set earlier, because with `on-marked-down shutdown-sessions` it would cut active sessions.
        if server.admin != MAINT:
            with self._unreloaded():
                self._set_state(MAINT)
            server = self._wait_empty(end)
        if server.sessions and lingering == REFUSE:
            age = oldest_session(self.send("show sess"), self._backends_of(server), self.name)
            # keep an earlier mark: it records the state before an interrupted run
            self._undo(before, keep_mark=before.out and ours is not None)
            raise Refused(
                f"{self.name} still has {_counted(server.sessions, 'session')} after {timeout:.0f} s"
                f"{', the oldest for ' + age if age else ''}: WebSockets, event streams, downloads or slow requests. "
                f"The server stays in service"
            )
        cut = self._cut(server) if server.sessions and lingering == CUT else 0
        # Wait for previous processes last, because HAProxy may have been reloaded during the wait for sessions.
        self._wait_for_previous_processes()
        if self.read().admin != MAINT:
            raise HaproxyError(
                f"{self.name} is no longer in maintenance: its state was changed through the runtime API meanwhile, or HAProxy was "
                f"reloaded or restarted manually"
            )
        return cut

    def _cut(self, server: Server) -> int:
        """Shut down the sessions of *server*; return their number."""
        for backend in self._backends_of(server):
            self._run(f"shutdown sessions server {backend}/{self.name}")
        left = self._wait_empty(self.clock() + CUT_SECONDS)
        if left.sessions:
            raise HaproxyError(f"{self.name} still has {_counted(left.sessions, 'session')} after they were shut down")
        return server.sessions

    def give_back(self, timeout: float) -> str:
        """Restore and return the state that the server had before this collection drained it; return "" if there is nothing to restore.

        If the server is already in service again, for example after a restart of HAProxy, this only removes the mark. The server receives no
        requests before it has passed the configured number of health checks. If that takes more than *timeout* seconds, this raises Refused
        and keeps the server in maintenance.
        """
        mark = self.mark
        if mark is None:
            return ""
        if not self.read().out:
            os.unlink(self.mark_path)
            return ""
        if mark["found"] == READY:
            self._wait_for_health(timeout)
        with self._unreloaded():
            self._set_state(mark["found"])
            os.unlink(self.mark_path)
        return mark["found"]

    def _wait_for_health(self, timeout: float) -> None:
        """Wait until the health checks pass. After maintenance, HAProxy treats a server as healthy until a check fails."""
        # Set the health to down right after the state, because a draining server with passing checks receives requests with a cookie.
        with self._unreloaded():
            self._set_state(DRAIN)
            if not self.read().checked:
                return
            self._run(f"set server {self.backend}/{self.name} health down")
        end = self.clock() + timeout
        server = self.read()
        while not server.running:
            if self.clock() >= end:
                with self._unreloaded():
                    self._set_state(MAINT)
                raise Refused(
                    f"{self.name} does not pass the balancer's health checks after {timeout:.0f} s: {server.status}"
                )
            self.sleep(POLL_SECONDS)
            server = self.read()

    def _wait_empty(self, end: float, also: Callable[[Server, Server], bool] = lambda first, now: False) -> Server:
        """Wait until the server has no sessions, *also* returns True, or the clock reaches *end*; return the server's state."""
        first = server = self.read()
        while server.sessions and not also(first, server) and self.clock() < end:
            self.sleep(POLL_SECONDS)
            server = self.read()
        return server

    def _wait_for_previous_processes(self) -> None:
        """Wait until the previous processes, which a reload has replaced, can no longer receive requests.

        Previous processes may keep WebSockets open for hours; this does not wait for the end of these.
        """
        worker, age = self._worker()
        processes = self.processes()
        previous = {pid for pid, parent in processes.items() if pid != worker and parent == processes.get(worker)}
        end = self.clock() + KEEP_ALIVE_SECONDS + STOPPING_SECONDS - age
        while self.clock() < end and not previous.isdisjoint(self.processes()):
            self.sleep(PREVIOUS_POLL_SECONDS)

    def _worker(self) -> tuple[int, int]:
        """Return the process id and the uptime in seconds of the current worker."""
        answer = self.send("show info")
        info = dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)
        try:
            return int(info["Pid"]), int(info["Uptime_sec"])
        except (KeyError, ValueError):
            raise HaproxyError(f"the response to 'show info' is: {answer.strip() or 'empty'}") from None

    def _undo(self, before: Server, keep_mark: bool) -> None:
        with self._unreloaded():
            self._set_state(before.admin)
            if not keep_mark and self.mark is not None:
                os.unlink(self.mark_path)

    @contextlib.contextmanager
    def _unreloaded(self) -> Iterator[None]:
        """Prevent reloads of HAProxy: a reload loses changes made after the old process saved its state and before the new process starts.

        Do not hold the lock while waiting for sessions or health checks, because it would block other tasks for that time.
        """
        busy = f"another task has been changing HAProxy for {LOCK_SECONDS} s: "
        with locked(self.lock, "balancer_server", LOCK_SECONDS, busy):
            yield

    def _set_state(self, admin: str) -> None:
        """Set the administrative state of the server and verify it; the caller must prevent reloads."""
        self._run(f"set server {self.backend}/{self.name} state {admin}")
        now = self.read()
        if now.own_admin != admin:
            raise HaproxyError(f"the state of {self.name} is {now.own_admin} after it was set to {admin}")

    def _run(self, command: str) -> None:
        answer = self.send(command).strip()
        if answer:
            raise HaproxyError(f"the response to {command!r} is: {answer}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _persists(first: Server, now: Server) -> bool:
    """Return whether a draining server still receives new sessions, because of cookies or stick tables."""
    return now.total > first.total
