"""Version specifiers, and the CPython that uv installs if the distribution's does not match."""

from __future__ import annotations

import re

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import (
    DISTRIBUTIONS,
    PythonRequest,
    every_distribution_fits,
    key_of,
    managed_version,
    matches,
    without_wildcards,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pythons import VERSIONS
from packaging.specifiers import SpecifierSet

SPECIFIERS = (
    *("", ">=3.11", ">=3.11.4", ">3.11", ">3.11.2", "<3.12", "<=3.12", "<=3.12.3", "==3.12.3", "==3.12.*", "==3.*"),
    *("!=3.12.*", "!=3.12.3", "~=3.11", "~=3.11.4", "===3.12.3", ">=3.10,<4", ">=3.10, <3.13, !=3.12.*", ">= 3.12"),
)
FOUND = ("3.9.2", "3.11.2", "3.11.4", "3.11.14", "3.12.0", "3.12.3", "3.13.5", "4.0.0")


def newest(minor):
    return f"{minor}.{VERSIONS[minor][-1]}"


@pytest.mark.parametrize("specifier", SPECIFIERS)
def test_specifiers_match_as_in_pep_440(specifier):
    expected = [version for version in FOUND if SpecifierSet(specifier).contains(version)]
    assert [version for version in FOUND if matches(specifier, version)] == expected


@pytest.mark.parametrize("specifier", ["3.11", "=>3.11", ">=3.11.*", "~=3", ">=three", "python>=3", ">=3.11;"])
def test_invalid_specifiers_are_rejected(specifier):
    with pytest.raises(ValueError, match="is not a version specifier"):
        matches(specifier, "3.11.2")


@pytest.mark.parametrize(
    ("specifier", "valid"),
    [
        (">=3.7.*", ">=3.7"),
        ("<4.*", "<4"),
        (">3.7.*", ">=3.8"),
        ("<=3.12.*", "<3.13"),
        ("~=3.12.*", "==3.12.*"),
        (">= 3.7.*, !=3.9.*, <3.13.*", ">=3.7, !=3.9.*, <3.13"),
    ],
)
def test_wildcards_with_other_operators_are_replaced_in_wheels_and_reported_elsewhere(specifier, valid):
    with pytest.raises(ValueError, match=f"write '{re.escape(valid.split(',')[0])}'$"):
        matches(specifier, "3.11.2")
    assert without_wildcards(specifier) == valid
    matches(valid, "3.11.2")


def test_a_pre_release_counts_as_its_final_release():
    assert matches(">=3.14", "3.14.0rc2")
    assert matches(">=3.13.0rc1", "3.13.0")


@pytest.mark.parametrize(
    ("accepts", "managed"),
    [
        ([""], newest("3.11")),
        ([">=3.9"], newest("3.11")),
        ([">=3.12"], newest("3.12")),
        (["==3.13.*"], newest("3.13")),
        (["==3.12.1"], "3.12.1"),
        ([">=3.9,<3.11"], newest("3.10")),
        (["<3.10", ">=3.14"], newest("3.14")),
        ([">=3.99"], ""),
    ],
)
def test_the_oldest_matching_minor_version_with_its_newest_patch_is_installed(accepts, managed):
    assert managed_version(accepts) == managed


@pytest.mark.parametrize(
    ("accepts", "fits"),
    [
        ([""], True),
        ([">=3.9"], True),
        ([">=3.11,<4"], True),
        ([">=3.12"], False),
        ([">=3.11.4"], False),
        (["==3.13.*"], False),
        ([f"<{DISTRIBUTIONS[-1]}"], False),
        (["<3.13", ">=3.13"], True),
    ],
)
def test_a_request_that_every_distribution_meets_needs_no_managed_python(accepts, fits):
    assert every_distribution_fits(accepts) is fits


@pytest.mark.parametrize(
    ("accepts", "managed", "identity", "floor"),
    [
        ([">=3.9"], "", "python3", "3.11"),
        ([">=3.12"], "3.12.9", "python3 or 3.12.9", "3.12"),
        ([">=3.11.4"], "3.11.9", "python3 or 3.11.9", "3.11"),
        ([">=3.9,<3.11"], "3.10.9", "python3 or 3.10.9", "3.10"),
    ],
)
def test_the_id_depends_on_the_managed_version_only_if_a_host_may_need_it(accepts, managed, identity, floor):
    request = PythonRequest(accepts, managed, "")
    assert (request.identity, request.floor) == (identity, floor)


def test_the_build_for_a_machine_has_the_name_that_uv_uses():
    assert key_of("3.13.5", "x86_64") == "cpython-3.13.5-linux-x86_64-gnu"
    assert key_of("3.13.5", "ppc64le") == "cpython-3.13.5-linux-powerpc64le-gnu"
    with pytest.raises(ValueError, match="uv has no CPython for mips"):
        key_of("3.13.5", "mips")
