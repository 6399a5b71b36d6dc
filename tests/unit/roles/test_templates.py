"""Rules for all templates of the roles."""

from __future__ import annotations

from pathlib import Path

import pytest

ROLES = Path(__file__).parents[3] / "roles"
TEMPLATES = [path for path in sorted(ROLES.glob("*/templates/**/*")) if path.is_file()]


@pytest.mark.parametrize("path", TEMPLATES, ids=[str(path.relative_to(ROLES)) for path in TEMPLATES])
def test_no_template_depends_on_the_settings_of_a_controller(path):
    # if the text varied, for example by user or date, the next run would write the file and reload its service
    text = path.read_text(encoding="utf-8")

    for name in ("ansible_managed", "template_uid", "template_host", "template_run_date", "template_path"):
        assert name not in text, name
