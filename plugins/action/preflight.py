# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of the roles on the controller, all of them, before a host is touched."""

from __future__ import annotations

import importlib
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Problem, describe

ROLES = ("asgi_app", "asgi_server", "asgi_proxy")
COLLECTION = Path(__file__).resolve().parents[2]


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False
    _supports_diff = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"roles": {"type": "list", "elements": "str", "choices": list(ROLES), "default": list(ROLES)}}
        )

        options, problems = {}, []
        # every role's options, whichever roles are asked about: cross-variable checks need the neighbours' defaults
        for role in ROLES:
            found, its_problems = self._options(role, task_vars)
            options.update(found)
            if role in arguments["roles"]:
                problems += its_problems

        if not problems:
            context = Context(options=options, find=lambda path: self._find(path, task_vars))
            for role in ("shared", *arguments["roles"]):
                checks = importlib.import_module(f"ansible_collections.asgi.deploy.plugins.plugin_utils.checks.{role}")
                problems += checks.problems(context)

        if problems:
            # a rule that binds two roles is found by both
            found = list(dict.fromkeys(problems))
            raise AnsibleActionFail(describe(task_vars.get("inventory_hostname", "this host"), found))
        result.update(changed=False)
        return result

    def _options(self, role, task_vars):
        """Return the templated and typed options of *role*, and what its specification objects to."""
        base = COLLECTION / "roles" / role
        spec = self._loader.load_from_file(str(base / "meta" / "argument_specs.yml"))["argument_specs"]["main"][
            "options"
        ]
        defaults = self._loader.load_from_file(str(base / "defaults" / "main.yml"), trusted_as_template=True) or {}

        templar = self._templar.copy_with_new_env(available_variables={**defaults, **task_vars})
        values, problems = {}, []
        for name, option in spec.items():
            raw = task_vars.get(name, defaults.get(name))
            if raw is None:
                if option.get("required"):
                    problems.append(Problem(name, "is not set", _purpose(option)))
                continue
            try:
                values[name] = templar.template(raw)
            except AnsibleError as exc:
                problems.append(Problem(name, f"cannot be templated: {exc}", _purpose(option)))

        valid = {name: {**option, "required": False} for name, option in spec.items() if name in values}
        for name, option in valid.items():
            outcome = ArgumentSpecValidator({name: option}).validate({name: values[name]})
            if outcome.error_messages:
                shown = "" if option.get("no_log") else f" is {values[name]!r}:"
                problems.append(Problem(name, f"{shown.strip()} {'; '.join(outcome.error_messages)}", _purpose(option)))
            else:
                values[name] = outcome.validated_parameters[name]
        return values, problems

    def _find(self, path, task_vars):
        """Return the controller's absolute path for *path*, searched from the playbook's directory as builtins do."""
        found = Path(path).expanduser()
        return found if found.is_absolute() else Path(self._loader.get_basedir()) / found


def _purpose(option):
    """Return the first sentence of an option's description: what a right value would be."""
    text = option.get("description", "")
    text = text[0] if isinstance(text, list) else text
    return f"it is: {text.strip()}"
