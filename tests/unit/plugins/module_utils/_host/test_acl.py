# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access control lists, in the format of the kernel."""

from __future__ import annotations

import os

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import acl

UID = 54321


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o640)
    opened = os.open(path, os.O_RDONLY)
    try:
        acl.write(opened, acl.of_mode(0o640))
    except OSError:
        pytest.skip("the file system has no access control lists")
    yield opened
    os.close(opened)


def mode(file):
    return os.fstat(file).st_mode & 0o777


def test_a_grant_keeps_the_permissions_of_the_other_accounts(file):
    assert acl.grant(file, UID, acl.READ)
    assert acl.permissions_of(acl.read(file), UID) == acl.READ
    assert mode(file) == 0o640
    assert not acl.grant(file, UID, acl.READ)


def test_a_withdrawn_grant_leaves_the_previous_mode(file):
    acl.grant(file, UID, acl.READ)
    assert acl.grant(file, UID, 0)
    assert acl.read(file) is None
    assert mode(file) == 0o640
    assert not acl.grant(file, UID, 0)


def test_a_grant_for_a_private_file_opens_it_to_that_user_only(file):
    os.fchmod(file, 0o600)
    acl.grant(file, UID, acl.READ)
    assert acl.permissions_of(acl.read(file), UID) == acl.READ
    acl.grant(file, UID, 0)
    assert mode(file) == 0o600


def test_chmod_limits_what_a_grant_permits_and_a_second_grant_restores_only_that(file):
    acl.grant(file, UID, acl.READ)
    acl.grant(file, UID + 1, acl.READ)
    os.fchmod(file, 0o600)
    assert acl.permissions_of(acl.read(file), UID) == 0
    assert acl.grant(file, UID, acl.READ)
    found = acl.read(file)
    assert (acl.permissions_of(found, UID), acl.permissions_of(found, UID + 1)) == (acl.READ, 0)
