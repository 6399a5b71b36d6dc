# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""At every step of creation, replacement and repair, only root can open a secret file."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import stat
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import secret_files
from ansible_collections.asgi.deploy.plugins.module_utils._host.secret_files import Access, parse_mode, write_secret
from ansible_collections.asgi.deploy.plugins.module_utils._tls import selfsigned_pem
from ansible_collections.asgi.deploy.plugins.modules import secret_file as module
from ansible_core import patch_module_args

SECRET = "correct horse battery staple"
ME = pwd.getpwuid(os.geteuid()).pw_name
GROUP = grp.getgrgid(os.getegid()).gr_name
# Observer checks access after each call of these functions of the module os.
STEPS = "open mkdir makedirs write fsync fchown fchmod chown chmod rename replace link unlink".split()


@pytest.fixture(autouse=True)
def umask():
    """Run with the most permissive umask."""
    before = os.umask(0)
    yield
    os.umask(before)


class Observer:
    """Records the mode of every file below *root* after each call that changes the file system."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.modes, self.steps = root, [], []
        for name in STEPS:
            monkeypatch.setattr(os, name, self._observed(name, getattr(os, name)))

    def _observed(self, name, function):
        def observed(*args, **kwargs):
            result = function(*args, **kwargs)
            self.steps.append(name)
            self._look()
            return result

        return observed

    def _look(self) -> None:
        for path in self.root.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode):
                    self.modes.append((path.name, stat.S_IMODE(found.st_mode), found.st_size))

    def widest(self, prefix: str = "") -> int:
        seen = 0
        for name, mode, _size in self.modes:
            seen |= mode if name.startswith(prefix) else 0
        return seen


def run(capsys, check=False, **options):
    with (
        patch_module_args({"owner": ME, "group": GROUP, **options, "_ansible_check_mode": check}),
        pytest.raises(SystemExit),
    ):
        module.main()
    out = capsys.readouterr().out
    assert SECRET not in out
    return json.loads(out)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
@pytest.mark.parametrize("before", [None, "the former secret"])
def test_other_accounts_never_have_access(tmp_path, monkeypatch, mode, before):
    path = tmp_path / "secret"
    if before:
        path.write_text(before)
        path.chmod(0o600)
    observer = Observer(tmp_path, monkeypatch)
    write_secret(str(path), SECRET, Access(os.geteuid(), os.getegid(), mode))
    assert path.read_text() == SECRET
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert observer.steps, "nothing was observed"
    assert observer.widest() & ~mode & 0o077 == 0
    # Not even the group has access until the content is complete.
    incomplete = [seen for _name, seen, size in observer.modes if size == 0]
    assert incomplete
    assert all(seen == 0o600 for seen in incomplete)


def test_the_observer_detects_exposure_by_copy(tmp_path, monkeypatch):
    """Positive control: like ansible.builtin.copy, create the file before restricting its mode, which exposes the content."""
    observer = Observer(tmp_path, monkeypatch)
    path = tmp_path / "secret"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    os.write(descriptor, SECRET.encode())
    os.close(descriptor)
    os.chmod(path, 0o600)
    assert observer.widest() & 0o004


def test_the_directory_is_private_before_the_file_exists(tmp_path, monkeypatch):
    directory = tmp_path / "app/tls"
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    replaced = []

    def replace(*_args):
        replaced.append(stat.S_IMODE(directory.stat().st_mode))

    monkeypatch.setattr(secret_files, "replace_file", replace)
    write_secret(str(directory / "live.pem"), SECRET, Access(os.geteuid(), os.getegid(), directory_mode=0o700))
    assert replaced == [0o700]


def test_directories_are_created(tmp_path, capsys):
    path = tmp_path / "app/tls/live.pem"
    assert run(capsys, path=str(path), content=SECRET, directory_mode="0700", check=True)["changed"]
    assert list(tmp_path.iterdir()) == []
    assert run(capsys, path=str(path), content=SECRET, directory_mode="0700")["changed"]
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "app", tmp_path / "app/tls", path)]
    assert modes == [0o755, 0o700, 0o600]


@pytest.mark.parametrize("wrong", ["file", "directory", "content"])
def test_wrong_permissions_are_repaired_once(tmp_path, capsys, wrong):
    path = tmp_path / "tls/live.pem"
    options = {"path": str(path), "content": SECRET, "directory_mode": "0700"}
    assert run(capsys, **options)["changed"]
    assert not run(capsys, **options)["changed"]
    if wrong == "content":
        path.write_text("other")
    else:
        (path if wrong == "file" else path.parent).chmod(0o755)
    before = path.stat().st_ino
    assert run(capsys, **options, check=True)["changed"]
    assert path.stat().st_ino == before
    assert run(capsys, **options)["changed"]
    assert not run(capsys, **options)["changed"]
    assert path.read_text() == SECRET


def test_a_symlink_is_replaced_and_not_followed(tmp_path, capsys):
    path, other = tmp_path / "secret", tmp_path / "other"
    other.write_text(SECRET)
    path.symlink_to(other)
    other.chmod(0o600)
    assert run(capsys, path=str(path), content=SECRET)["changed"]
    assert not path.is_symlink()
    assert other.exists()


def test_the_diff_hides_the_content(tmp_path, capsys):
    path = tmp_path / "secret"
    path.write_text("former")
    path.chmod(0o644)
    (diff,) = run(capsys, path=str(path), content=SECRET)["diff"]
    assert diff["before"] == f"{path} {ME}:{GROUP} 0644\ncontent (hidden)\n"
    assert diff["after"] == f"{path} {ME}:{GROUP} 0600\ncontent (hidden, changed)\n"
    (diff,) = run(capsys, path=str(path), content=SECRET)["diff"]
    assert diff["before"] == diff["after"] == ""


def test_file_rejected_by_validate_is_not_installed(tmp_path, capsys):
    path = tmp_path / "secret"
    path.write_text("former")
    path.chmod(0o600)
    # The validator prints the content of the file.
    refused = run(capsys, path=str(path), content=SECRET, validate="/bin/sh -c 'cat %s >&2; exit 3'")
    assert "/bin/sh rejects the new content" in refused["msg"]
    assert "exit status 3" in refused["msg"]
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]

    accepted = run(capsys, path=str(path), content=SECRET, validate=f"/bin/sh -c 'grep -q \"{SECRET[:7]}\" %s'")
    assert accepted["changed"]


@pytest.mark.parametrize("mode", ["0644", "0604", "0601", "600", "0o600", "384", "u=rw", ""])
def test_a_mode_that_others_could_use_is_rejected(tmp_path, capsys, mode):
    assert "mode: " in run(capsys, path=str(tmp_path / "x"), content=SECRET, mode=mode)["msg"]
    with pytest.raises(ValueError, match="is not a mode|grants access to every account"):
        parse_mode(mode)
    assert list(tmp_path.iterdir()) == []


def test_an_account_that_is_missing(tmp_path, capsys):
    options = {"path": str(tmp_path / "x"), "content": SECRET, "group": "no-such-group"}
    assert run(capsys, **options)["msg"] == "group: 'no-such-group' does not exist on this host"
    # Check mode accepts a missing account, because a package that it does not install may create the account.
    assert run(capsys, **options, check=True)["changed"]
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_an_earlier_version_exposed_is_reported(tmp_path):
    path = tmp_path / "tls/live.pem"
    assert selfsigned_pem.why_exposed(str(path), "0700") == ""
    write_secret(str(path), SECRET, Access(os.geteuid(), os.getegid(), directory_mode=0o700))
    assert selfsigned_pem.why_exposed(str(path), "0700") == ""
    path.parent.chmod(0o755)
    why = selfsigned_pem.why_exposed(str(path), "0700")
    assert why == f"{path.parent} is {ME}:{GROUP} 0755, not {ME}:{GROUP} 0700"
    # Without a directory mode, the directory is not checked.
    assert selfsigned_pem.why_exposed(str(path), None) == ""
