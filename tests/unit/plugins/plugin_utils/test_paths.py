"""A path of the user's means the same in every variable."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.filter.controller_path import FilterModule
from ansible_collections.asgi.deploy.plugins.plugin_utils.paths import controller_path


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
def test_a_path_starts_where_ansible_was_started(path, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/anna")

    found = controller_path(path)

    assert found == Path(expected.format(here=tmp_path))
    assert FilterModule().filters()["controller_path"](path) == str(found)


def test_the_filter_wants_a_text():
    with pytest.raises(AnsibleFilterError, match="is no path"):
        FilterModule().filters()["controller_path"](None)
