# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/explanation/security.md names existing files, and lists the removed headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.request_headers import CLEARED

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = REPOSITORY / "docs/explanation/security.md"
TEXT = PAGE.read_text(encoding="utf-8")
# Files of this repository to which the page refers.
NAMED = sorted(set(re.findall(r"`((?:[\w@-]+/)*[\w@-]+(?:\.[\w-]+)*\.(?:py|j2|yml))`", TEXT)))
OF_PLAYBOOKS = {f"{path.stem}.yml" for path in (REPOSITORY / "playbooks").glob("*.yml")}


def test_the_headers_that_are_removed():
    listed = re.search(r"<!-- plugins/plugin_utils/_render/request_headers.py.*?```\n(.*?)```", TEXT, re.DOTALL)[
        1
    ].split()
    assert sorted(listed) == sorted(CLEARED)


@pytest.mark.parametrize("name", [name for name in NAMED if name not in OF_PLAYBOOKS])
def test_a_file_that_the_page_names_exists(name):
    tops = ("molecule", "plugins", "roles", "tests", "tools")
    assert (REPOSITORY / name).exists() or any(list((REPOSITORY / top).rglob(name)) for top in tops)


def test_other_pages_link_to_the_page():
    for page in ("README.md", "SECURITY.md"):
        assert "docs/explanation/security.md" in (REPOSITORY / page).read_text(encoding="utf-8")
