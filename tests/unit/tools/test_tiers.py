"""The tiers of the Makefile: `make test` runs a part of every scenario, `make test-all` runs all of every scenario."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))


def parts(target):
    """Return the tests of each scenario that *target* runs."""
    commands = subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return dict(re.findall(r"molecule SCENARIO=(\w+) TESTS=(\w+)", commands))


def test_test_all_runs_every_test():
    assert parts("test-all") == dict.fromkeys(SCENARIOS, "all")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_make_test_runs_a_part_of_each_scenario(scenario):
    tests = parts("test")[scenario]
    assert tests in ("quick", "smoke")
    if tests == "smoke":
        assert any(
            "pytest.mark.smoke" in path.read_text()
            for path in (ROOT / "molecule" / scenario / "tests").glob("test_*.py")
        )
