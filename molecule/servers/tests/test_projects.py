"""Projects behind their site: forms, a database, static files, and HTTPS detection."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from probe import ask
from servers.sites import MACHINE, SITES

pytestmark = pytest.mark.smoke


@pytest.fixture
def site(name):
    return SITES[name]


def visit(site, path="/", **request):
    return ask(site.server_name, MACHINE.port(443), path, **request)


def post(site, headers, **fields):
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Referer": f"https://{site.server_name}/",
        **headers,
    }
    return visit(site, method="POST", body=urlencode(fields).encode(), headers=headers)


@pytest.mark.parametrize("name", ["djangoasgi", "djangowsgi"])
def test_django(site):
    """The form has CSRF protection and writes to the database that the hook migrated. nginx serves the collected static files."""
    page = visit(site)
    assert f"https {site.server_name}" in page.text
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page.text).group(1)
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    assert "Secure" in page.headers["Set-Cookie"]

    assert post(site, {}, text="forged", csrfmiddlewaretoken=token).status == 403
    written = post(site, {"Cookie": cookie}, text="by molecule", csrfmiddlewaretoken=token)

    assert (written.status, written.headers["Location"]) == (302, "/")
    assert "<li>by molecule</li>" in visit(site).text
    assert "forged" not in visit(site).text
    path = re.search(r'href="(/static/[\w./]+)"', page.text).group(1)
    style = visit(site, path)
    assert (style.status, style.headers["Content-Type"].partition(";")[0]) == (200, "text/css")


@pytest.mark.parametrize("name", ["flask"])
def test_flask(site):
    assert f"https://{site.server_name}/" in visit(site).text

    assert post(site, {}, text="by molecule").status == 302
    assert "by molecule" in visit(site).text


@pytest.mark.parametrize("name", SITES)
def test_server_type(site):
    command = MACHINE.sh(f"tr '\\0' ' ' </proc/{site.master()}/cmdline")
    configuration = MACHINE.sh(f"ls /srv/{site.app}/slots/{site.live}/config")
    if site.app == "uvicorn":
        assert command.strip().endswith("config/uvicorn.conf.py")
        assert "gunicorn" not in configuration
        assert len(site.workers()) == 0
    else:
        assert "-m gunicorn" in command or "gunicorn: master" in command
        assert len(site.workers()) == 2


@pytest.mark.parametrize("name", SITES)
def test_oom_policy_keeps_the_service(site):
    """Only the setting is checked, because these containers have no memory limit."""
    assert MACHINE.sh(f"systemctl show --value --property=OOMPolicy {site.service}") == "continue"
