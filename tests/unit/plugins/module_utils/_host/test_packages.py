"""Packages that the databases of dpkg and apt show as installed; apt installs or checks all others."""

from __future__ import annotations

import re

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.packages import Unsupported, missing

STATUS = """\
Package: dpkg
Status: install ok installed
Architecture: amd64
Description: package management
 Package: not-a-field

Package: nginx
Status: install ok installed
Architecture: amd64

Package: python3-venv
Status: install ok installed
Architecture: amd64

Package: ca-certificates
Status: hold ok installed
Architecture: all

Package: certbot
Status: deinstall ok config-files
Architecture: all

Package: openssl
Status: install ok half-configured
Architecture: amd64

Package: libpq5
Status: install ok installed
Architecture: i386
"""
EXTENDED = """\
Package: python3-venv
Architecture: amd64
Auto-Installed: 1

Package: nginx
Architecture: amd64
Auto-Installed: 0
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "var/lib/dpkg/updates").mkdir(parents=True)
    (tmp_path / "var/lib/apt").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    (tmp_path / "var/lib/apt/extended_states").write_text(EXTENDED)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("absent", id="was never there"),
        pytest.param("not-a-field", id="part of a description"),
        pytest.param("certbot", id="removed, its configuration is left"),
        pytest.param("openssl", id="half an installation"),
        pytest.param("libpq5", id="of another architecture only"),
        pytest.param("python3-venv", id="an autoremove would take it away"),
        pytest.param("nginx=1.26*", id="a version"),
        pytest.param("ngin*", id="a pattern"),
    ],
)
def test_package_expressions_are_left_to_apt(root, name):
    assert missing([name, "nginx"], str(root)) == [name]


def test_nothing_is_missing(root):
    assert missing(["nginx", "ca-certificates"], str(root)) == []


def test_host_without_extended_states(root):
    (root / "var/lib/apt/extended_states").unlink()
    assert missing(["python3-venv"], str(root)) == []


def test_interrupted_dpkg_leaves_all_packages_to_apt(root):
    (root / "var/lib/dpkg/updates/0001").touch()
    assert missing(["nginx"], str(root)) == ["nginx"]


EL9 = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nPRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\n'


@pytest.mark.parametrize(("release", "name"), [(EL9, "Rocky Linux 9.4 (Blue Onyx)"), (None, "an unknown distribution")])
def test_another_family_of_distributions_is_rejected(tmp_path, release, name):
    if release:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/os-release").write_text(release)
    with pytest.raises(
        Unsupported, match=rf"^this host runs {re.escape(name)}, .* nothing has been changed -> use a host with"
    ):
        missing(["nginx"], str(tmp_path))
    assert missing([], str(tmp_path)) == []
