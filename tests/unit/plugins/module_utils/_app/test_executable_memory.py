"""Packages that need executable memory are reported, unless the operator has set MemoryDenyWriteExecute."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.executable_memory import (
    PACKAGES,
    SETTING,
    advice,
    denials,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.sbom import normalised


def test_the_advice_names_package_error_and_variable():
    found = advice(["numpy", "Tensorflow_CPU", "numba"], {"unit_settings": {}})

    assert 'numba ("cannot allocate executable memory"), tensorflow-cpu ("could not create a primitive")' in found
    assert "add MemoryDenyWriteExecute: false to asgi_server_unit_settings" in found
    assert "numpy" not in found


@pytest.mark.parametrize(
    ("packages", "sandbox"),
    [
        (["numpy", "cffi"], {}),
        ([], None),
        (["numba"], {"unit_settings": {SETTING: False}}),
        (["numba"], {"unit_settings": {SETTING: True}}),
    ],
)
def test_no_advice(packages, sandbox):
    assert advice(packages, sandbox) is None


def test_names_are_normalised():
    assert {normalised(name) for name in PACKAGES} == PACKAGES.keys()


@pytest.mark.parametrize(
    ("drop_in", "found"),
    [
        ("[Service]\nMemoryDenyWriteExecute=yes\n", ["could not create a primitive"]),
        ("MemoryDenyWriteExecute=yes\nMemoryDenyWriteExecute=no\n", []),
        ("", []),
    ],
)
def test_errors_are_recognised_unless_the_slot_allows_executable_memory(drop_in, found):
    assert denials("RuntimeError: could not create a primitive\nI can't protect you\n", drop_in) == found
