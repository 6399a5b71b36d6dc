"""Patterns that exclude files from a source tree."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_tree import excluded


@pytest.mark.parametrize(
    ("name", "patterns", "out"),
    [
        (".env", [".env"], True),
        ("a/.env", [".env"], True),
        ("a/.env.py", [".env"], False),
        ("a/b.pyc", ["*.pyc"], True),
        ("data", ["/data"], True),
        ("a/data", ["/data"], False),
        ("docs/build", ["docs/build"], True),
        ("docs/build", ["docs/build/"], True),
        ("a/docs/build", ["docs/build"], False),
        ("node_modules", ["node_modules/"], True),
        ("A.PYC", ["*.pyc"], False),
        ("a", [], False),
    ],
)
def test_excluded(name, patterns, out):
    assert excluded(name, patterns) is out
