"""The playbook maintenance_page.yml."""

from __future__ import annotations

import re

import pytest

PAGE = "<!doctype html><title>{{ not a template }}</title><p>Moving house.</p>"
EXEMPT = {"X-Forwarded-For": "198.51.100.7"}


@pytest.fixture
def switch(features, playbook):
    """Return a function that runs the playbook and returns the number of changes."""

    def run(*options, **variables):
        output = playbook.succeeds("maintenance_page", "--limit", features.inventory_name, *options, **variables)
        return int(re.search(r"changed=(\d+)", output)[1])

    yield run
    run(asgi_maintenance="off")


def test_maintenance_page_is_switched_on_and_off(features, switch, playbook, tmp_path):
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

    # The health check of a balancer, and an address that is exempt from maintenance.
    assert features.ask("/up").status == 200
    assert [features.ask(path, headers=EXEMPT).status for path in ("/", "/files/page.js")] == [200, 200]

    # A path that nginx and the app interpret differently does not bypass maintenance.
    for path in ("/up/../x", "/up/%2e%2e/x", "/up/..%2fx", "/up%0a", "/asgi-maintenance.html/../x"):
        assert features.ask(path).status == 400, path
    # not the health URL
    assert features.ask("//up").status == 503

    # The page stays on during another playbook.
    assert switch(asgi_maintenance="on", **own) == 0
    playbook.succeeds("site", "--limit", features.inventory_name, asgi_env={"CHANGED": "during maintenance"})
    assert features.ask("/").status == 503

    assert switch(asgi_maintenance="on") == 1
    assert "Back soon" in features.ask("/").text

    assert switch("--check", asgi_maintenance="off") == 1
    assert features.ask("/").status == 503
    assert switch(asgi_maintenance="off") == 1
    assert features.ask("/").status == 200
    assert switch(asgi_maintenance="off") == 0
    assert features.workers() == workers


def test_maintenance_page_has_no_url(features):
    assert features.ask("/asgi-maintenance.html").status == 404


@pytest.mark.parametrize("variables", [{}, {"asgi_maintenance": "maybe"}])
def test_missing_or_invalid_asgi_maintenance_fails(playbook, variables):
    output = playbook.fails("maintenance_page", **variables)
    assert "pass -e asgi_maintenance=on or =off" in output
