"""The uv workspace of a project is the one that uv uses."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.workspace import is_below, workspace_root


def workspace(*members, exclude=()):
    return {"tool": {"uv": {"workspace": {"members": list(members), "exclude": list(exclude)}}}}


@pytest.mark.parametrize(
    ("directory", "projects", "root"),
    [
        ("services/api", {"": workspace("services/*")}, ""),
        ("services/api", {"": workspace("services/api")}, ""),
        ("services/api", {"": workspace("**")}, ""),
        ("services/api", {"": workspace("**/api")}, ""),
        ("a/b/c", {"": workspace("a/**/c")}, ""),
        ("python/api", {"python": workspace("*"), "": {"project": {}}}, "python"),
        # Not a member.
        ("services/api", {"": workspace("services")}, None),
        ("services/api", {"": workspace("*")}, None),
        ("services/api", {"": workspace("services/*", exclude=["services/api"])}, None),
        ("services/api", {"": {"project": {"name": "root"}}}, None),
        ("services/api", {}, None),
        ("services/api", {"services": workspace("x"), "": workspace("services/*")}, None),
        # Inside another project, which is a member.
        ("docs/site", {"docs": {"project": {"name": "docs"}}, "": workspace("docs", "docs/site")}, None),
        ("docs/site", {"docs": {"tool": {"ruff": {}}}, "": workspace("docs", "docs/site")}, ""),
        # The project is the root.
        ("python", {"python": workspace("api"), "": workspace("python")}, None),
        ("", {"": workspace("api")}, None),
        # Values of a wrong type.
        ("api", {"": {"tool": []}}, None),
        ("api", {"": {"tool": {"uv": {"workspace": {"members": "api"}}}}}, None),
    ],
)
def test_workspace_root(directory, projects, root):
    assert workspace_root(directory, projects) == root


@pytest.mark.parametrize(
    ("name", "directory", "expected"),
    [("a/b", "a", True), ("a", "a", True), ("a", "", True), ("ab", "a", False), ("", "a", False)],
)
def test_is_below(name, directory, expected):
    assert is_below(name, directory) is expected
