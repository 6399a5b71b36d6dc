"""Paths on the controller."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.filter.internal import FilterModule
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.paths import controller_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("shop", "{here}/shop"),
        ("./shop", "{here}/shop"),
        ("../shop", "{here}/../shop"),
        ("/srv/shop", "/srv/shop"),
        ("~/shop", "/home/anna/shop"),
        ("~no-such-account/shop", "{here}/~no-such-account/shop"),
    ],
)
def test_relative_paths_are_below_the_working_directory(path, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/anna")

    found = controller_path(path)

    assert found == Path(expected.format(here=tmp_path))
    assert FilterModule().filters()["controller_path"](path) == str(found)


def test_filter_rejects_other_types():
    with pytest.raises(AnsibleFilterError, match="controller_path: None is not a path"):
        FilterModule().filters()["controller_path"](None)
