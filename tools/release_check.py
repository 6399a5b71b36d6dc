#!/usr/bin/env python3
"""Check that a tag may be released: it equals the version in galaxy.yml, is not a pre-release, and is described in the changelog.

`release_check.py TAG`; needs the standard library only.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def problems(tag: str, galaxy: str, changelog: str) -> list[str]:
    [version] = re.findall(r"^version: (\S+)$", galaxy, re.MULTILINE)
    found = []
    if tag != version:
        found.append(f"the tag is {tag}, and the version in galaxy.yml is {version}")
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        found.append(f"{version} is a pre-release")
    if not re.search(rf"^  {re.escape(version)}:$", changelog, re.MULTILINE):
        found.append(f"changelogs/changelog.yaml has no release {version}: run antsibull-changelog release")
    return found


def main() -> int:
    [tag] = sys.argv[1:]
    found = problems(tag, (ROOT / "galaxy.yml").read_text(), (ROOT / "changelogs/changelog.yaml").read_text())
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
