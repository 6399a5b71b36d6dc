"""The playbook that switches a site off and on again."""

from __future__ import annotations

import re

import pytest

PAGE = "<!doctype html><title>{{ not a template }}</title><p>Moving house.</p>"
FRIEND = {"X-Forwarded-For": "198.51.100.7"}


@pytest.fixture
def switch(features, playbook):
    """Switch the site, and see that this succeeds; return how many changes were announced."""

    def run(*options, **variables):
        status, said = playbook("maintenance", "--limit", features.inventory_name, *options, **variables)
        assert status == 0, said
        return int(re.search(r"changed=(\d+)", said)[1])

    yield run
    run(asgi_maintenance="off")


def test_a_site_is_switched_off_and_on(features, switch, playbook, tmp_path):
    (tmp_path / "page.html").write_text(PAGE)
    own = {"asgi_proxy_maintenance_page": str(tmp_path / "page.html")}
    workers = features.workers()

    assert switch("--check", "--diff", asgi_maintenance="on", **own) == 1
    assert features.ask("/").status == 200

    assert switch(asgi_maintenance="on", **own) == 1
    for path, options in {
        "/": {},
        "/admin": {},
        "/files/page.js": {},
        "/color": {},
        "/upload": {"method": "POST", "body": b"x" * 200_000},
        "/ws": {"headers": {"Upgrade": "websocket", "Connection": "Upgrade"}},
        "/asgi-maintenance.html": {},
    }.items():
        answer = features.ask(path, **options)
        if path == "/asgi-maintenance.html":
            assert answer.status in (404, 503)
            continue
        assert (answer.status, answer.headers["Retry-After"]) == (503, "120"), path
        assert answer.text.strip() == PAGE
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        for name in ("X-Request-ID", "Strict-Transport-Security", "X-Content-Type-Options"):
            assert len(answer.headers.get_all(name)) == 1

    # a balancer's question, and people who are to see whether all is well
    assert features.ask("/up").status == 200
    assert [features.ask(path, headers=FRIEND).status for path in ("/", "/files/page.js")] == [200, 200]

    # what the inventory says is not what this playbook said
    assert switch(asgi_maintenance="on", **own) == 0
    status, said = playbook("site", "--limit", features.inventory_name, asgi_env={"CHANGED": "during maintenance"})
    assert status == 0, said
    assert features.ask("/").status == 503

    assert switch(asgi_maintenance="on") == 1
    assert "Back soon" in features.ask("/").text

    assert switch("--check", asgi_maintenance="off") == 1
    assert features.ask("/").status == 503
    assert switch(asgi_maintenance="off") == 1
    assert features.ask("/").status == 200
    assert switch(asgi_maintenance="off") == 0
    assert features.workers() == workers


def test_the_page_cannot_be_asked_for(features):
    assert features.ask("/asgi-maintenance.html").status == 404


@pytest.mark.parametrize("variables", [{}, {"asgi_maintenance": "maybe"}])
def test_what_is_wanted_must_be_said(playbook, variables):
    status, said = playbook("maintenance", **variables)
    assert status != 0
    assert "say -e asgi_maintenance=on or =off" in said
