"""The Django hook in docs/how-to/django-and-flask.md."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
HOOK = ROOT / "molecule/servers/hooks/django.yml"


def documented():
    """Return the text of the hook."""
    blocks = re.findall(
        r"^```yaml\n(.*?)^```$", (ROOT / "docs/how-to/django-and-flask.md").read_text(), re.MULTILINE | re.DOTALL
    )
    [hook] = [block for block in blocks if "collectstatic" in block]
    return hook


def test_the_hook_is_the_one_that_molecule_deploys_with():
    assert HOOK.read_text() == f"---\n{documented()}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to root")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_nginx_may_read_what_the_hook_copies(ansible_playbook, tmp_path, umask):
    """collectstatic creates directories with the umask of the app's account; the hook makes the copies readable."""
    tasks = [task for task in yaml.safe_load(documented()) if "asgi.deploy.release_command" not in task]
    assert [name for task in tasks for name in task if "." in name] == ["ansible.builtin.copy", "ansible.builtin.file"]
    shared, code = tmp_path / "shared", tmp_path / "code"
    before = os.umask(0o027)
    (shared / "static/admin/css").mkdir(parents=True)
    (shared / "static/admin/css/base.css").write_text("body {}")
    (shared / "static/robots.txt").write_text("")
    os.umask(umask)
    try:
        code.mkdir(mode=0o755)
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": tasks,
            "vars": {"asgi_release": {"code": str(code)}},
        }
        text = yaml.safe_dump([play]).replace("{{ (asgi_name | asgi.deploy.layout).shared }}", str(shared))
        status, output = ansible_playbook(text)
    finally:
        os.umask(before)

    assert status == 0, output
    modes = {str(path.relative_to(code)): oct(path.stat().st_mode & 0o777) for path in sorted(code.rglob("*"))}
    assert modes == {
        "static": "0o755",
        "static/admin": "0o755",
        "static/admin/css": "0o755",
        "static/admin/css/base.css": "0o644",
        "static/robots.txt": "0o644",
    }
