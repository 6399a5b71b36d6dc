# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions for a site, and the verdict on each observation: a cause of failure, or a note on what was checked instead."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.joined import Joined
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import servers
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_check import (
    ABSENT,
    APP,
    FAILED,
    MAINTENANCE,
    OK,
    REDIRECT,
    is_marked,
    judge,
    parse_mark,
    questions,
)
from samples import LIVE_SOCKET, SEEN

SITE = """
server {
    listen 80;
    listen [::]:80;
    server_name a.test *.b.test www.a.test;
    add_header X-Asgi-Site-Check $asgi_site_check always;
    location / { return 308 https://$host$request_uri; }
}
server {
    listen 8443 ssl http2 proxy_protocol;
    listen [::]:8443 ssl http2 proxy_protocol;
    listen 8443 quic;
    server_name www.a.test;
    add_header X-Asgi-Site-Check $asgi_site_check always;
    ssl_certificate /etc/asgi/hello/tls/live.pem;
    location / { return 308 https://a.test:8443$request_uri; }
}
server { listen 127.0.0.1:9000; server_name _; location / { return 404; } }
server { listen 80; server_name somebodys.test; location / { proxy_pass http://127.0.0.1:9000; } }
server {
    listen 8443 ssl http2 proxy_protocol;
    listen [::]:8443 ssl http2 proxy_protocol;
    listen 8443 quic;
    server_name a.test *.b.test;
    ssl_certificate /etc/asgi/hello/tls/live.pem;
    add_header X-Asgi-Site-Check $asgi_site_check always;
    location / { proxy_pass http://asgi_hello; }
}
"""

CONFIG = {
    "fault": "",
    "loads_site": True,
    "servers": [
        {"file": "/etc/nginx/conf.d/asgi-hello.conf", "names": ["a.test"], "listens": [["*", 443]]},
        {"file": "/etc/nginx/conf.d/other.conf", "names": ["other.test"], "listens": [["*", 443]]},
    ],
}
NOT_OURS = {"mark": None, "status": 404, "ours": False}
BY_NGINX = {"server": "a.test", "upstream": "", "status": None}


def seen(answer=None, question=None, config=None, **changes):
    """Return SEEN with changes; dictionaries are merged."""
    found = copy.deepcopy(SEEN)
    found["responses"][0]["answer"].update(answer or {})
    found["responses"][0]["question"].update(question or {})
    if config is not None:
        found["config"] = {**CONFIG, **config}
    for name, value in changes.items():
        found[name] = {**found[name], **value} if isinstance(value, dict) else value
    return found


def rival(names, listens):
    return {"servers": [*CONFIG["servers"], {"file": "/etc/nginx/sites-enabled/x", "names": names, "listens": listens}]}


def test_questions_for_a_site():
    found = questions("hello", SITE)

    assert [(each.kind, each.name, each.port, each.tls, each.ipv6) for each in found if not each.ipv6] == [
        (REDIRECT, "a.test", 80, False, False),
        (REDIRECT, "site-check.b.test", 80, False, False),
        (REDIRECT, "www.a.test", 80, False, False),
        (REDIRECT, "www.a.test", 8443, True, False),
        (APP, "a.test", 8443, True, False),
        (APP, "site-check.b.test", 8443, True, False),
    ]
    # each question is repeated over IPv6, but not over HTTP/3
    assert len(found) == 12
    assert {each.proxy_protocol for each in found if each.port == 8443} == {True}
    # nginx identifies a server by its first name
    assert {(each.name, each.server) for each in found if each.kind == APP} == {
        ("a.test", "a.test"),
        ("site-check.b.test", "a.test"),
    }
    assert [each.url for each in found if each.first] == ["https://a.test:8443/"] * 2
    assert is_marked(SITE)


def test_a_server_for_balancers_without_tls_redirects_this_host():
    text = SITE.partition("\nserver {")[0] + "\nserver {" + SITE.rpartition("\nserver {")[2]
    text = text.replace("    server_name a.test", "    listen 80 proxy_protocol;\n    server_name a.test")
    found = {(each.kind, each.port, each.tls, each.first) for each in questions("hello", text) if each.name == "a.test"}
    assert found == {(APP, 8443, True, True), (REDIRECT, 80, False, False)}
    assert {each.port for each in questions("hello", text, MAINTENANCE)} == {8443}


JOINED = """
server {
    listen 443 ssl;
    listen 80;
    server_name a.test b.test;
    ssl_certificate /etc/asgi/shop/tls/live.pem;
    location ^~ /api/ { location ~ ^/api/ { proxy_pass http://asgi_hello$asgi_hello_target; } }
    location / { proxy_pass http://asgi_shop; }
}
server { listen 443 ssl; server_name c.test; location / { proxy_pass http://asgi_shop; } }
"""
PLACE = Joined("/api", "b.test", True)


def test_questions_for_an_app_with_a_path_of_another_site():
    found = questions("hello", "upstream asgi_hello {}", place=PLACE, others=servers(JOINED))
    assert [(each.kind, each.name, each.server, each.port, each.first) for each in found] == [
        (APP, "b.test", "a.test", 443, True)
    ]
    assert questions("hello", "", place=PLACE) == []


def test_an_app_whose_name_has_no_site_yet_is_absent():
    seen = copy.deepcopy(SEEN)
    seen["site"]["place"], seen["responses"] = PLACE._asdict(), []
    found = judge(seen)
    assert (found.verdict, found.causes) == (ABSENT, [])
    assert "no site of this host serves b.test yet" in found.notes[0]
    seen["slot"]["fault"] = "hello@blue.service is failed"
    assert judge(seen).verdict == FAILED


def test_a_reserved_path_without_an_app_is_a_note():
    seen = copy.deepcopy(SEEN)
    seen["site"]["vacant"] = ["/later"]
    found = judge(seen)
    assert found.verdict == OK
    assert any("nginx answers 404 below /later" in note for note in found.notes)


def test_a_location_below_the_path_of_another_app_is_a_note():
    seen = copy.deepcopy(SEEN)
    seen["site"]["overlaps"] = [("/api/admin", "/api", "tiles")]
    found = judge(seen)
    assert found.verdict == OK
    assert any("a location for /api/admin, but /api belongs to the app tiles" in note for note in found.notes)


def test_a_sample_name_does_not_decide_about_the_release():
    """An app may accept only the names of its tenants, and reject the sample name of a wildcard."""
    text = "server { listen 443 ssl; server_name *.b.test; location / { proxy_pass http://asgi_hello$request_uri; } }"
    [found] = questions("hello", text)
    assert (found.kind, found.name, found.server, found.first) == (APP, "site-check.b.test", "*.b.test", False)
    assert questions("hell", text) == questions("hello-2", text) == []
    unknown = {"status": 404, "mark": {"server": "*.b.test", "upstream": LIVE_SOCKET, "status": 404}}
    assert judge(seen(question=found._asdict(), answer=unknown)).verdict == OK


def test_only_app_names_have_questions_for_visitors():
    assert {(each.kind, each.port) for each in questions("hello", SITE, MAINTENANCE)} == {(MAINTENANCE, 8443)}


def test_questions_for_a_site_of_an_older_version():
    old = SITE.replace("add_header X-Asgi-Site-Check $asgi_site_check always;", "")
    assert {each.kind for each in questions("hello", old)} == {APP}
    assert not is_marked(old)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"a.test|{LIVE_SOCKET}|200", {"server": "a.test", "upstream": LIVE_SOCKET, "status": 200}),
        (f"a.test|{LIVE_SOCKET}, {LIVE_SOCKET}|502, 200", {"server": "a.test", "upstream": LIVE_SOCKET, "status": 200}),
        (f"a.test|127.0.0.1:1, 127.0.0.1:2 : {LIVE_SOCKET}|502, 502 : 404", {"server": "a.test", "upstream": LIVE_SOCKET, "status": 404}),
        ("a.test||", BY_NGINX),
        (f"a.test|{LIVE_SOCKET}|-", {"server": "a.test", "upstream": LIVE_SOCKET, "status": None}),
        ("1", None),
        (None, None),
    ],
)  # fmt: skip
def test_mark(value, expected):
    assert parse_mark(value) == expected


@pytest.mark.parametrize(
    "found",
    [
        seen(),
        seen(answer={"mark": {"server": "a.test", "upstream": LIVE_SOCKET, "status": 404}}, question={"first": False}),
        # a location with its own headers lacks the mark; another question has identified the app's server
        seen(answer={"mark": None, "ours": True}),
        seen(answer={"status": 308, "mark": BY_NGINX}, question={"kind": REDIRECT}),
        seen(answer={"status": 503, "mark": BY_NGINX}, question={"kind": MAINTENANCE}, expect=MAINTENANCE),
        # the app may be stopped while visitors get the maintenance page
        seen(
            answer={"status": 503, "mark": BY_NGINX},
            question={"kind": MAINTENANCE},
            expect=MAINTENANCE,
            slot={"fault": "hello@green.service is inactive"},
        ),
        # an older version wrote the site, without the mark
        seen(answer={"mark": None}, site={"marked": False}),
        # a separate check of doctor reports an unreadable certificate
        seen(answer={"wanted_certificate": None}),
    ],
    ids="served other-name own-headers redirect maintenance maintenance-app-stopped unmarked no-certificate".split(),
)
def test_a_healthy_site(found):
    assert judge(found) == (OK, [], [])


def test_a_host_without_a_site_is_absent():
    judgement = judge(seen(site={"there": False}))
    assert (judgement.verdict, judgement.causes) == (ABSENT, [])
    assert "no site for hello" in judgement.notes[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 400, "body": "400 No required SSL certificate was sent"}, "400 (a client certificate is required)"),
        ({"status": 401}, "401 (a password is required)"),
        ({"status": 403}, "403 (an access rule)"),
        ({"status": 429}, "429 (a rate limit)"),
        ({"status": 503}, "503 (a limit or a rule)"),
        ({"status": 302}, "302;"),
        ({"status": 404}, "404;"),
    ],
)
def test_responses_of_nginx_itself_cause_a_note(answer, words):
    judgement = judge(seen(answer={**answer, "mark": BY_NGINX}))

    assert (judgement.verdict, judgement.causes) == (OK, [])
    [note] = judgement.notes
    assert "GET /health for a.test is answered by nginx itself" in note
    assert words in note
    assert "slot green answers on its own socket, which nginx's workers (www-data) may open" in note


def test_a_required_client_certificate_hides_the_maintenance_page():
    found = seen(
        answer={"status": 400, "body": "No required SSL certificate was sent", "mark": BY_NGINX},
        question={"kind": MAINTENANCE},
        expect=MAINTENANCE,
    )
    judgement = judge(found)
    assert judgement.verdict == OK
    assert "was not checked" in judgement.notes[0]


def test_another_upstream_causes_a_note():
    judgement = judge(seen(answer={"mark": {"server": "a.test", "upstream": "127.0.0.1:9000", "status": 200}}))
    assert judgement.verdict == OK
    assert "by 127.0.0.1:9000" in judgement.notes[0]


CAUSES = {
    "the slot does not answer": (
        seen(slot={"fault": "FileNotFoundError: no such file"}, answer={"status": 502}),
        "the live slot green does not answer on its own socket: FileNotFoundError",
        "site.yml repairs",
    ),
    "nothing is live": (seen(live=None), "hello is not live on this host", "run site.yml"),
    "nginx is stopped": (
        seen(nginx={"running": False}, responses=[], config={"fault": ""}),
        "nginx is not running",
        "journalctl --unit=nginx.service",
    ),
    "nginx cannot start": (
        seen(
            nginx={"running": False},
            responses=[],
            config={"fault": "[emerg] a duplicate default server for 0.0.0.0:443"},
        ),
        "rejects its configuration: [emerg] a duplicate default server",
        "fix it",
    ),
    "another user": (
        seen(
            nginx={
                "user": "nobody",
                "opens": {"socket": "/run/hello/green.sock (root:www-data 0660): Permission denied"},
            },
            answer={"status": 502, "mark": {"server": "a.test", "upstream": LIVE_SOCKET, "status": 502}},
        ),
        "nginx's workers run as nobody and may not connect to the live slot: /run/hello/green.sock (root:www-data 0660)",
        "`user www-data;` in /etc/nginx/nginx.conf and restart nginx",
    ),
    "no include": (
        seen(
            answer={"status": None, "fault": "the TLS handshake fails: TLSV1_UNRECOGNIZED_NAME", "mark": None},
            config={"loads_site": False},
        ),
        "nginx does not read /etc/nginx/conf.d/asgi-hello.conf",
        "put `include /etc/nginx/conf.d/*.conf;` into the http block",
    ),
    "a name that another site has": (
        seen(answer=NOT_OURS, config=rival(["a.test"], [["*", 443]])),
        "/etc/nginx/sites-enabled/x serves a.test, too, and nginx reads it first",
        "remove the name from one",
    ),
    "a wildcard that another site has": (
        seen(answer=NOT_OURS, question={"name": "site-check.b.test"}, config=rival(["*.b.test"], [["*", 443]])),
        "/etc/nginx/sites-enabled/x serves *.b.test, too",
        "remove the name from one",
    ),
    "an address that another site has": (
        seen(answer=NOT_OURS, config=rival(["default"], [["192.0.2.9", 443]])),
        "/etc/nginx/sites-enabled/x listens on 192.0.2.9 explicitly",
        "listen on the port only",
    ),
    "an IPv6 address that another site has": (
        seen(answer={**NOT_OURS, "address": "2001:db8::9"}, config=rival(["x"], [["[2001:db8::9]", 443]])),
        "listens on [2001:db8::9] explicitly",
        "listen on the port only",
    ),
    "nothing listens": (
        seen(answer={"fault": "ConnectionRefusedError: [Errno 111] Connection refused", "mark": None}, config={}),
        "nginx does not listen there",
        "systemctl restart nginx",
    ),
    "closed": (
        seen(answer={"fault": "RemoteDisconnected: Remote end closed connection", "mark": None}, config={}),
        "nginx closes the connection without an answer",
        "exempt 127.0.0.1",
    ),
    "not loaded": (
        seen(answer=NOT_OURS, config={}),
        "nginx has not loaded /etc/nginx/conf.d/asgi-hello.conf as it is on disk",
        "reload nginx",
    ),
    "not loaded and broken": (
        seen(answer=NOT_OURS, config={"fault": "[emerg] a duplicate default server"}),
        "nginx rejects the configuration on disk: [emerg] a duplicate default server",
        "fix it",
    ),
    "nginx fails": (seen(answer={"status": 500, "mark": BY_NGINX}), "nginx answers 500", "hello.error.log"),
    "nginx reaches nothing": (
        seen(answer={"status": 502, "mark": {"server": "a.test", "upstream": LIVE_SOCKET, "status": 502}}),
        "nginx answers 502 to GET /health for a.test",
        "/var/log/nginx/hello.error.log",
    ),
    "the release refuses the name": (
        seen(
            answer={
                "status": 400,
                "body": "Invalid host",
                "mark": {"server": "a.test", "upstream": LIVE_SOCKET, "status": 400},
            }
        ),
        "the live slot answers 400 to GET /health for a.test through nginx (Invalid host), expected 200",
        "allowed hosts",
    ),
    "the release fails for another name": (
        seen(
            question={"first": False, "name": "b.test"},
            answer={"status": 500, "mark": {"server": "a.test", "upstream": LIVE_SOCKET, "status": 500}},
        ),
        "the live slot answers 500 to GET /health for b.test",
        "allowed hosts",
    ),
    "a redirect that another site answers": (
        seen(
            answer=NOT_OURS,
            question={"kind": REDIRECT, "port": 80, "tls": False},
            config=rival(["a.test"], [["*", 80]]),
        ),
        "http://a.test/ (192.0.2.9): answered with 404 by another site; /etc/nginx/sites-enabled/x serves a.test",
        "remove the name",
    ),
    "another certificate": (
        seen(answer={"certificate": "bb" * 32}),
        "https://a.test/: nginx serves another certificate (bbbbbbbbbbbbbbbb) than the one in /etc/asgi/hello/tls/live.pem",
        "systemctl reload nginx",
    ),
    "an older site that answers badly": (
        seen(answer={"status": 400, "mark": None}, site={"marked": False}),
        "the response does not show which site answered",
        "run site.yml",
    ),
    "a site file without a server": (seen(responses=[]), "has no server for hello", "run site.yml"),
    "maintenance that visitors do not see": (
        seen(answer={"status": 200}, question={"kind": MAINTENANCE}, expect=MAINTENANCE),
        "a visitor of https://a.test/ gets 200 and does not see the maintenance page",
        "asgi_proxy_maintenance_allow",
    ),
    "a page that nginx may not read": (
        seen(
            answer={"status": 200},
            question={"kind": MAINTENANCE},
            expect=MAINTENANCE,
            nginx={"opens": {"page": "no search permission on /etc/asgi (root:root 0700)"}},
        ),
        "may not read the maintenance page, so visitors do not get it: no search permission on /etc/asgi (root:root 0700)",
        "chmod 0755",
    ),
}


@pytest.mark.parametrize(("found", "words", "remedy"), CAUSES.values(), ids=CAUSES)
def test_each_cause_has_a_remedy(found, words, remedy):
    judgement = judge(found)

    assert judgement.verdict == FAILED
    [cause] = judgement.causes
    assert words in cause.text
    assert remedy in cause.remedy
    assert judgement.lines() == [f"{cause.text} -> {cause.remedy}"]


def test_a_site_on_another_port_does_not_interfere():
    judgement = judge(seen(answer=NOT_OURS, config=rival(["a.test"], [["*", 8443]])))
    assert "has not loaded" in judgement.causes[0].found


def test_names_with_the_same_cause_are_combined():
    found = seen(answer=NOT_OURS, config={"loads_site": False})
    found["responses"] += copy.deepcopy(found["responses"])
    found["responses"][1]["question"].update(name="b.test", port=8443)
    found["responses"] += copy.deepcopy(found["responses"])

    [cause] = judge(found).causes
    assert cause.text == (
        "https://a.test/ (192.0.2.9), https://b.test:8443/ (192.0.2.9): answered with 404 by another site; "
        "nginx does not read /etc/nginx/conf.d/asgi-hello.conf"
    )
