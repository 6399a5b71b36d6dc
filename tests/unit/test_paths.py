# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""module_utils/_host/layout.py is the only file that contains paths of an app."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout

ROOT = Path(__file__).resolve().parents[2]
PATHS = re.compile(
    r"/srv\b|/etc/asgi\b|/etc/systemd/system|/run/\{(?:\}/|\{)|/var/(?:cache|lib)/asgi|/etc/tmpfiles\.d"
    r"|/etc/nginx/conf\.d|/etc/haproxy/asgi|/var/log/nginx"
)
EXPORTER = "roles/asgi_server/files/srv/app/metrics_exporter.py"
ALLOWED = {
    "plugins/module_utils/_host/layout.py": "the source of all paths",
    EXPORTER: "runs on the host without the collection; test_exporter_uses_the_paths_of_the_layout compares its paths",
    "roles/asgi_common/files/etc/asgi/app/acme_deploy.py": "runs on the host without the collection; reads nginx's error log",
    "roles/asgi_server/templates/etc/systemd/system/app-metrics.service.j2": "hides the directory of all apps",
    "roles/asgi_balancer/templates/etc/keepalived/keepalived.conf.j2": "all apps of a balancer share it, so it has no layout",
}
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "plugins/**/*.py",
        "roles/*/files/**/*.py",
        "roles/*/templates/**/*.j2",
        "roles/*/tasks/**/*.yml",
        "playbooks/tasks/**/*.yml",
        "roles/*/vars/*.yml",
    )
    for path in ROOT.glob(pattern)
)


def python_strings(text):
    """Yield the strings of a program, except its documentation; an expression in an f-string becomes ``{}``."""
    tree = ast.parse(text)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        or (
            isinstance(node, ast.Assign)
            and getattr(node.targets[0], "id", "") in ("DOCUMENTATION", "EXAMPLES", "RETURN")
        )
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in documentation | parts:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def other_strings(text):
    """Return the lines of a template or YAML file without comments."""
    without_comments = re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)
    return [line for line in without_comments.splitlines() if not line.lstrip().startswith("#")]


def paths_in(file):
    text = (ROOT / file).read_text()
    strings = python_strings(text) if file.endswith(".py") else other_strings(text)
    return [string for string in strings if PATHS.search(string)]


@pytest.mark.parametrize("file", [file for file in FILES if file not in ALLOWED])
def test_only_layout_contains_paths_of_an_app(file):
    assert paths_in(file) == []


@pytest.mark.parametrize("file", ALLOWED)
def test_allowed_file_needs_its_exception(file):
    assert paths_in(file) != []


def test_exporter_uses_the_paths_of_the_layout():
    paths = layout("shop")
    known = {paths["current"], paths["slots_directory"], paths["timer_successes"]}
    known |= {*(slot[link] for slot in paths["slots"].values() for link in ("release", "config"))}
    found = {
        path.replace("{}", "shop", 1).replace("{}", slot, 1).replace("{}", link, 1)
        for path in paths_in(EXPORTER)
        for slot in paths["slots"]
        for link in ("release", "config")
    }
    assert found == known
