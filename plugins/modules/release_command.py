#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command of a release as the app's account, with the app's environment."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_command
short_description: Run a command of a release as the app's account, with the app's environment
version_added: 0.2.0
description:
  - For hooks, such as one that migrates a database. The command runs in the directory of the release's code, with the programs
    of its virtual environment first in C(PATH), and with what the app itself has in its environment, but for C(ASGI_SLOT).
  - The values of O(environment) are in no command line and in no log, as those of Ansible's keyword C(environment) are.
  - What it has started and left in its process group is ended with it. It is not in the sandbox of the app's unit.
options:
  name:
    description: Name of the app.
    type: str
    required: true
  release:
    description: Id of the release, in a hook C(asgi_release.id).
    type: str
    required: true
  argv:
    description: The command and its arguments, without a shell. Anybody on the host can read them.
    type: list
    elements: str
    required: true
  environment:
    description:
      - The app's environment variables, as the text of a JSON dictionary, so that Ansible takes the whole for the secret, and
        not each value, which it would hide wherever it occurs.
    type: json
  timeout:
    description: Seconds that the command may take.
    type: int
    default: 3600
attributes:
  check_mode:
    description: Can run in check mode.
    support: partial
    details: The command is skipped, as nobody knows what it would do.
  diff_mode:
    description: There is nothing to compare.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Migrate the database
  asgi.deploy.release_command:
    name: "{{ asgi_name }}"
    release: "{{ asgi_release.id }}"
    argv: [alembic, upgrade, head]
    # nothing at all if there is none: {} would be taken for a secret, and hidden in what the command says
    environment: "{{ asgi_env | to_json if asgi_env else omit }}"
"""

RETURN = r"""
rc:
  description: Exit status of the command.
  type: int
  returned: when it has ended
stdout:
  description: What it said on standard output, without the values of O(environment) that have six characters or more.
  type: str
  returned: when it has run, also when it was killed
stderr:
  description: The same of standard error.
  type: str
  returned: when it has run, also when it was killed
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.account import TimedOut, run_as
from ansible_collections.asgi.deploy.plugins.module_utils.environment import (
    check_environment,
    hide,
    release_environment,
)
from ansible_collections.asgi.deploy.plugins.module_utils.files import reason_of
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout, release_paths
from ansible_collections.asgi.deploy.plugins.module_utils.release import last_lines


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "argv": {"type": "list", "elements": "str", "required": True},
            # without a default, which would be a secret itself, and masked wherever it occurs
            "environment": {"type": "json", "no_log": True},
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    argv, timeout = module.params["argv"], module.params["timeout"]
    if not argv:
        module.fail_json(msg="argv is empty: give a command")
    if module.check_mode:
        module.exit_json(skipped=True, msg="not run in check mode")
    try:
        paths = layout(module.params["name"])
        release = release_paths(paths["name"], module.params["release"])
        secrets = check_environment(json.loads(module.params["environment"] or "{}"))
        environment = release_environment(paths, release["venv"], secrets)
        status, out, err = run_as(paths["user"], argv, release["code"], environment, timeout)
    except ValueError as exc:
        module.fail_json(msg=str(exc))
    except KeyError:
        module.fail_json(msg=f"there is no account {paths['user']!r} on this host: run the asgi_app role first")
    except TimedOut as exc:
        what, answer = f"did not end within {timeout} s, and was killed", {"stdout": exc.out, "stderr": exc.err}
    except OSError as exc:
        module.fail_json(msg=f"{argv[0]} cannot be run in {release['code']}: {reason_of(exc)}")
    else:
        what, answer = f"ended with status {status}" if status else "", {"rc": status, "stdout": out, "stderr": err}
    answer.update({name: hide(answer[name], secrets) for name in ("stdout", "stderr")})
    if what:
        said = last_lines(answer["stderr"] or answer["stdout"]) or "it said nothing"
        module.fail_json(msg=f"{argv[0]} {what}: {said}", **answer)
    module.exit_json(changed=True, **answer)


if __name__ == "__main__":
    main()
