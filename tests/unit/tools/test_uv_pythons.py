"""The versions of CPython match the default version of uv."""

from __future__ import annotations

import uv_pythons
from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import DISTRIBUTIONS
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pythons import UV_VERSION, VERSIONS
from uv_wheels import default_version


def test_versions_belong_to_the_default_version_of_uv():
    assert default_version() == UV_VERSION, "run tools/uv_pythons.py"


def test_each_python_of_a_distribution_can_be_installed():
    assert set(DISTRIBUTIONS) <= set(VERSIONS)


def download(version, arch="x86_64", **changes):
    fixed = {"implementation": "cpython", "variant": "default", "os": "linux", "libc": "gnu"}
    return {**fixed, "version": version, "arch": arch, **changes}


def test_only_final_releases_for_all_machines_are_listed():
    everywhere = ("3.12.10", "3.12.9", "3.15.0a2", "3.8.1")
    listed = [download(version, arch) for version in everywhere for arch in uv_pythons.MACHINES]
    others = [
        download("3.12.11"),
        *(download("3.12.12", arch, libc="musl") for arch in uv_pythons.MACHINES),
        *(download("3.13.0", arch, variant="freethreaded") for arch in uv_pythons.MACHINES),
        *(download("3.10.1", arch, implementation="pypy") for arch in uv_pythons.MACHINES),
    ]
    assert uv_pythons.patches([*listed, *others]) == {(3, 12): [9, 10]}


def test_the_file_contains_the_versions():
    assert uv_pythons.text("0.1.0", {(3, 12): [9, 10]}).endswith(
        'UV_VERSION = "0.1.0"\n\nVERSIONS = {\n    "3.12": (9, 10),\n}\n'
    )
