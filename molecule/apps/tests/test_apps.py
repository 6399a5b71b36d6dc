"""Apps that were not written for this collection: each works, and neither a new dependency nor a rollback loses a request."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import cpython
import pytest
from apps.requests import BY_NAME, MACHINE, REQUESTS
from probe import ask, websocket_echo
from scenario import Visitors
from testinfra import get_host

APPS = Path(__file__).parents[1] / "apps"
HOST = get_host(f"docker://{MACHINE}")
# not a dependency of any of the apps
ADDED = "iniconfig==2.0.0"


@pytest.mark.smoke
@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_app_answers_a_real_request(request_, port):
    answer = request_.send(port)
    assert (answer.status, request_.text in answer.text) == (request_.status, True), answer.text


@pytest.mark.smoke
def test_a_pin_on_a_server_package_is_overridden():
    packages = installed("orders")
    assert packages["fastapi"].startswith("0.110.")
    assert tuple(map(int, packages["uvicorn"].split(".")[:2])) > (0, 25)


@pytest.mark.smoke
def test_groups_and_extras_of_a_workspace(port):
    answer = ask("backend.test", port).json()
    assert answer.pop("extra").startswith("3.")
    assert answer == {"greeting": "Hello, workspace", "dev": None}


@pytest.mark.smoke
def test_nginx_serves_static_files_and_uploads(port):
    assert "font-family" in ask("gallery.test", port, "/static/admin/css/base.css").text
    path = BY_NAME["gallery"].send(port).json()["url"]

    served = ask("gallery.test", port, path)

    assert (served.status, served.text) == (200, "a photo")
    assert ask("gallery.test", port, "/media/../db.sqlite3").status in (400, 404)


@pytest.mark.smoke
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_links_redirects_and_websockets_below_a_path(prefix, port):
    home = ask("shop.test", port, f"{prefix}/").json()
    assert home == {"root_path": prefix, "link": f"https://shop.test{prefix}/items/1"}
    assert ask("shop.test", port, f"{prefix}/first").headers["Location"] == home["link"]
    assert websocket_echo("shop.test", port, f"{prefix}/echo", "hello") == "hello"


@pytest.mark.smoke
def test_python_that_the_host_does_not_have(playbook, port, tmp_path):
    where = "/opt/mirror"
    offered = cpython.offer("3.12", tmp_path, where)
    if offered.environment:
        subprocess.run(["docker", "cp", "--quiet", f"{tmp_path}/.", f"{MACHINE}:{where}"], check=True)
    source = tmp_path / "source"
    shutil.copytree(APPS / "newer-python", source)
    project = source / "pyproject.toml"
    project.write_text(project.read_text().replace("==3.12.*", f"=={offered.version}"))
    variables = {
        "asgi_hosts": "newer-python",
        "asgi_app_source": {"path": str(source)},
        "asgi_app_build_env": offered.environment,
    }

    playbook.succeeds("site", **variables)

    assert ask("newer-python.test", port).json() == {"python": [3, 12]}
    assert "changed=0" in playbook.succeeds("site", **variables)


def test_new_dependency_and_rollback_lose_no_request(playbook, port):
    """Every app changes its release twice while a client of each repeats its request."""
    before = {request.name: release(request.name) for request in REQUESTS}
    with ExitStack() as stack:
        visitors = {
            request.name: stack.enter_context(Visitors(lambda request=request: request.send(port).status, pause=0.3))
            for request in REQUESTS
        }
        playbook.succeeds("deploy", asgi_app_requirements=[ADDED])
        deployed = {request.name: release(request.name) for request in REQUESTS}
        added = [request.name for request in REQUESTS if "iniconfig" in installed(request.name)]
        playbook.succeeds("rollback")
        after = {request.name: release(request.name) for request in REQUESTS}

    figures = {
        name: (len(each.statuses), [str(error) for error in each.errors], set(each.statuses))
        for name, each in visitors.items()
    }
    print(f"\n{figures}")
    assert added == list(BY_NAME)
    assert all(deployed[name] != before[name] for name in before)
    assert after == before
    assert {name: (errors, statuses) for name, (_count, errors, statuses) in figures.items()} == {
        request.name: ([], {request.status}) for request in REQUESTS
    }


def release(name: str) -> str:
    """Return the live release of the host *name*."""
    app = name.replace("-", "_")
    slot = HOST.check_output(f"basename $(readlink /run/{app}/live.sock) .sock")
    return HOST.check_output(f"readlink -f /srv/{app}/slots/{slot}/release")


def installed(name: str) -> dict[str, str]:
    """Return the packages of the live release of the host *name*, with their versions."""
    return json.loads(HOST.file(f"{release(name)}/release.json").content_string)["packages"]
