# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links of the documentation."""

from __future__ import annotations

import links
import pytest

FILES = {
    "README.md": "# Title",
    "docs/page.md": "# A page\n\n## What is `new`?\n\n## Twice\n\n## Twice\n",
    "tests/page.md": "# Test",
}
REPOSITORY = "https://github.com/asgi-deploy/asgi.deploy"


@pytest.fixture
def checkout(tmp_path):
    def make(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return links.Checkout(tmp_path, files, ["tests", "*.tar.gz"])

    return make


def test_this_repository_has_no_broken_links():
    tree = links.checkout()
    assert [*tree.problems(), *tree.mention_problems()] == []


@pytest.mark.parametrize(
    "target",
    [
        "docs/page.md",
        "docs",
        "docs/page.md#what-is-new",
        "docs/page.md#twice-1",
        "#title",
        "https://example.com/missing",
        f"{REPOSITORY}/blob/main/tests/page.md#test",
        f"{REPOSITORY}/tree/main/docs",
        f"{REPOSITORY}/security/advisories/new",
    ],
)
def test_valid_link(checkout, target):
    assert list(checkout({**FILES, "README.md": f"# Title\n\n[text]({target})"}).problems()) == []


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("docs/missing.md", "no such file"),
        ("docs/page.md#missing", "no such heading"),
        ("docs/page.md#twice-2", "no such heading"),
        ("#missing", "no such heading"),
        (f"{REPOSITORY}/blob/main/missing.md", "no such file"),
        ("tests/page.md", "the tarball does not contain this file; link to its address on GitHub"),
    ],
)
def test_broken_link(checkout, target, problem):
    tree = checkout({**FILES, "README.md": f"# Title\n\n[text]({target})"})
    assert list(tree.problems()) == [f"README.md: {target}: {problem}"]


def test_page_outside_the_readme_may_link_to_files_that_the_tarball_lacks(checkout):
    assert list(checkout({**FILES, "docs/other.md": "[text](../tests/page.md)"}).problems()) == []


@pytest.mark.parametrize("text", ["```\n[text](missing.md)\n```", "`[text](missing.md)`"])
def test_code_contains_no_links(checkout, text):
    assert list(checkout({**FILES, "README.md": text}).problems()) == []


def test_mentioned_page_must_exist(checkout):
    tree = checkout({**FILES, "play.yml": "# see docs/page.md, docs/gone.md and LICENSES.md"})
    assert list(tree.mention_problems()) == [
        "play.yml: mentions LICENSES.md, which does not exist",
        "play.yml: mentions docs/gone.md, which does not exist",
    ]
