# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of the roles on the controller, all of them, before a host is touched."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible_collections.asgi.deploy.plugins import filter as filters
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks import (
    asgi_app,
    asgi_balancer,
    asgi_proxy,
    asgi_server,
    playbooks,
    shared,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils.options import purpose, typed
from ansible_collections.asgi.deploy.plugins.plugin_utils.paths import controller_path
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import (
    Context,
    Doubt,
    Problem,
    describe,
    describe_doubt,
)

HOST_ROLES = ("asgi_app", "asgi_server", "asgi_proxy")
CHECKS = {"asgi_app": asgi_app, "asgi_server": asgi_server, "asgi_proxy": asgi_proxy, "asgi_balancer": asgi_balancer}
ROLES = tuple(CHECKS)
ENTRY_POINTS = ("main", "uninstall")
COLLECTION = Path(__file__).resolve().parents[2]


def _of_roles(file, **options):
    """Return what *file* of each role says, by role; whoever uses it leaves it as it is."""
    return {
        role: DataLoader().load_from_file(str(COLLECTION / "roles" / role / file), unsafe=True, **options) or {}
        for role in ROLES
    }


# Ansible loads a plugin once and then runs it in a new process for each task of each host: what is read here, none of
# these has to read again.
SPECIFICATIONS = _of_roles("meta/argument_specs.yml")
DEFAULTS = _of_roles("defaults/main.yml", trusted_as_template=True)

# A process that needs one filter of a collection has Ansible load all of them, for each task of each host, if the process
# that it comes from has not done so.
for _found in pkgutil.iter_modules(filters.__path__):
    importlib.import_module(f"{filters.__name__}.{_found.name}")


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False
    _supports_diff = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "roles": {"type": "list", "elements": "str", "choices": list(ROLES), "default": list(HOST_ROLES)},
                "playbook": {"type": "str", "choices": list(playbooks.VARIABLES)},
                "entry_point": {"type": "str", "choices": list(ENTRY_POINTS), "default": ENTRY_POINTS[0]},
            }
        )
        entry_point = arguments["entry_point"]

        options, problems = {}, []
        wanted = set(arguments["roles"])
        # every role's options on an app host, whichever is asked about: cross-variable checks need the neighbours' defaults
        for role in (*(HOST_ROLES if wanted & set(HOST_ROLES) else ()), *sorted(wanted - set(HOST_ROLES))):
            found, missing, mistyped = self._options(role, entry_point, task_vars)
            options.update(found)
            # over what a neighbour has of the wrong type another role's templates would stumble
            problems += missing + mistyped if role in wanted else mistyped

        if arguments["playbook"]:
            problems += self._playbook_problems(arguments["playbook"], task_vars)
        if not problems:
            context = Context(options=options, find=controller_path)
            # what the roles check is about their main entry points
            for checks in (shared, *(CHECKS[role] for role in arguments["roles"] if entry_point == "main")):
                problems += checks.problems(context)
            problems += playbooks.role_problems(context, arguments["playbook"])

        # a rule that binds two roles is found by both
        found = list(dict.fromkeys(problems))
        host = task_vars.get("inventory_hostname", "this host")
        if faults := [problem for problem in found if not isinstance(problem, Doubt)]:
            raise AnsibleActionFail(describe(host, faults))
        result.update(changed=False)
        if found:
            result["warnings"] = [describe_doubt(host, doubt) for doubt in found]
        return result

    def _playbook_problems(self, playbook, task_vars):
        """Return the objections to the variables of a *playbook* of the collection."""
        names = playbooks.VARIABLES[playbook]
        values, problems = {}, []
        for name in names:
            try:
                if name in task_vars:
                    values[name] = self._templar.template(task_vars[name])
            except AnsibleError as exc:
                problems.append(Problem(name, f"cannot be templated: {exc}", "mend the template"))
        host = task_vars["ansible_play_hosts_all"][0]
        compared = playbooks.OF_THE_PLAY | (
            playbooks.OF_EACH_HOST if host != task_vars["inventory_hostname"] else set()
        )
        first = task_vars["hostvars"][host]
        its = {name: first[name] for name in compared & set(names) if name in first}
        return problems or playbooks.problems(Context(options=values, find=controller_path), playbook, its)

    def _options(self, role, entry_point, task_vars):
        """Return the templated and typed options of an entry point of *role*.

        Then the objections to those that are not there, and to those that are not what its specification wants.
        """
        spec = SPECIFICATIONS[role]["argument_specs"][entry_point]["options"]

        given = {**DEFAULTS[role], **task_vars}
        templar = self._templar.copy_with_new_env(available_variables=given)
        values, problems = {}, []
        for name, option in spec.items():
            if name not in given:
                if option.get("required"):
                    problems.append(Problem(name, "is not set", purpose(option)))
                continue
            try:
                values[name] = templar.template(given[name])
            except AnsibleError as exc:
                problems.append(Problem(name, f"cannot be templated: {exc}", purpose(option)))
        good, mistyped = typed(spec, values)
        return good, problems, mistyped
