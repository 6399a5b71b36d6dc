"""The table of servers, and the files that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.filter import server_profile as server_profile_filter
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import (
    DEFAULT,
    SERVERS,
    hang_timeout_margin,
    server_profile,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.workers import KINDS

ROLES = Path(__file__).parents[5] / "roles"
CONFIGS = ROLES / "asgi_server/files/srv/app/configs"
IMPORT = re.compile(r"^(?:from|import) (asgi_deploy_\w+)", re.MULTILINE)

every_server = pytest.mark.parametrize("name", SERVERS)


@every_server
def test_profile_lists_all_imported_modules(name):
    """A profile lists all of the collection's modules that its program imports, and no others."""
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
    reached -= {"asgi_deploy_metrics", "asgi_deploy_hooks"}  # the role adds these modules if their variables are set
    assert sorted(profile["modules"]) == sorted(f"{module}.py" for module in reached)


@every_server
def test_server_has_a_plan_and_requirements(name):
    server = SERVERS[name]
    assert server.plan in KINDS
    assert set(server.needed) <= {re.split("[<>=]", requirement)[0] for requirement in server.requirements}


@pytest.mark.parametrize("role", ["asgi_app", "asgi_server"])
def test_roles_have_the_same_servers(role):
    specification = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())
    option = specification["argument_specs"]["main"]["options"]["asgi_server_type"]
    assert (option["choices"], option["default"]) == (list(SERVERS), DEFAULT)


def test_filter_has_the_same_servers():
    options = yaml.safe_load(server_profile_filter.DOCUMENTATION)["options"]
    assert options["_input"]["choices"] == list(SERVERS)


def test_unknown_server_is_rejected_with_the_valid_names():
    with pytest.raises(
        ValueError, match="'hypercorn' is not a server; it must be one of uvicorn_worker, gunicorn_asgi"
    ):
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
def test_margin_exceeds_the_read_timeout_of_nginx(name, timeout, read_timeout, locations, expected):
    assert hang_timeout_margin(name, timeout, read_timeout, locations) == expected
