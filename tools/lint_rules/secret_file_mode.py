"""House rule: use asgi.deploy.secret_file for files that other accounts must not read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ansiblelint.rules import AnsibleLintRule

if TYPE_CHECKING:
    from ansiblelint.file_utils import Lintable
    from ansiblelint.utils import Task

# Modules that create a file with the default mode, and set the mode afterwards.
WRITERS = frozenset(
    "assemble blockinfile copy get_url ini_file lineinfile replace template unarchive uri win_copy win_template".split()
)
READ_BY_OTHERS = 0o004


def hides_content(mode: object) -> bool:
    """Return whether *mode*, an option of a module, denies read access to other accounts. Templated modes count as readable."""
    if isinstance(mode, int):
        return not mode & READ_BY_OTHERS
    text = str(mode)
    if re.fullmatch(r"[0-7]{3,4}", text):
        return not int(text, 8) & READ_BY_OTHERS
    return any(re.fullmatch(r"o=[^r]*|[goa]*o[goa]*-\w*r\w*", clause) for clause in text.split(","))


class SecretFileModeRule(AnsibleLintRule):
    """Use asgi.deploy.secret_file for files that other accounts must not read."""

    id = "asgi-secret-file"
    description = (
        "ansible.builtin.copy, template and similar modules create a file that every account can read, and set its mode afterwards. "
        "Use asgi.deploy.secret_file for secrets."
    )
    severity = "VERY_HIGH"
    tags = ["security"]  # noqa: RUF012 - as in every rule of ansible-lint
    version_changed = "1.0.0"

    def matchtask(self, task: Task, file: Lintable | None = None) -> bool | str:
        action = task["action"]
        if action["__ansible_module__"].rpartition(".")[2] not in WRITERS:
            return False
        if "mode" in action and hides_content(action["mode"]):
            return f"the module sets mode {action['mode']} after it creates the file; use asgi.deploy.secret_file"
        if task.get("no_log") is True:
            return "no_log indicates that the content is a secret; use asgi.deploy.secret_file"
        return False
