# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names, locks and failures of the modules that write a daemon's files."""

from __future__ import annotations

import errno
import fcntl
import os
from functools import partial
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import checked_files
from ansible_collections.asgi.deploy.plugins.module_utils._host.checked_files import (
    CheckedFiles,
    Refused,
    copy_configuration,
    exclusive_change,
    refuse_bad_files,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule


@pytest.mark.parametrize("name", ["../x.cfg", "x", ".x.cfg", "a/b.cfg", "x.conf", ""])
def test_a_name_outside_of_the_directory_is_refused(name):
    with pytest.raises(Refused, match=r"is not a file name that ends in \.cfg"):
        refuse_bad_files({"a.cfg": "text", name: "text"}, (".cfg",))


def test_a_text_is_a_string_or_null():
    refuse_bad_files({"a.cfg": "", "b.cfg": None}, (".cfg",))
    with pytest.raises(Refused, match=r"'a\.cfg' is neither a string nor null"):
        refuse_bad_files({"a.cfg": 5}, (".cfg",))


class Failed(Exception):
    """The fake fail_json() raises this exception instead of exiting."""


@pytest.fixture
def change(tmp_path, monkeypatch):
    """Return a function that creates the context manager of a change, which holds the lock and reports failures."""

    def fail_json(msg, code=""):
        raise Failed(msg)

    monkeypatch.setattr(checked_files, "LOCK_SECONDS", 0)
    module = SimpleNamespace(fail_json=fail_json)
    module.reporting = partial(HostModule.reporting, module)
    return lambda: exclusive_change(module, str(tmp_path / "lock"), "x_site", "its files")


@pytest.mark.parametrize(
    ("error", "message"),
    [(Refused("it cannot be"), "it cannot be"), (PermissionError(13, "Permission denied", "/etc/x"), "/etc/x: Perm")],
)
def test_failures_are_reported(change, error, message):
    with pytest.raises(Failed, match=message), change():
        raise error


def test_failures_of_a_copy_are_reported(change, tmp_path):
    """shutil reports a named pipe as an OSError without a file name and a reason."""
    configuration = tmp_path / "etc"
    configuration.mkdir()
    os.mkfifo(configuration / "pipe")
    with pytest.raises(Failed) as caught, change():
        copy_configuration(configuration, tmp_path / "copy", {}, {})
    assert str(caught.value) == f"`{configuration}/pipe` is a named pipe"


def test_the_lock_excludes_other_tasks(change, tmp_path):
    with (tmp_path / "lock").open("w+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write("y_site, process 7\n")
        other.flush()
        with pytest.raises(Failed, match="has been changing its files for 0 s: y_site, process 7"), change():
            pytest.fail("entered without the lock")
    with change():
        assert (tmp_path / "lock").read_text().startswith("x_site, process ")


def test_a_failed_write_restores_all_files(tmp_path, monkeypatch):
    """Otherwise, the next reload of the daemon would load an untested part of the changes."""
    first, second, new = (tmp_path / name for name in ("a.conf", "c.conf", "b.conf"))
    first.write_text("first")
    second.write_text("second")
    module = SimpleNamespace(run_command=lambda _command: (0, "ActiveState=active\nMainPID=1\n", ""))
    wanted = {first: "another", new: "new", second: "full"}
    files = CheckedFiles(module, "x.service", wanted, tmp_path / "changed", tmp_path / "loaded")

    def put(path, text, **options):
        if text == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        really(path, text, **options)

    really = checked_files.put
    monkeypatch.setattr(checked_files, "put", put)
    with pytest.raises(OSError, match="No space left"):
        files.write()
    assert (first.read_text(), second.read_text(), new.exists()) == ("first", "second", False)
