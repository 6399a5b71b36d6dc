"""The pinned hashes match the default version of uv."""

from __future__ import annotations

import re

import uv_wheels
import yaml
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_wheels import VERSION, WHEELS

SPEC = uv_wheels.ROOT / "roles/asgi_app/meta/argument_specs.yml"


def test_hashes_belong_to_the_default_version():
    assert uv_wheels.default_version() == VERSION, "run tools/uv_wheels.py"
    options = yaml.safe_load(SPEC.read_text())["argument_specs"]["main"]["options"]
    assert options["asgi_app_uv_version"]["default"] == VERSION


def test_file_is_up_to_date():
    assert uv_wheels.TARGET.read_text() == uv_wheels.text(VERSION, WHEELS)


def test_every_platform_of_debian_has_a_wheel():
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in WHEELS.values())
    assert len(set(WHEELS.values())) == len(WHEELS)
    platforms = {"x86_64", "aarch64", "i686", "armv7l", "ppc64le", "s390x", "riscv64"}
    assert all(any(tags.endswith(machine) for tags in WHEELS) for machine in platforms)
