# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variable in an argument specification has an effect."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
SPECIFICATIONS = sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
# Places where variables have an effect. meta, defaults and READMEs only describe variables, and checks only read them.
PLACES = ("roles/*/tasks", "roles/*/handlers", "roles/*/templates", "roles/*/vars", "playbooks", "plugins")
CHECKS = "_checks"
# Variables that record the operator's consent, which only the checks need.
CONSENT = {"asgi_proxy_acme_agree_tos", "asgi_balancer_acme_agree_tos"}


@cache
def words():
    """Return all identifiers in tasks, templates and variables, and in the strings of plugins that contain no space."""
    found = set()
    for path in (path for place in PLACES for root in ROOT.glob(place) for path in root.rglob("*.*")):
        if CHECKS in path.parts:
            continue
        if path.suffix == ".py":
            strings = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
            texts = [text for text in strings if isinstance(text, str) and " " not in text]
        else:
            texts = [path.read_text()] if path.suffix in (".yml", ".j2") else []
        found.update(*(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text) for text in texts))
    return found


def options(specification):
    """Yield the name of each variable, and of each of its suboptions."""
    for entry_point in yaml.safe_load(specification.read_text())["argument_specs"].values():
        for name, option in entry_point["options"].items():
            yield name, name
            yield from ((f"{name}.{key}", key) for key in option.get("options") or {})


def is_used(name):
    # A plugin that serves two roles writes f"{role}_acme_mail".
    return name in words() | CONSENT or re.sub("^asgi_(app|balancer|proxy|server)_", "_", name) in words()


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda path: path.parents[1].name)
def test_every_variable_is_used(specification):
    assert [path for path, name in options(specification) if not is_used(name)] == []


def test_variable_without_use_is_detected():
    assert not is_used("asgi_proxy_novelty")
