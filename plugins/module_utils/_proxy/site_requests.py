# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send requests to a site of this host as a client does, and examine the path between nginx and the live slot.

site_check.py interprets the responses.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import http.client
import json
import os
import pwd
import re
import socket
import ssl
import time
from pathlib import Path
from typing import Any, Callable

from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import Probe, ask_over, exchange, wait_healthy
from ansible_collections.asgi.deploy.plugins.module_utils._app.workers import children
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import entry_name, read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import NGINX_SITES
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import joined
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import site_check as decide
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import (
    dumped_files,
    read_servers,
    servers,
    spellings,
)
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_site import error_lines
from ansible_collections.asgi.deploy.plugins.module_utils._tls.site_certificate import describe_certificate

NGINX = "/usr/sbin/nginx"
UNIT = "nginx.service"
SITES = Path(NGINX_SITES)
TIMEOUT = 5
PATIENCE = 5
BODY = 300
# documentation addresses: no packet is sent to them
ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class SiteConnection(http.client.HTTPConnection):
    """An HTTP connection to *address* of this host for *question*, with the loopback address as its source.

    The certificate is read but not verified. If nginx expects the PROXY protocol of a load balancer, the connection announces the loopback
    address as the client.
    """

    def __init__(self, question: decide.Question, address: str, timeout: float) -> None:
        super().__init__(question.name, question.port, timeout=timeout)
        self.question, self.address, self.certificate = question, address, None

    def connect(self) -> None:
        loopback = "::1" if ":" in self.address else "127.0.0.1"
        plain = socket.create_connection((self.address, self.port), self.timeout, source_address=(loopback, 0))
        try:
            if self.question.proxy_protocol:
                family = "TCP6" if ":" in self.address else "TCP4"
                line = f"PROXY {family} {loopback} {loopback} {plain.getsockname()[1]} {self.port}\r\n"
                plain.sendall(line.encode())
            self.sock = tls(plain, self.question.name) if self.question.tls else plain
        except BaseException:
            plain.close()
            raise
        if self.question.tls:
            self.certificate = digest(self.sock.getpeercert(binary_form=True))


def tls(plain: socket.socket, name: str) -> ssl.SSLSocket:
    """Return *plain* wrapped in TLS for *name*, without verifying the certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=name)


def digest(certificate: bytes | None) -> str | None:
    return hashlib.sha256(certificate).hexdigest() if certificate else None


def certificate_in(path: str | None) -> str | None:
    """Return the digest of the first certificate in the file *path*, None if there is none."""
    with contextlib.suppress(OSError, ValueError):
        text = read_text(path or "", errors="replace") or ""
        found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
        return digest(ssl.PEM_cert_to_DER_cert(found[0])) if found else None
    return None


def served_certificate(name: str, port: int, proxy_protocol: bool = False) -> str | None:
    """Return the digest of the certificate that *port* of this host serves for *name*; None if there is none."""
    connection = _connection(name, port, TIMEOUT, proxy_protocol)
    with contextlib.suppress(OSError), contextlib.closing(connection):
        connection.connect()
    return connection.certificate


def ask_proxy(name: str, port: int, probe: Probe) -> tuple:
    """Like :func:`probe.ask`, but through the proxy on this host that serves *name* on *port*."""
    return ask_over(_connection(name, port, probe.timeout), probe)


def _connection(name: str, port: int, timeout: float, proxy_protocol: bool = False) -> SiteConnection:
    question = decide.Question(decide.APP, name, name, port, True, proxy_protocol, False, True, None)
    return SiteConnection(question, LOOPBACK[socket.AF_INET], timeout)


def stale_names(text: str) -> list[str]:
    """Return the names in the site *text* for which nginx serves another certificate than the one in the file.

    Only names that this site answers count: if nginx reads another site with the same name first, that site has its own certificate.
    """
    found, address = [], addresses()[socket.AF_INET]
    # one name per server
    for question in {
        each.server: each for each in reversed(decide.questions("", text)) if each.tls and not each.ipv6
    }.values():
        answer = ask(question, address, decide.OWN_PATH, TIMEOUT)
        wanted = certificate_in(question.certificate)
        if wanted and answer["certificate"] != wanted and decide.is_ours(question, answer):
            found.append(question.name)
    return found


def outward_address(family: int) -> str | None:
    """Return the source address of this host's default route, to which remote clients connect; None if there is no such route."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as client:
        client.connect((ELSEWHERE[family], 9))
        return client.getsockname()[0]
    return None


def addresses() -> dict[int, str | None]:
    """Return the address to send requests to, by family; None for IPv6 if this host has no external IPv6 address."""
    ipv4, ipv6 = (outward_address(family) for family in (socket.AF_INET, socket.AF_INET6))
    return {socket.AF_INET: ipv4 or LOOPBACK[socket.AF_INET], socket.AF_INET6: ipv6}


def ask(question: decide.Question, address: str, path: str, timeout: float) -> dict[str, Any]:
    """Send the request of *question*; return the response (status, mark and others), or a ``fault`` if there is none."""
    connection = SiteConnection(question, address, timeout)
    usual = 443 if question.tls else 80
    headers = {
        "Host": question.name if question.port == usual else f"{question.name}:{question.port}",
        "Connection": "close",
        "User-Agent": "asgi.deploy site check",
        decide.REQUEST_HEADER: decide.VISITOR if question.kind == decide.MAINTENANCE else decide.SELF,
    }
    answer: dict[str, Any] = {"address": address}
    try:
        response, body = exchange(connection, path, headers, timeout, BODY)
        answer.update(
            status=response.status,
            mark=decide.parse_mark((response.headers.get_all(decide.MARK) or [None])[0]),
            body=" ".join(re.sub(r"<[^>]*>", " ", body).split())[:100],
        )
    except ssl.SSLError as exc:
        answer["fault"] = f"the TLS handshake fails: {exc.reason or exc}"
    except (OSError, http.client.HTTPException) as exc:
        answer["fault"] = f"{type(exc).__name__}: {exc}"
    answer["certificate"] = connection.certificate
    return answer


def worker_account(master: int) -> dict | None:
    """Return the user and the groups of an active worker of the nginx *master*; None if there is none."""
    for pid in sorted(children(master), reverse=True):
        with contextlib.suppress(OSError, KeyError, ValueError):
            command = read_text(f"/proc/{pid}/cmdline") or ""
            if "worker process" not in command or "shutting down" in command:
                continue
            status = dict(line.split(":", 1) for line in (read_text(f"/proc/{pid}/status") or "").splitlines())
            uid, gid = (int(status[key].split()[1]) for key in ("Uid", "Gid"))
            return {"uid": uid, "gid": gid, "groups": [int(each) for each in status["Groups"].split()]}
    return None


def faults_as(account: dict, actions: dict[str, Callable[[], str]]) -> dict[str, str]:
    """Run *actions* as the user of *account* in a child process, and return their results by name."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            if os.geteuid() == 0:
                os.setgroups(account["groups"])
                os.setresgid(*[account["gid"]] * 3)
                os.setresuid(*[account["uid"]] * 3)
            os.write(writer, json.dumps({name: action() for name, action in actions.items()}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        content = answer.read()
    os.waitpid(child, 0)
    return json.loads(content or b"{}")


def may_connect(path: str) -> str:
    """Return why this process may not connect to the unix socket *path*, "" if it may."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(TIMEOUT)
        try:
            client.connect(path)
        except (BlockingIOError, socket.timeout):
            pass  # the queue is full
        except OSError as exc:
            return _closed_directory(path) or f"{shown(path)}: {exc.strerror}"
    return ""


def may_read(path: str) -> str:
    """Return why this process may not read the file *path*, "" if it may or if the file does not exist."""
    try:
        with open(path, "rb"):
            return ""
    except FileNotFoundError:
        return ""
    except OSError as exc:
        return _closed_directory(path) or f"{shown(path)}: {exc.strerror}"


def _closed_directory(path: str) -> str:
    parts = path.split("/")[1:-1]
    for directory in ("/" + "/".join(parts[:count]) for count in range(1, len(parts) + 1)):
        if os.path.isdir(directory) and not os.access(directory, os.X_OK):
            return f"no search permission on {shown(directory)}"
    return ""


def shown(path: str) -> str:
    """Return *path* with its owner, group and mode."""
    try:
        found = os.stat(path)
    except OSError:
        return path
    return f"{path} ({entry_name(pwd.getpwuid, found.st_uid)}:{entry_name(grp.getgrgid, found.st_gid)} {found.st_mode & 0o7777:04o})"


class Site:
    """The site of *app* (an App of slots.py) on this host; *probe* is the health check of its release."""

    def __init__(self, app, run_command: Callable, probe: Probe, expect: str = decide.APP) -> None:
        self.app, self.paths, self.run = app, app.paths, run_command
        self.probe, self.expect = probe, expect

    def observe(self) -> dict[str, Any]:
        """Return the input of decide.judge()."""
        text = read_text(self.paths["nginx_site"], errors="replace")
        place, names = joined.parse(text), [name for each in servers(text or "") for name in each.names]
        seen: dict[str, Any] = {
            "app": self.paths["name"],
            "expect": self.expect,
            "path": place.url_path(self.probe.path) if place else self.probe.path,
            "statuses": list(self.probe.statuses),
            "live_socket": self.paths["live_socket"],
            "live": None,
            "slot": {"fault": "", "unit": "", "socket": ""},
            "site": {
                "path": self.paths["nginx_site"],
                "there": text is not None,
                "marked": bool(place) or decide.is_marked(text or ""),
                "place": place._asdict() if place else None,
                "vacant": joined.vacant(text or "", names, SITES),
                "overlaps": joined.overlaps(text or "", names, SITES),
            },
            "nginx": {"running": False, "user": "?", "opens": {}},
            "responses": [],
            "config": None,
        }
        if text is None:
            return seen
        self._observe_slot(seen)
        master = self._observe_nginx(seen)
        if master:
            self._ask_all(text, seen)
        questions = [(decide.Question(**each["question"]), each["answer"]) for each in seen["responses"]]
        ours = [decide.is_ours(question, answer) or answer.get("ours") for question, answer in questions]
        if not master or (seen["site"]["marked"] and not all(ours)) or any("fault" in each for _q, each in questions):
            seen["config"] = self._read_config()
        return seen

    def _observe_slot(self, seen: dict) -> None:
        state = self.app.state()
        seen["live"] = state.live
        if state.live is None:
            return
        paths = self.paths["slots"][state.live]
        seen["slot"] = {"fault": "", "unit": paths["service_unit"], "socket": paths["socket"]}
        stopped = [
            state.units[paths[unit]] for unit in ("socket_unit", "service_unit") if not state.units[paths[unit]].running
        ]
        if stopped:
            # Send no request, because a connection to the socket would start the service.
            seen["slot"]["fault"] = f"{stopped[0].name} is {stopped[0].active}"
        else:
            once = self.probe._replace(successes=1, deadline=0)
            fault = wait_healthy(self.paths["live_socket"], once)
            seen["slot"]["fault"] = self.app.hide(fault, state.live_pair) if fault else ""

    def _observe_nginx(self, seen: dict) -> int:
        """Return the process id of nginx's master, 0 if it does not run."""
        unit = self.app.systemd.show(UNIT)[UNIT]
        master = unit.main_pid if unit.active in ("active", "reloading") else 0
        seen["nginx"]["running"] = bool(master)
        account = worker_account(master) if master else None
        if account:
            seen["nginx"]["user"] = entry_name(pwd.getpwuid, account["uid"])
            socket_path, page = os.path.realpath(self.paths["live_socket"]), self.paths["maintenance_page"]
            actions = {"page": lambda: may_read(page)}
            if seen["live"] and not seen["slot"]["fault"]:
                actions["socket"] = lambda: may_connect(socket_path)
            seen["nginx"]["opens"] = faults_as(account, actions)
        return master

    def _ask_all(self, text: str, seen: dict) -> None:
        where, place = addresses(), joined.parse(text)
        timeout = min(self.probe.timeout, TIMEOUT)
        digests: dict[str | None, str | None] = {}
        own_path = f"{place.path if place else ''}{decide.OWN_PATH}"
        for question in self._questions(text, self.expect):
            address = where[socket.AF_INET6 if question.ipv6 else socket.AF_INET]
            if address is None:
                continue
            path = seen["path"]
            if question.kind == decide.MAINTENANCE:
                path = f"{place.path if place else ''}{decide.VISITOR_PATH}"
            answer = ask(question, address, path, timeout)
            if question.certificate not in digests:
                digests[question.certificate] = certificate_in(question.certificate)
            answer["wanted_certificate"] = digests[question.certificate]
            if "status" in answer and not decide.is_ours(question, answer) and seen["site"]["marked"]:
                answer["ours"] = decide.is_ours(question, ask(question, address, own_path, timeout))
            if answer.get("body"):
                answer["body"] = self.app.hide(answer["body"], self.app.live_pair())
            seen["responses"].append({"question": question._asdict(), "answer": answer})

    def _questions(self, text: str, expect: str = decide.APP) -> list[decide.Question]:
        place = joined.parse(text)
        return decide.questions(self.paths["name"], text, expect, place, read_servers() if place else ())

    def _read_config(self) -> dict[str, Any]:
        if not os.path.exists(NGINX):
            return {"fault": "there is no nginx on this host", "loads_site": False, "servers": []}
        status, out, err = self.run([NGINX, "-T", "-q"])
        files = dumped_files(out)
        return {
            "fault": error_lines(err or out, {}) if status else "",
            "loads_site": self.paths["nginx_site"] in files,
            "servers": [
                {
                    "file": file,
                    "names": sorted(set().union(*map(spellings, server.names))),
                    "listens": [[listen.address, listen.port] for listen in server.listens],
                }
                for file, text in files.items()
                for server in servers(text, file)
            ],
        }

    def wait(self, seconds: float) -> decide.Judgement:
        """Return the judgement of the site; retry for up to *seconds* while the judgement is a failure."""
        end = time.monotonic() + seconds
        while True:
            judgement = decide.judge(self.observe())
            if not judgement.failed or time.monotonic() >= end:
                return judgement
            time.sleep(0.2)

    def across(self, change: Callable, may_switch_back: bool = True) -> tuple:
        """Run *change*, which switches the traffic; return its result and the judgement of the site afterwards.

        *change* gets a function as its argument, and calls it after the switch and before it stops the old slot. If the site has stopped
        answering, the function returns a fault, and *change* switches back. If the site did not answer before the switch either, this is not
        a fault, so that a problem of nginx does not block a good release.
        """
        before = self._of_live().wait(0)
        judgements = []

        def verify() -> str:
            fault = wait_healthy(self.paths["live_socket"], self.probe)
            if fault:
                return fault
            judgements.append(self.wait(0 if before.failed else self.probe.deadline))
            if not may_switch_back or before.failed or not judgements[-1].failed:
                return ""
            return "\n".join(["the site answered before, and no longer does:", *judgements[-1].lines()])

        changed = change(verify)
        if self.app.dry and self.app.changes:
            return changed, decide.Judgement(decide.SKIPPED, [], ["not checked: this run would change the site first"])
        if not self.app.changes:
            return changed, before
        # Check again: while the old slot was running, nginx may have used an idle connection to it.
        return changed, self.wait(0 if judgements and judgements[-1].failed else PATIENCE)

    def _of_live(self) -> Site:
        """Return the same site with the health check of the release that is live now."""
        pair = self.app.live_pair()
        with contextlib.suppress(KeyError, TypeError, ValueError, OSError):
            return Site(self.app, self.run, self.app.probe_of(pair)) if pair else self
        return self

    def result(self, judgement: decide.Judgement) -> dict[str, Any]:
        """Return the module's result: the verdict and the facts of the site."""
        text = read_text(self.paths["nginx_site"], errors="replace") or ""
        place, questions = joined.parse(text), self._questions(text)
        first = next((question for question in questions if question.first), None)
        certificate = describe_certificate(self.run, first.certificate, time.time()) if first else None
        kind = ""
        if certificate:
            renewed = os.path.exists(self.paths["acme"]["renewal"]["hook"])
            kind = "self-signed" if not certificate["shared"] else "acme" if renewed else "provided"
        return {
            "verdict": judgement.verdict,
            "causes": judgement.lines(),
            "notes": judgement.notes,
            "url": f"{first.url.rstrip('/')}{place.path if place else ''}/" if first else None,
            "maintenance": os.path.exists(self.paths["maintenance_page"]),
            "certificate": {"kind": kind, "days": certificate["days"]} if certificate else None,
        }
