# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Determine whether a site answers from the live slot, and the cause if it does not: define the requests and interpret the responses.

site_requests.py sends the requests. They go through nginx like those of a client: over TLS, for each name of the site. If a request from
this host contains the header REQUEST_HEADER, nginx adds the header MARK to the response: the server block that answered, the socket of the
upstream, and the upstream's status (asgi-00-shared.conf). A response without MARK came from another site.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import NGINX_SITES, layout
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.joined import Joined
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import Server, servers

MARK = "X-Asgi-Site-Check"
REQUEST_HEADER = MARK
SELF, VISITOR = "self", "visitor"  # values of REQUEST_HEADER: request of this host, or of a remote visitor

# Kinds of requests (class Question), and of the server blocks that must answer them.
APP, REDIRECT, MAINTENANCE = "app", "redirect", "maintenance"
# An internal path of each site. nginx itself answers requests for it, with MARK, regardless of the site's locations.
OWN_PATH = "/asgi-maintenance.html"
VISITOR_PATH = "/asgi-site-check"  # not asgi_proxy_health_url, which reaches the app even during maintenance
SAMPLE_LABEL = "site-check"  # replaces the asterisk of a wildcard name

OK, FAILED = "ok", "failed"
# Verdicts without requests: there is no site, or check mode predicts a change to it.
ABSENT, SKIPPED = "absent", "skipped"

REDIRECTS = (301, 302, 303, 307, 308)
CERTIFICATE = "certificate"  # the kind of a Cause


class Question(NamedTuple):
    """One request: ``name`` is the requested server name, ``server`` the first name of the server block that must answer."""

    kind: str
    name: str
    server: str
    port: int
    tls: bool
    proxy_protocol: bool
    ipv6: bool
    first: bool  # whether the response for this name decides on the health of the release
    certificate: str | None  # path of the certificate that nginx must serve

    @property
    def url(self) -> str:
        scheme, usual = ("https", 443) if self.tls else ("http", 80)
        return f"{scheme}://{self.name}{'' if self.port == usual else f':{self.port}'}/"


class Cause(NamedTuple):
    """A reason why the live slot does not answer, with the remedy; ``about`` lists the affected requests."""

    kind: str
    found: str
    remedy: str
    about: tuple = ()

    @property
    def text(self) -> str:
        return f"{', '.join(self.about)}: {self.found}" if self.about else self.found

    def __str__(self) -> str:
        return f"{self.text} -> {self.remedy}"


class Judgement(NamedTuple):
    """The overall result. ``notes`` list what could not be verified because of nginx's rules, and what was verified instead."""

    verdict: str
    causes: list
    notes: list

    @property
    def failed(self) -> bool:
        return self.verdict == FAILED

    def lines(self) -> list[str]:
        return [str(cause) for cause in self.causes]


def is_marked(text: str) -> bool:
    """Return whether the *text* of a site sets MARK. Sites written by older versions do not."""
    return f"add_header {MARK} " in text


def questions(
    app: str, text: str, expect: str = APP, place: Joined | None = None, others: Iterable[Server] = ()
) -> list[Question]:
    """Return the questions for the site *text* of *app*: for each of this collection's server blocks, one for each name, port and family.

    With *place*, the app has a path of another app's site, which is among the servers *others*.
    """
    found = []
    for server in others if place else servers(text):
        kind = _kind(server, app)
        if kind is None or ((expect == MAINTENANCE or place) and kind != APP):
            continue
        names = [name for name in server.names if not place or name == place.name]
        # Not a wildcard, because the app may reject its sample name.
        first = next((name for name in names if "*" not in name), None)
        secure = any("ssl" in listen.flags for listen in server.listens)
        certificate = next((each[0] for each in server.values("ssl_certificate") if each), None)
        for name in names:
            for listen in _one_of_each_family(server):
                tls = "ssl" in listen.flags
                # A server that also listens for plain HTTP accepts it from load balancers only, and redirects this host.
                of_listen = kind if tls or kind != APP or not secure else REDIRECT
                if (expect == MAINTENANCE or place) and of_listen != APP:
                    continue
                found.append(
                    Question(
                        kind=MAINTENANCE if expect == MAINTENANCE else of_listen,
                        name=name.replace("*", SAMPLE_LABEL, 1).lower(),
                        server=server.names[0],
                        port=listen.port,
                        tls=tls,
                        proxy_protocol="proxy_protocol" in listen.flags,
                        ipv6=listen.ipv6,
                        first=of_listen == APP and name == first,
                        certificate=certificate,
                    )
                )
    return found


def _kind(server: Server, app: str) -> str | None:
    upstream = re.compile(rf"http://asgi_{re.escape(app)}(?![\w-])")
    if any(upstream.match(arguments[0]) for arguments in server.nested("proxy_pass") if arguments):
        return APP
    if any(arguments[:1] == (MARK,) for arguments in server.values("add_header")):
        return REDIRECT
    return None


def _one_of_each_family(server: Server) -> list:
    tcp = [listen for listen in server.listens if not listen.udp]
    return list({(listen.port, listen.ipv6): listen for listen in tcp}.values())


def parse_mark(value: str | None) -> dict | None:
    """Parse the *value* of MARK: the server block, the last upstream, and the status of that upstream."""
    parts = (value or "").split("|")
    if len(parts) != 3:
        return None
    upstream, status = (_last(part) for part in parts[1:])
    return {"server": parts[0], "upstream": upstream, "status": int(status) if status.isdigit() else None}


def _last(value: str) -> str:
    """Return the last of nginx's values for several upstreams: ``unix:/a, unix:/b : 502, 200``."""
    last = value.replace(" : ", ", ").split(", ")[-1].strip()
    return "" if last == "-" else last


def is_ours(question: Question, answer: dict) -> bool:
    """Return whether *answer* came from the server block that must answer *question*."""
    mark = answer.get("mark")
    return bool(mark) and mark["server"] == question.server


def judge(seen: dict[str, Any]) -> Judgement:
    """Judge *seen*, the observations of site_requests.Site.observe()."""
    if not seen["site"]["there"]:
        return Judgement(ABSENT, [], [f"this host has no site for {seen['app']} yet: site.yml publishes it"])
    down = _nginx_down(seen)
    if down:
        return Judgement(FAILED, [down], [])
    checks = [_page_unreadable(seen)] if seen["expect"] == MAINTENANCE else [_slot_down(seen), _socket_closed(seen)]
    causes = [cause for cause in checks if cause]
    if not seen["responses"] and seen["site"].get("place") and not causes:
        name = seen["site"]["place"]["name"]
        note = f"no site of this host serves {name} yet, so clients cannot reach {seen['app']}: deploy the app that owns the name"
        return Judgement(ABSENT, [], [note])
    if not seen["responses"] and not seen["site"].get("place"):
        causes.append(
            Cause("site", f"{seen['site']['path']} has no server for {seen['app']}", "run site.yml, which writes it")
        )
    judged = [_judged(Question(**each["question"]), each["answer"], seen) for each in seen["responses"]]
    # These kinds would only repeat the causes above for each name.
    follows = ("upstream", "unmarked", "visitors") if causes else ()
    causes += [cause for cause, _note in judged if cause and cause.kind not in follows]
    notes = [note for _cause, note in judged if note]
    notes += [
        f"nginx answers 404 below {path}, because no app on this host has this asgi_proxy_path: deploy that app"
        for path in seen["site"].get("vacant", ())
    ]
    notes += [
        f"the site has a location for {url}, but {path} belongs to the app {app}: move the settings of {url} to the variables of {app}"
        for url, path, app in seen["site"].get("overlaps", ())
    ]
    return Judgement(FAILED if causes else OK, _merged(causes), list(dict.fromkeys(notes)))


def _merged(causes: list[Cause]) -> list[Cause]:
    """Merge causes that differ only in their requests, so that each cause is listed once with all its requests."""
    about: dict[Cause, list] = {}
    for cause in causes:
        about.setdefault(cause._replace(about=()), []).extend(cause.about)
    return [cause._replace(about=tuple(dict.fromkeys(requests))) for cause, requests in about.items()]


def _nginx_down(seen: dict) -> Cause | None:
    if seen["nginx"]["running"]:
        return None
    fault = (seen["config"] or {}).get("fault")
    if fault:
        return Cause(
            "nginx", f"nginx is not running, and rejects its configuration: {fault}", "fix it, and run site.yml"
        )
    return Cause("nginx", "nginx is not running", "see journalctl --unit=nginx.service; site.yml starts it")


def _slot_down(seen: dict) -> Cause | None:
    if seen["live"] is None:
        return Cause("slot", f"{seen['app']} is not live on this host", "run site.yml")
    if not seen["slot"]["fault"]:
        return None
    return Cause(
        "slot", f"the live slot {seen['live']} does not answer on its own socket: {seen['slot']['fault']}",
        f"see journalctl --unit={seen['slot']['unit']}; site.yml repairs a socket or service that is gone",
    )  # fmt: skip


def _socket_closed(seen: dict) -> Cause | None:
    fault, user = seen["nginx"]["opens"].get("socket"), seen["nginx"]["user"]
    if not fault or seen["slot"]["fault"]:
        return None
    return Cause(
        "user",
        f"nginx's workers run as {user} and may not connect to the live slot: {fault}",
        f"set `user www-data;` in /etc/nginx/nginx.conf and restart nginx, or restore the permissions: the socket belongs to "
        f"group www-data ({seen['slot']['socket']})",
    )


def _page_unreadable(seen: dict) -> Cause | None:
    fault, user = seen["nginx"]["opens"].get("page"), seen["nginx"]["user"]
    if not fault:
        return None
    return Cause(
        "page",
        f"nginx's workers run as {user} and may not read the maintenance page, so visitors do not get it: {fault}",
        "make the page readable for that user, and the directories above it accessible (chmod 0755)",
    )


def _judged(question: Question, answer: dict, seen: dict) -> tuple:
    """Return the cause that *answer* reveals and a note on what it could not verify, each None if there is none."""
    marked = seen["site"]["marked"]
    ours = is_ours(question, answer) or answer.get("ours", False)
    if "fault" in answer or (marked and not ours):
        return _not_ours(question, answer, seen), None
    cause = _certificate_of(question, answer)
    if cause:
        return cause, None
    if question.kind == MAINTENANCE:
        return _visitors(question, answer, marked)
    if question.kind == REDIRECT:
        return _redirected(question, answer)
    if not marked:
        return _unmarked(question, answer, seen)
    return _answered(question, answer, seen)


def _answered(question: Question, answer: dict, seen: dict) -> tuple:
    """Judge a response of the app's own server block."""
    mark, status = answer.get("mark"), answer["status"]
    request = f"GET {seen['path']} for {question.name}"
    if mark and mark["upstream"] == f"unix:{seen['live_socket']}":
        given = mark["status"]
        if given in (502, 504) or given is None:
            return _no_upstream(request, given or status, seen), None
        if (question.first and given not in seen["statuses"]) or given >= 500:
            wanted = " or ".join(map(str, seen["statuses"]))
            body = f" ({answer['body']})" if answer.get("body") else ""
            return Cause(
                "release", f"the live slot answers {given} to {request} through nginx{body}, expected {wanted}",
                "check the app's configuration for that name, for instance its allowed hosts",
            ), None  # fmt: skip
        return None, None
    if status in seen["statuses"] and not (mark and mark["upstream"]):
        # In a location whose snippet adds headers, nginx omits MARK.
        return None, None if mark is None else f"nginx answers {request} itself with {status}; {_shown_instead(seen)}"
    if status >= 500 and status != 503:
        return _no_upstream(request, status, seen), None
    by = f"by {mark['upstream']}" if mark and mark["upstream"] else "by nginx itself"
    return None, f"{request} is answered {by} with {status}{_reason(answer)}; {_shown_instead(seen)}"


def _no_upstream(request: str, status: int, seen: dict) -> Cause:
    log = layout(seen["app"])["error_log"]
    return Cause("upstream", f"nginx answers {status} to {request}", f"see {log} on the host for the cause")


def _shown_instead(seen: dict) -> str:
    return f"slot {seen['live']} answers on its own socket, which nginx's workers ({seen['nginx']['user']}) may open"


def _reason(answer: dict) -> str:
    status, body = answer["status"], answer.get("body", "")
    if status == 400 and "certificate" in body.lower():
        return " (a client certificate is required)"
    reasons = {401: "a password is required", 403: "an access rule", 429: "a rate limit", 503: "a limit or a rule"}
    return f" ({reasons[status]})" if status in reasons else ""


def _unmarked(question: Question, answer: dict, seen: dict) -> tuple:
    if answer["status"] in seen["statuses"]:
        return None, None
    return Cause(
        "unmarked",
        f"GET {seen['path']} for {question.name} is answered with {answer['status']}, and the response does not show which "
        f"site answered",
        "run site.yml, which writes the site of this version",
    ), None


def _redirected(question: Question, answer: dict) -> tuple:
    if answer["status"] in REDIRECTS:
        return None, None
    return None, f"{question.url} is answered with {answer['status']}{_reason(answer)} and does not redirect"


def _visitors(question: Question, answer: dict, marked: bool) -> tuple:
    mark, status = answer.get("mark"), answer["status"]
    if status == 503 and not (mark and mark["upstream"]):
        return None, None
    shown = f"a visitor of {question.url} gets {status}{_reason(answer)}"
    # A site of an older version does not support requests as a visitor. nginx checks client certificates before everything else.
    if not marked or (status == 400 and not (mark and mark["upstream"])):
        return None, f"{shown}, so whether others see the maintenance page was not checked"
    return Cause(
        "visitors",
        f"{shown} and does not see the maintenance page",
        "see asgi_proxy_maintenance_allow and the snippets of the site, or run site.yml",
    ), None


def _certificate_of(question: Question, answer: dict) -> Cause | None:
    served, wanted = answer.get("certificate"), answer.get("wanted_certificate")
    if not question.tls or served is None or wanted is None or served == wanted:
        return None
    return Cause(
        CERTIFICATE,
        f"nginx serves another certificate ({served[:16]}) than the one in {question.certificate} ({wanted[:16]}): it has not "
        f"loaded the file",
        "run site.yml, or systemctl reload nginx",
        (question.url,),
    )


def _not_ours(question: Question, answer: dict, seen: dict) -> Cause:
    """Return the cause if another server, or none, answered *question*."""
    observed = answer.get("fault") or f"answered with {answer['status']} by another site"
    config = seen["config"] or {"fault": "", "loads_site": True, "servers": []}
    path = seen["site"]["path"]

    def cause(kind: str, reason: str, remedy: str) -> Cause:
        return Cause(kind, f"{observed}; {reason}", remedy, (f"{question.url} ({answer['address']})",))

    if config["fault"]:
        return cause("nginx -t", f"nginx rejects the configuration on disk: {config['fault']}", "fix it")
    if not config["loads_site"]:
        return cause(
            "include",
            f"nginx does not read {path}",
            f"put `include {NGINX_SITES}/*.conf;` into the http block of /etc/nginx/nginx.conf, and reload nginx",
        )
    others = [
        server
        for server in config["servers"]
        if server["file"] != path and any(port == question.port for _address, port in server["listens"])
    ]
    wildcard = question.name.replace(f"{SAMPLE_LABEL}.", "*.", 1)
    same = _files(server for server in others if {question.name, wildcard} & set(server["names"]))
    if same:
        return cause(
            "rival", f"{same} serves {wildcard}, too, and nginx reads it first", "remove the name from one of them"
        )
    address = f"[{answer['address']}]" if ":" in answer["address"] else answer["address"]
    own = _files(server for server in others if [address, question.port] in server["listens"])
    if own:
        return cause(
            "rival",
            f"{own} listens on {address} explicitly, so nginx considers no other site there",
            "make it listen on the port only, like the other sites of the port",
        )
    fault = answer.get("fault", "")
    if "refused" in fault:
        return cause("port", "nginx does not listen there", "run site.yml, or systemctl restart nginx")
    if "RemoteDisconnected" in fault:
        return cause(
            "closed",
            "nginx closes the connection without an answer",
            "exempt 127.0.0.1 from the rule that does so (for instance `return 444`), or reload nginx",
        )
    return cause("unloaded", f"nginx has not loaded {path} as it is on disk", "systemctl reload nginx")


def _files(found: Iterable[dict]) -> str:
    return " and ".join(dict.fromkeys(server["file"] for server in found))
