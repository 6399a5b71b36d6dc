# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a server out of an HAProxy's traffic and give it back without losing a request, through the runtime API.

What the answers look like is described in HAProxy's management guide, "Unix Socket commands".
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

from ansible_collections.asgi.deploy.plugins.module_utils.files import Locked, locked, read_text, write_text
from ansible_collections.asgi.deploy.plugins.module_utils.layout import ACME, BALANCER_LOCK, FRESH, balancer_server

READY, DRAIN, MAINT = "ready", "drain", "maint"
# what becomes of sessions that do not end
LINGERING = REFUSE, CUT, LEAVE = "refuse", "cut", "leave"

AGE = re.compile(r"\bage=(\S+)")
# by layout.py
ACME_BACKEND = re.compile(rf"asgi_\S+{re.escape(ACME)}")
# `type` in "show stat"
SERVER_ROW = "2"
# bits of srv_admin_state: said by somebody or by the configuration, inherited from a tracked server, no address known
IN_MAINT, IN_DRAIN, NO_ADDRESS = 0x03, 0x18, 0x60
# those of them that it was told itself, of which "set server ... state" leaves one or none
TOLD_MAINT, TOLD_DRAIN = 0x01, 0x08
# srv_op_state: 0 stopped, 1 starting, 2 running, 3 stopping
RUNNING = ("1", "2")
# bits of srv_check_state: there is a check and it is not switched off
CHECKED = 0x06

# Marks of the servers that are out because of us, on the balancer. Like what HAProxy is told at run time they do not
# survive a boot.
MARKS = "/run/asgi-maintain"
# states of a process in /proc
ENDED = ("Z", "X")
POLL_SECONDS = 0.1
CUT_SECONDS = 5
# `timeout http-keep-alive` of asgi_balancer. As long a process that a reload has stopped may get a request on a connection
# that was idle then; it closes it with the answer.
KEEP_ALIVE_SECONDS = 65
# it learns of the reload when the new worker, whose time runs already, has read its files
STOPPING_SECONDS = 5
FORMER_POLL_SECONDS = 0.5
# as those wait who change HAProxy's files
LOCK_SECONDS = 300


class HaproxyError(Exception):
    """HAProxy cannot be asked, or refuses what it is told."""


class Refused(Exception):
    """What is wanted would lose requests."""


class Server(NamedTuple):
    """One server of a backend, as one HAProxy sees it."""

    name: str
    address: str
    admin: str  # what it was told: READY, DRAIN or MAINT
    told: str  # the same, without what it inherits from a server that it tracks
    running: bool  # by the health checks, if there are any
    checked: bool  # whether there are
    usable: bool  # whether new requests of anybody may go there now
    sessions: int  # requests and upgraded connections under way, and those that wait for it in particular
    total: int  # all since HAProxy was started
    status: str  # for people
    # where there is one in the backend's companion, that backend's name: this one is told what the other is to do, and has
    # the sessions of both
    companion: str = ""

    @property
    def out(self) -> bool:
        return self.admin != READY


def parse_backends(stat: str, state: str) -> dict[str, dict[str, Server]]:
    """Return the servers of each backend by name, from the answers to ``show stat`` and ``show servers state``.

    Neither alone says it all: the first does not tell of a drain where a server is down, the second of no sessions.
    Raises HaproxyError for what is no such answer, as of HAProxy's master, which has a socket of its own.
    """
    for command, answer, heading in (("show stat", stat, "pxname,"), ("show servers state", state, " be_name ")):
        if heading not in answer:
            said = next((line.strip() for line in answer.splitlines() if line.strip()), "nothing")
            raise HaproxyError(f"{command!r} was answered: {said}; is this the socket of HAProxy's runtime API?")
    states = {(row["be_name"], row["srv_name"]): row for row in _state_rows(state)}
    rows = {
        (row["pxname"], row["svname"]): row
        for row in _stat_rows(stat)
        # where certbot answers an ACME server there is nothing to drain
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
    told = MAINT if bits & TOLD_MAINT else DRAIN if bits & TOLD_DRAIN else READY
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
        told=told,
        running=running,
        checked=checked,
        # a backup server is asked when all others have failed; it may say no more than that
        usable=admin == READY and running and int(state["srv_uweight"]) > 0 and row["bck"] == "0",
        sessions=sum(int(each["scur"] or 0) + int(each["qcur"] or 0) for each in both),
        total=sum(int(each["stot"] or 0) for each in both),
        status=status,
        companion=companion["pxname"] if companion else "",
    )


def oldest(sessions: str, of_backends: Iterable[str], server: str) -> str:
    """Return the age of the session of *server* that has lasted longest, of an answer to ``show sess``; "" for none."""
    which = [f" be={backend} srv={server} " for backend in of_backends]
    lines = [line for line in sessions.splitlines() if any(each in line for each in which)]
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

    def ask(self, command: str) -> str:
        """Return the answer to *command*; raise HaproxyError if there is none."""
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
            remedy = "is HAProxy running, and does its configuration say `stats socket ... level admin`?"
            raise HaproxyError(f"{self.path}: {exc.strerror or exc}; {remedy}") from exc
        return b"".join(answer).decode(errors="replace")


def backends(ask: Callable[[str], str]) -> dict[str, dict[str, Server]]:
    """Return the servers of each backend by name, as the HAProxy behind *ask* has them now."""
    return parse_backends(ask("show stat"), ask("show servers state"))


def haproxy_processes(proc: str = "/proc") -> dict[int, int]:
    """Return the parent of each process of an HAProxy on this host."""
    found = {}
    for pid in filter(str.isdigit, os.listdir(proc)):
        try:
            with open(f"{proc}/{pid}/stat", encoding="utf-8", errors="replace") as file:
                # 4711 (haproxy) S 4710 ...; a name may have parentheses
                name, _end, rest = file.read().partition(" (")[2].rpartition(") ")
        except OSError:
            continue  # it has ended
        if name == "haproxy":
            state, parent = rest.split()[:2]
            if state not in ENDED:
                found[int(pid)] = int(parent)
    return found


class Balancer:
    """One server of *backend* in the HAProxy behind *ask*, and the mark that says that it is out because of us."""

    def __init__(
        self,
        ask: Callable[[str], str],
        backend: str,
        server: str,
        marks: str = MARKS,
        lock: str = BALANCER_LOCK,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        processes: Callable[[], dict[int, int]] = haproxy_processes,
    ) -> None:
        self.ask = ask
        # a name that would end a command and begin another one is none; a backend can be called what a server can
        self.backend = balancer_server(backend)
        self.name = balancer_server(server)
        self.mark_path = os.path.join(marks, f"{backend}@{server}.json")
        self.lock = lock
        self.clock = clock
        self.sleep = sleep
        self.processes = processes

    def look(self) -> Server:
        """Return the server as it is now; raise HaproxyError if it is not there."""
        return self._all()[self.name]

    def _all(self) -> dict[str, Server]:
        """Return the servers of the backend; raise HaproxyError if this one is not there."""
        found = backends(self.ask)
        if self.backend not in found:
            raise HaproxyError(
                f"there is no backend {self.backend} with servers, only {', '.join(found) or 'none at all'}"
            )
        if self.name not in found[self.backend]:
            raise HaproxyError(
                f"backend {self.backend} has no server {self.name}, only {', '.join(found[self.backend])}"
            )
        return found[self.backend]

    def _backends_of(self, server: Server) -> list[str]:
        return [self.backend, server.companion] if server.companion else [self.backend]

    @property
    def mark(self) -> dict[str, Any] | None:
        """What is noted of a server that is out because of us: what it was ``found`` as, ``at`` when, ``by`` whom."""
        try:
            text = read_text(self.mark_path)
            noted = json.loads(text) if text else None
        except ValueError:
            noted = ""
        if noted is not None and not (isinstance(noted, dict) and noted.get("found") in (READY, DRAIN, MAINT)):
            raise HaproxyError(
                f"{self.mark_path} does not say what {self.name} was before it was taken out: have the balancer say what it "
                f"is to be, and remove that file"
            )
        return noted

    def refuse_too_few(self, together: Collection[str], least: int) -> None:
        """Raise Refused if fewer than *least* servers take requests without this one and those that leave *together*.

        Nothing is refused of a server that takes no requests anyway.
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
                f"without {', '.join(sorted(leaving))} the backend {self.backend} would have {_counted(len(usable), 'server')} "
                f"for requests, and asgi_maintain_min_servers is {least}: {others}"
            )

    def take_out(self, timeout: float, lingering: str, by: str = "") -> int:
        """Let the server get nothing new and wait until it has nothing left; return how many sessions were cut.

        *lingering* says what becomes of those that have not ended after *timeout* seconds; with REFUSE the server is as
        before, and Refused is raised. After a reload it may take longer than that, for the requests of former processes.
        """
        with self._unreloaded():
            before = self.look()
            ours = self.mark
            # what was in maintenance before is left as it is, and needs no mark
            if not before.out or (before.admin == DRAIN and ours is None):
                mark = {"found": before.admin, "at": time.strftime("%Y-%m-%d %H:%M"), "by": by}
                write_text(self.mark_path, json.dumps(mark) + "\n")
            if not before.out:
                self._tell(DRAIN)
        end = self.clock() + timeout
        server = self._wait_empty(end, also=_persists)
        # Only this keeps out those that a cookie or a stick table leads here, and it closes idle connections. Not at once,
        # as with `on-marked-down shutdown-sessions` it would cut what is under way.
        if server.admin != MAINT:
            with self._unreloaded():
                self._tell(MAINT)
            server = self._wait_empty(end)
        if server.sessions and lingering == REFUSE:
            age = oldest(self.ask("show sess"), self._backends_of(server), self.name)
            # with a mark of old it may have been found serving
            self._undo(before, keep_mark=before.out and ours is not None)
            raise Refused(
                f"{self.name} still has {_counted(server.sessions, 'session')} after {timeout:.0f} s"
                f"{', the oldest for ' + age if age else ''}: WebSockets, event streams, downloads or slow requests. "
                f"It goes on serving"
            )
        cut = self._cut(server) if server.sessions and lingering == CUT else 0
        # last, as HAProxy may have been reloaded while sessions ended
        self._wait_former()
        if self.look().admin != MAINT:
            raise HaproxyError(
                f"{self.name} was in maintenance and no longer is: somebody has told HAProxy otherwise meanwhile, or reloaded "
                f"or restarted it by hand"
            )
        return cut

    def _cut(self, server: Server) -> int:
        """End the sessions of *server*; return how many it had."""
        for backend in self._backends_of(server):
            self._order(f"shutdown sessions server {backend}/{self.name}")
        left = self._wait_empty(self.clock() + CUT_SECONDS)
        if left.sessions:
            raise HaproxyError(
                f"{self.name} still has {_counted(left.sessions, 'session')} after these were to be shut down"
            )
        return server.sessions

    def give_back(self, timeout: float) -> str:
        """Make the server what it was before it was taken out by us, and return that; "" if it was not.

        Nor is it any more if somebody has made it serve again, or HAProxy was started anew: then only the mark goes.
        It gets nothing before the health check has found it well, several times in a row where the configuration says so;
        raises Refused, and leaves it out, if that takes more than *timeout* seconds.
        """
        mark = self.mark
        if mark is None:
            return ""
        if not self.look().out:
            os.unlink(self.mark_path)
            return ""
        if mark["found"] == READY:
            self._check_anew(timeout)
        with self._unreloaded():
            self._tell(mark["found"])
            os.unlink(self.mark_path)
        return mark["found"]

    def _check_anew(self, timeout: float) -> None:
        """Wait until the health check has passed. After maintenance HAProxy takes a server for well until a check fails."""
        # one right after the other: those with a cookie come as soon as it only drains
        with self._unreloaded():
            self._tell(DRAIN)
            if not self.look().checked:
                return
            self._order(f"set server {self.backend}/{self.name} health down")
        end = self.clock() + timeout
        server = self.look()
        while not server.running:
            if self.clock() >= end:
                with self._unreloaded():
                    self._tell(MAINT)
                raise Refused(
                    f"{self.name} is not well by the balancer's health check after {timeout:.0f} s: {server.status}"
                )
            self.sleep(POLL_SECONDS)
            server = self.look()

    def _wait_empty(self, end: float, also: Callable[[Server, Server], bool] = lambda first, now: False) -> Server:
        """Wait until the server has no session, or *also* holds, or *end* has come; return what it is then."""
        first = server = self.look()
        while server.sessions and not also(first, server) and self.clock() < end:
            self.sleep(POLL_SECONDS)
            server = self.look()
        return server

    def _wait_former(self) -> None:
        """Wait until no process that a reload has left sends requests by what it was told before.

        It may hold WebSockets for hours, and is not waited for longer than it can get other requests.
        """
        worker, age = self._worker()
        processes = self.processes()
        former = {pid for pid, parent in processes.items() if pid != worker and parent == processes.get(worker)}
        end = self.clock() + KEEP_ALIVE_SECONDS + STOPPING_SECONDS - age
        while self.clock() < end and not former.isdisjoint(self.processes()):
            self.sleep(FORMER_POLL_SECONDS)

    def _worker(self) -> tuple[int, int]:
        """Return the process that answers, and for how many seconds it has been there."""
        answer = self.ask("show info")
        said = dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)
        try:
            return int(said["Pid"]), int(said["Uptime_sec"])
        except (KeyError, ValueError):
            raise HaproxyError(f"'show info' was answered: {answer.strip() or 'nothing'}") from None

    def _undo(self, before: Server, keep_mark: bool) -> None:
        with self._unreloaded():
            self._tell(before.admin)
            if not keep_mark and self.mark is not None:
                os.unlink(self.mark_path)

    @contextlib.contextmanager
    def _unreloaded(self) -> Iterator[None]:
        """Keep reloads of HAProxy away: what it is told between saving its state and handing over is lost.

        Not to be held while something is waited for, as others would wait as long.
        """
        try:
            with locked(self.lock, "balancer_server", LOCK_SECONDS):
                yield
        except Locked as exc:
            raise HaproxyError(f"another task has been changing HAProxy for {LOCK_SECONDS} s: {exc}") from exc

    def _tell(self, admin: str) -> None:
        """Have the server be *admin*, and see that it is; reloads have to be kept away meanwhile."""
        self._order(f"set server {self.backend}/{self.name} state {admin}")
        now = self.look()
        if now.told != admin:
            raise HaproxyError(f"{self.name} was to be in state {admin}, but HAProxy has it in state {now.told}")

    def _order(self, command: str) -> None:
        answer = self.ask(command).strip()
        if answer:
            raise HaproxyError(f"{command!r} was answered: {answer}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _persists(first: Server, now: Server) -> bool:
    """Whether a server that drains gets sessions all the same: cookies and stick tables lead there."""
    return now.total > first.total
