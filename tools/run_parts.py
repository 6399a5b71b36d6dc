#!/usr/bin/env python
"""Run `make` with each of the arguments, several of them at once, and print a summary. A failure does not stop the other parts.

    tools/run_parts.py 'lint sanity' unit 'molecule SCENARIO=default' -- 'molecule SCENARIO=traffic'

The output of each part is printed when the part ends, and its failures are repeated in the summary. JOBS is the number of parts that run at
once, by default 2. The parts after `--` run alone, one after the other, because other load would affect their measurements. The last line
is for programs: "<n> passed, <n> failed in <n>s".
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import chain
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
JOBS = int(os.environ.get("JOBS", "2"))

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Patterns of the lines to print, in order of preference: pytest's summary, then errors of Ansible and ansible-test, then any line
REASONS = (
    re.compile(r"(FAILED|ERROR) \S+::"),
    re.compile(r"(fatal|failed): \[|\[ERROR\]: |ERROR: "),
    re.compile(r"\S"),
)
REASONS_SHOWN = 8
REASON_WIDTH = 240


class Outcome(NamedTuple):
    """The outcome of a part of the tests."""

    part: str
    passed: bool
    seconds: int
    output: str

    def __str__(self) -> str:
        return f"{self.part:32} {'passed' if self.passed else 'FAILED'} in {self.seconds} s"

    def reasons(self) -> list[str]:
        """Return the lines with the reason of the failure."""
        if self.passed:
            return []
        lines = COLOUR.sub("", self.output).splitlines()
        matching = next(filter(None, ([line for line in lines if kind.match(line)] for kind in REASONS)), [])
        return [line[:REASON_WIDTH] for line in matching[-REASONS_SHOWN:]]


def run(part: str) -> Outcome:
    print(f"==> make {part}: started", flush=True)
    began = time.monotonic()
    process = subprocess.run(
        ["make", "--no-print-directory", *part.split()],
        cwd=ROOT,
        # Without these variables, make does not try to share the jobs of a parent make.
        env={
            **{name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")},
            "COLUMNS": str(REASON_WIDTH),  # pytest truncates its summary to this width
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return Outcome(part, process.returncode == 0, round(time.monotonic() - began), process.stdout)


def run_all(parts: list[str], jobs: int) -> Iterator[Outcome]:
    """Run *parts*, *jobs* of them at once, and yield their outcomes as they end."""
    with ThreadPoolExecutor(jobs) as pool:
        for ended in as_completed([pool.submit(run, part) for part in parts]):
            yield ended.result()


def main() -> None:
    began = time.monotonic()
    parts = sys.argv[1:]
    mark = parts.index("--") if "--" in parts else len(parts)
    outcomes = []
    for outcome in chain(run_all(parts[:mark], JOBS), run_all(parts[mark + 1 :], 1)):
        outcomes.append(outcome)
        print(f"\n==> make {outcome.part}\n{outcome.output}\n==> make {outcome}\n", flush=True)
    passed = sum(outcome.passed for outcome in outcomes)
    print("==> make test", *(f"  {outcome}" for outcome in outcomes), sep="\n")
    for outcome in outcomes:
        for reason in outcome.reasons():
            print(f"  {outcome.part}: {reason}")
    print(f"{passed} passed, {len(outcomes) - passed} failed in {round(time.monotonic() - began)}s")
    sys.exit(passed != len(outcomes))


if __name__ == "__main__":
    main()
