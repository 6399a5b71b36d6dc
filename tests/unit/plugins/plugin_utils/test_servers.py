"""What follows from the choice of a server: whatever a row names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils.servers import (
    DEFAULT,
    SERVERS,
    server_patience,
    server_profile,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils.workers import KINDS

ROLES = Path(__file__).parents[4] / "roles"
CONFIGS = ROLES / "asgi_server/files/srv/app/configs"
IMPORT = re.compile(r"^(?:from|import) (asgi_deploy_\w+)", re.MULTILINE)

every_server = pytest.mark.parametrize("name", SERVERS)


@every_server
def test_its_modules_are_complete(name):
    """What they import of ours goes along, and nothing that is not imported."""
    profile = server_profile(name)
    program = ROLES / "asgi_server/templates/srv/app/configs" / f"{profile['program']}.j2"
    first = set(IMPORT.findall(program.read_text()))
    if profile["worker_class"]:
        module, _dot, worker = profile["worker_class"].rpartition(".")
        tree = ast.parse((CONFIGS / f"{module}.py").read_text())
        assert worker in [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        first.add(module)

    reached, new = set(), first
    while new:
        reached |= new
        new = {found for module in new for found in IMPORT.findall((CONFIGS / f"{module}.py").read_text())} - reached
    reached.discard("asgi_deploy_metrics")  # goes along where it is wanted
    assert sorted(profile["modules"]) == sorted(f"{module}.py" for module in reached)


@every_server
def test_it_is_planned_and_installed(name):
    server = SERVERS[name]
    assert server.plan in KINDS
    assert set(server.needed) <= {re.split("[<>=]", requirement)[0] for requirement in server.requirements}


@pytest.mark.parametrize("role", ["asgi_app", "asgi_server"])
def test_the_roles_know_the_same_servers(role):
    specification = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())
    option = specification["argument_specs"]["main"]["options"]["asgi_server_type"]
    assert (option["choices"], option["default"]) == (list(SERVERS), DEFAULT)


def test_another_is_refused_with_the_names():
    with pytest.raises(ValueError, match="'hypercorn' is no server; it must be one of uvicorn_worker, gunicorn_asgi"):
        server_profile("hypercorn")


@pytest.mark.parametrize(
    ("name", "timeout", "read_timeout", "locations", "expected"),
    [
        ("gthread", 30, 60, [], 35),
        ("gthread", 65, 60, None, 0),
        ("gthread", 120, 60, [], 0),
        ("gthread", 30, 60, [{"path": "/report", "read_timeout": 300}, {"path": "/x", "read_timeout": None}], 275),
        ("gthread", 30, 60, [{"path": "/fast", "read_timeout": 5}], 35),
        ("uvicorn_worker", 30, 60, [], 0),
        ("gunicorn_asgi", 30, 60, [], 0),
        ("uvicorn", 30, 60, [], 0),
    ],
)
def test_busy_threads_are_given_as_long_as_nginx_waits(name, timeout, read_timeout, locations, expected):
    assert server_patience(name, timeout, read_timeout, locations) == expected
