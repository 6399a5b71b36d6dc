"""The warning about packages that do not work with several workers."""

from __future__ import annotations

import re

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_state import (
    CONTAINED,
    PACKAGES,
    new_advice,
    state_advice,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.sbom import normalised


def test_the_names_are_normalised():
    assert [normalised(name) for name in PACKAGES] == sorted(PACKAGES)
    assert PACKAGES.keys() >= {*CONTAINED, *(name for names in CONTAINED.values() for name in names)}


@pytest.mark.parametrize(
    ("packages", "named"),
    [
        (["FastAPI", "MCP"], ["mcp"]),
        (["python_socketio", "python-engineio"], ["python-socketio"]),
        (["nicegui", "python-socketio"], ["nicegui"]),
        (["panel", "bokeh", "fastmcp", "mcp"], ["fastmcp", "panel"]),
    ],
)
def test_packages_with_state_are_named(packages, named):
    advice = state_advice(packages, 3)
    assert advice.startswith("3 workers serve the app")
    assert re.findall(r"([\w-]+) keeps", advice) == named
    assert "set asgi_server_workers to 1" in advice


@pytest.mark.parametrize(("packages", "workers"), [(["fastapi"], 3), (["mcp"], 1), (["mcp"], None), ([], 3)])
def test_other_apps_get_no_warning(packages, workers):
    assert state_advice(packages, workers) is None


@pytest.mark.parametrize(
    ("before", "warns"),
    [((None, None), True), (("r1", 3), True), (("r2", 1), True), (("r2", None), True), (("r2", 3), False)],
)
def test_the_warning_is_not_repeated_for_the_same_release_and_number_of_workers(before, warns):
    assert bool(new_advice(["mcp"], ("r2", 3), before)) is warns
