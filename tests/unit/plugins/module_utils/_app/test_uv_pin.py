"""The hashes that pin uv when it is installed from a package index."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pin import uv_hashes, uv_requirement
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_wheels import VERSION, WHEELS

GIVEN = "sha256:" + "a" * 64


def test_the_default_version_is_pinned():
    assert uv_hashes(VERSION) == sorted(WHEELS.values())


def test_given_hashes_pin_another_version():
    assert uv_requirement("0.9.9", [GIVEN]) == f"uv==0.9.9 --hash={GIVEN}"


@pytest.mark.parametrize(
    ("version", "given", "message"),
    [
        ("0.9.9", [], "asgi_app_uv_version is '0.9.9', whose hashes"),
        (VERSION, ["sha256:ab"], "asgi_app_uv_hashes has 'sha256:ab'"),
        (VERSION, ["md5:" + "a" * 64], "asgi_app_uv_hashes has"),
        (VERSION, [GIVEN + " --index-url=http://x"], "asgi_app_uv_hashes has"),
        (VERSION, [GIVEN + "\n"], "asgi_app_uv_hashes has"),
    ],
)
def test_invalid_hashes_are_rejected(version, given, message):
    with pytest.raises(ValueError, match=message):
        uv_requirement(version, given)
