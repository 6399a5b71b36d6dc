"""The files of the host command: installation, removal, the dispatcher, and the completion for bash."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import host_command
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import APPS, PROGRAMS, UNITS, layout

PROGRAM = b"import sys; print(sys.argv[1:])"
DIGEST = hashlib.sha256(PROGRAM).hexdigest()


@pytest.fixture
def paths_of(tmp_path):
    """Return a function that returns the layout of an app with the files of the command below *tmp_path*."""

    def below(name):
        text = json.dumps(layout(name)["command"]).replace('"/', f'"{tmp_path}/')
        return {"command": json.loads(text)}

    (tmp_path / "sent.pyz").write_bytes(PROGRAM)
    return below


def test_the_command_is_current_after_its_installation(paths_of, tmp_path):
    paths = paths_of("shop")
    assert not host_command.is_current(paths, DIGEST)

    host_command.install(paths, str(tmp_path / "sent.pyz"))

    assert host_command.is_current(paths, DIGEST)
    assert not host_command.is_current(paths, "0" * 64)
    assert os.stat(paths["command"]["dispatcher"]).st_mode & 0o777 == 0o755
    assert os.listdir(os.path.dirname(paths["command"]["program"])) == ["shop.pyz"]


@pytest.mark.parametrize("name", ["program", "dispatcher", "completion"])
def test_changed_files_are_restored(paths_of, tmp_path, name):
    paths = paths_of("shop")
    host_command.install(paths, str(tmp_path / "sent.pyz"))
    for fault in (lambda path: path.chmod(0o777), lambda path: path.write_text("x"), lambda path: path.unlink()):
        fault(Path(paths["command"][name]))
        assert not host_command.is_current(paths, DIGEST)
        host_command.install(paths, str(tmp_path / "sent.pyz"))
        assert host_command.is_current(paths, DIGEST)


def test_the_shared_files_are_removed_with_the_last_app(paths_of, tmp_path):
    shop, blog = paths_of("shop"), paths_of("blog")
    assert host_command.installed_files(shop) == []
    for paths in (shop, blog):
        host_command.install(paths, str(tmp_path / "sent.pyz"))

    assert host_command.installed_files(shop) == [shop["command"]["program"]]
    os.unlink(shop["command"]["program"])
    files = blog["command"]
    assert host_command.installed_files(blog) == [
        files["program"],
        files["dispatcher"],
        files["completion"],
        os.path.dirname(files["program"]),
    ]


@pytest.fixture
def dispatch(tmp_path):
    """Return a function that runs the dispatcher with programs below *tmp_path*."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "shop.pyz").write_bytes(PROGRAM)
    (tmp_path / "evil.pyz").write_text("print('executed')")
    script = tmp_path / "asgi"
    script.write_text(host_command.DISPATCHER_TEXT.replace(PROGRAMS, str(programs)))

    def run(*arguments):
        return subprocess.run(["sh", str(script), *arguments], capture_output=True, text=True, check=False)

    return run


def test_the_dispatcher_passes_the_arguments_on(dispatch):
    assert dispatch("shop", "run", "echo", "a b", "$HOME").stdout == "['shop', 'run', 'echo', 'a b', '$HOME']\n"


@pytest.mark.parametrize("name", ["../evil", "nosuch", "/", ".", "Shop", "shop.pyz", "*", "shop\n", "s*"])
def test_the_dispatcher_executes_only_programs_of_apps(dispatch, name):
    done = dispatch(name, "status")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no app" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_dispatcher_lists_the_apps(dispatch, arguments):
    done = dispatch(*arguments)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "  shop"


@pytest.fixture
def complete(tmp_path):
    """Return a function that returns bash's completions of a command line."""
    programs, release = tmp_path / "programs", tmp_path / "srv/shop/releases/src-0123456789"
    programs.mkdir()
    (release / ".venv/bin").mkdir(parents=True)
    for file in (programs / "shop.pyz", programs / "blog.pyz", release / ".venv/bin/alembic"):
        file.touch()
    # A file of a package must not become code in root's shell.
    (release / ".venv/bin/al$(touch owned)").touch()
    (release / ".venv/bin/al;touch owned").touch()
    (tmp_path / "srv/shop/current").symlink_to(release)
    text = host_command.COMPLETION_TEXT.replace(PROGRAMS, str(programs)).replace(APPS, str(tmp_path / "srv"))
    text = text.replace(UNITS, str(tmp_path))
    for unit in ("shop.worker.1@blue", "shop.worker.2@green", "shop.cleanup@blue", "shop2.other@blue", "shop@blue"):
        (tmp_path / f"{unit}.service").touch()

    def run(*words):
        script = f'{text}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _asgi; printf "%s\\n" "${{COMPREPLY[@]}}"'
        done = subprocess.run(
            ["bash", "-c", script, "bash", *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout.split()

    run.owned = tmp_path / "owned"
    return run


def test_the_completion(complete):
    assert complete("asgi", "") == ["blog", "shop"]
    assert complete("asgi", "shop", "re") == ["releases", "restart"]
    assert complete("asgi", "shop", "run", "a") == ["alembic"]
    assert complete("asgi", "shop", "shell", "--release", "") == ["src-0123456789"]
    assert complete("asgi", "shop", "logs", "--f") == ["--follow"]
    assert complete("asgi", "shop", "restart", "") == ["web", "cleanup", "worker"]
    assert complete("asgi", "shop", "logs", "w") == ["web", "worker"]
    assert complete("asgi", "nosuch", "run", "x") == []
    assert not complete.owned.exists()
