# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that write a daemon's files share: which names they take, and how they end."""

from __future__ import annotations

import fcntl
import os
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import checked_files
from ansible_collections.asgi.deploy.plugins.module_utils.checked_files import (
    Refused,
    copy_configuration,
    refuse_bad_files,
    sole_change,
)


@pytest.mark.parametrize("name", ["../x.cfg", "x", ".x.cfg", "a/b.cfg", "x.conf", ""])
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(Refused, match=r"is not a file name that ends in \.cfg"):
        refuse_bad_files({"a.cfg": "text", name: "text"}, ".cfg")


def test_a_file_has_a_text_or_none():
    refuse_bad_files({"a.cfg": "", "b.cfg": None}, ".cfg")
    with pytest.raises(Refused, match=r"'a\.cfg' needs a text, or null"):
        refuse_bad_files({"a.cfg": 5}, ".cfg")


class Failed(Exception):
    """As fail_json ends the process."""


@pytest.fixture
def change(tmp_path, monkeypatch):
    """Return what has the lock of a daemon, and fails as a module does."""

    def fail_json(msg):
        raise Failed(msg)

    monkeypatch.setattr(checked_files, "LOCK_SECONDS", 0)
    return lambda: sole_change(SimpleNamespace(fail_json=fail_json), str(tmp_path / "lock"), "x_site", "its files")


@pytest.mark.parametrize(
    ("error", "told"),
    [(Refused("it cannot be"), "it cannot be"), (PermissionError(13, "Permission denied", "/etc/x"), "/etc/x: Perm")],
)
def test_what_goes_wrong_is_told(change, error, told):
    with pytest.raises(Failed, match=told), change():
        raise error


def test_what_goes_wrong_with_a_copy_is_told(change, tmp_path):
    """What shutil raises is an OSError of neither a file nor a reason."""
    configuration = tmp_path / "etc"
    configuration.mkdir()
    os.mkfifo(configuration / "pipe")
    with pytest.raises(Failed) as caught, change():
        copy_configuration(configuration, tmp_path / "copy", {}, {})
    assert str(caught.value) == f"`{configuration}/pipe` is a named pipe"


def test_nobody_else_changes_them_meanwhile(change, tmp_path):
    with (tmp_path / "lock").open("w+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write("y_site, process 7\n")
        other.flush()
        with pytest.raises(Failed, match="has been changing its files for 0 s: y_site, process 7"), change():
            pytest.fail("entered without the lock")
    with change():
        assert (tmp_path / "lock").read_text().startswith("x_site, process ")
