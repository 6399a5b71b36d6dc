#!/usr/bin/env python
"""Check the links in the Markdown pages to files and anchors, and the pages that comments and other texts mention.

Links to other web sites are not checked. The tarball and Galaxy show README.md, so its relative links must lead to files of the tarball.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = re.compile(r"https://github\.com/asgi-deploy/asgi\.deploy/(?:blob|tree)/main/")
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?\s*\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
MENTION = re.compile(r"(?<![\w./-])(docs/[\w./-]+\.md|[A-Z_]{6,}\.md)\b")


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    found: dict[str, int] = {}
    names = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        name = slug(heading)
        names.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return names


def links(text: str) -> list[str]:
    return LINK.findall(CODE.sub("", FENCE.sub("", text)))


def ignored(path: str, patterns: Iterable[str]) -> bool:
    """Return whether `ansible-galaxy collection build` leaves out *path*."""
    parts = path.split("/")
    prefixes = ["/".join(parts[: length + 1]) for length in range(len(parts))]
    return any(fnmatchcase(prefix, pattern) for prefix in prefixes for pattern in patterns)


class Checkout:
    """The files of a checkout."""

    def __init__(self, root: Path, files: Iterable[str], build_ignore: Iterable[str]):
        self.root = root
        self.files = frozenset(files)
        self.folders = frozenset(str(parent) for name in self.files for parent in Path(name).parents)
        self.build_ignore = list(build_ignore)
        self.text = cache(lambda name: (root / name).read_text(encoding="utf-8"))

    def problems(self) -> Iterator[str]:
        for page in sorted(name for name in self.files if name.endswith(".md")):
            for target in links(self.text(page)):
                if problem := self.link_problem(page, target):
                    yield f"{page}: {target}: {problem}"

    def link_problem(self, page: str, target: str) -> str | None:
        path, _hash, anchor = target.partition("#")
        if REPOSITORY.match(path):
            name = REPOSITORY.sub("", path).rstrip("/")
        elif re.match(r"[a-z]+:", path):
            return None
        else:
            name = self.relative(page, path) if path else page
            if page == "README.md" and ignored(name, self.build_ignore):
                return "the tarball does not contain this file; link to its address on GitHub"
        if name not in self.files and name not in self.folders:
            return "no such file"
        if anchor and name.endswith(".md") and anchor not in anchors(self.text(name)):
            return "no such heading"
        return None

    def relative(self, page: str, path: str) -> str:
        return str((self.root / page).parent.joinpath(path).resolve().relative_to(self.root.resolve()))

    def mention_problems(self) -> Iterator[str]:
        """Yield a problem for each page that a file mentions by name and that does not exist."""
        for name in sorted(self.files):
            if name.startswith(("tests/unit/", "docs/benchmarks/", "changelogs/")) or (self.root / name).is_symlink():
                continue
            try:
                text = self.text(name)
            except UnicodeDecodeError:
                continue
            for mention in sorted(set(MENTION.findall(text))):
                if mention not in self.files and not any(each.endswith(f"/{mention}") for each in self.files):
                    yield f"{name}: mentions {mention}, which does not exist"


def checkout() -> Checkout:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    files = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    return Checkout(ROOT, files, yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"])


def main() -> int:
    tree = checkout()
    found = [*tree.problems(), *tree.mention_problems()]
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
