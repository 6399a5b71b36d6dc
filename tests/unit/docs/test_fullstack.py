"""The backups of the example fullstack: root neither follows links of the app nor executes its functions, and a backup survives uploads."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment

EXAMPLE = Path(__file__).parents[3] / "examples/fullstack"


def test_only_the_account_of_the_app_reads_what_the_app_has_written():
    [play] = yaml.safe_load((EXAMPLE / "restore.yml").read_text())
    commands = [task["ansible.builtin.shell"]["cmd"] for task in play["tasks"] if "ansible.builtin.shell" in task]
    assert [command.split(" -- ")[1].split()[0] for command in commands] == ["pg_restore", "tar"]
    assert {command.split(" -- ")[0] for command in commands} == {"runuser --user {{ asgi_name | quote }}"}
    modules = {key for task in play["tasks"] for key in task if key.startswith("ansible.builtin.")}
    assert modules == {"ansible.builtin.find", "ansible.builtin.assert", "ansible.builtin.shell"}


@pytest.mark.parametrize(
    ("dump", "tar", "status", "kept"),
    [
        (0, 0, 0, {"dump", "gz"}),
        # an upload during the backup
        (0, 1, 0, {"dump", "gz"}),
        (0, 2, 1, set()),
        (1, 0, 1, set()),
    ],
)
def test_a_backup_is_complete_or_removed(tmp_path, dump, tar, status, kept):
    jinja = Environment(autoescape=False)
    jinja.filters.update(
        {"comment": lambda text: f"# {text}", "asgi.deploy.layout": lambda name: {"shared": "/shared"}}
    )
    variables = {"ansible_managed": "managed", "asgi_name": "shop", "shop_backup_days": 14}
    script = jinja.from_string((EXAMPLE / "templates/backup.sh.j2").read_text()).render(variables)
    backups = tmp_path / "backups"
    backups.mkdir()
    for name, result in (("pg_dump", dump), ("tar", tar)):
        program = tmp_path / name
        program.write_text(
            f'#!/bin/sh\nfor each; do case $each in --file=*) : >"${{each#--file=}}" ;; esac; done\nexit {result}\n'
        )
        program.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script.replace("/var/backups/shop", str(backups))],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=False,
    )
    assert bool(done.returncode) == bool(status)
    assert {path.name.rpartition(".")[2] for path in backups.iterdir()} == kept
