# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check all variables of the roles and playbooks on the controller, before any host is changed."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import ClassVar

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.release import __version__ as core_version

# The same version as requires_ansible in meta/runtime.yml, because Ansible itself only warns if its version is older.
OLDEST_CORE = (2, 16)
# The oldest Python of plugin_utils. ansible-core 2.16 and 2.17 also run with Python 3.10.
OLDEST_PYTHON = (3, 11)


def refuse_old_controller(core, python):
    """Raise AnsibleError if the imports below or the plays do not support this version of ansible-core or Python."""
    for name, found, oldest, remedy in (
        ("ansible-core", core, OLDEST_CORE, "upgrade it (pip install 'ansible-core>={}')"),
        (
            "Python",
            python,
            OLDEST_PYTHON,
            "run ansible-playbook with a newer Python (pipx install --python python{} ansible-core)",
        ),
    ):
        if tuple(map(int, found.split(".")[:2])) < oldest:
            needed = ".".join(map(str, oldest))
            raise AnsibleError(
                f"asgi.deploy needs {name} {needed} or newer on the controller, but this is {found}; nothing has been changed "
                f"-> {remedy.format(needed)}"
            )


refuse_old_controller(core_version, sys.version.split()[0])

from ansible_collections.asgi.deploy.plugins import filter as filters
from ansible_collections.asgi.deploy.plugins.module_utils._host.ansible_core import KEEPS_TYPES, MARKS_TEMPLATES
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import (
    asgi_app,
    asgi_balancer,
    asgi_proxy,
    asgi_server,
    playbooks,
    shared,
    unknown,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.claims import claims
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.play_action import PlayAction
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.vrrp import balancer_claims
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.action_failure import ActionFailure
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.options import purpose, typed
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.paths import controller_path
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import (
    AppDoubt,
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


def _load(file, templates=False):
    """Return the content of *file* of each role, by role; with *templates*, its strings are templates."""
    options = {"trusted_as_template": templates} if MARKS_TEMPLATES else {}
    return {
        role: DataLoader().load_from_file(str(COLLECTION / "roles" / role / file), unsafe=True, **options) or {}
        for role in ROLES
    }


# Ansible forks a process for each task of each host, so files that are read at import are read only once.
SPECIFICATIONS = _load("meta/argument_specs.yml")
DEFAULTS = _load("defaults/main.yml", templates=True)
KNOWN = frozenset(
    name
    for specification in SPECIFICATIONS.values()
    for entry_point in specification["argument_specs"].values()
    for name in entry_point["options"]
).union(unknown.OTHERS, *playbooks.VARIABLES.values())

# Ansible loads all filters of a collection when a template uses one of them. They are loaded here, before Ansible forks, so that not
# every process loads them again.
for _found in pkgutil.iter_modules(filters.__path__):
    importlib.import_module(f"{filters.__name__}.{_found.name}")


class ActionModule(PlayAction):
    ARGUMENTS: ClassVar = {
        "roles": {"type": "list", "elements": "str", "choices": list(ROLES), "default": list(HOST_ROLES)},
        "playbook": {"type": "str", "choices": list(playbooks.VARIABLES)},
        "entry_point": {"type": "str", "choices": list(ENTRY_POINTS), "default": ENTRY_POINTS[0]},
    }

    def compute(self, task_vars, options):
        if not KEEPS_TYPES and C.DEFAULT_JINJA2_NATIVE:
            raise ActionFailure(
                f"asgi.deploy supports jinja2_native only with ansible-core 2.19 or newer, and this is {core_version}; nothing has "
                "been changed -> remove jinja2_native from ansible.cfg, and ANSIBLE_JINJA2_NATIVE from the environment"
            )
        entry_point = options["entry_point"]

        reaction = self._templar.template(task_vars.get(unknown.SWITCH, unknown.ERROR))
        misspelled = list(unknown.problems(task_vars, KNOWN, reaction))
        values, problems = {}, []
        wanted = set(options["roles"])
        # Checks across roles need the options of all roles of an app host, even if only some roles are checked.
        for role in (*(HOST_ROLES if wanted & set(HOST_ROLES) else ()), *sorted(wanted - set(HOST_ROLES))):
            found, missing, mistyped = self._options(role, entry_point, task_vars)
            values.update(found)
            # A variable of a wrong type breaks the templates of other roles; a missing variable does not.
            problems += missing + mistyped if role in wanted else mistyped

        if options["playbook"]:
            problems += self._playbook_problems(options["playbook"], task_vars)
        if not problems:
            context = Context(options=values, find=controller_path)
            # The checks of a role apply only to its main entry point.
            for checks in (shared, *(CHECKS[role] for role in options["roles"] if entry_point == "main")):
                problems += checks.problems(context)
            problems += playbooks.role_problems(context, options["playbook"])

        # If variables of two roles conflict, both roles report the same problem, so remove duplicates.
        found = list(dict.fromkeys([*misspelled, *problems]))
        host = task_vars.get("inventory_hostname", "this host")
        if errors := [problem for problem in found if not isinstance(problem, Doubt)]:
            raise ActionFailure(describe(host, errors))
        result = {}
        if entry_point == "main" and wanted & {"asgi_server", "asgi_proxy"}:
            result["claims"] = claims(values, sorted(wanted))
        elif entry_point == "main" and "asgi_balancer" in wanted:
            result["claims"] = balancer_claims(values)
        if found:
            app = values.get("asgi_name", host)
            result["warnings"] = [
                printable(describe_doubt(app if isinstance(doubt, AppDoubt) else host, doubt)) for doubt in found
            ]
        return result

    def _playbook_problems(self, playbook, task_vars):
        """Return the problems of the variables of *playbook*."""
        names = playbooks.VARIABLES[playbook]
        values, problems = {}, []
        for name in names:
            try:
                if name in task_vars:
                    values[name] = self._templar.template(task_vars[name])
            except AnsibleError as exc:
                problems.append(Problem("template-failed", name, f"cannot be templated: {exc}"))
        host = task_vars["ansible_play_hosts_all"][0]
        compared = playbooks.PER_PLAY | (playbooks.PER_HOST if host != task_vars["inventory_hostname"] else set())
        first = task_vars["hostvars"][host]
        of_first = {name: first[name] for name in compared & set(names) if name in first}
        return problems or playbooks.problems(Context(options=values, find=controller_path), playbook, of_first)

    def _options(self, role, entry_point, task_vars):
        """Return the valid options of an entry point of *role*, the problems of missing options, and the problems of invalid options."""
        spec = SPECIFICATIONS[role]["argument_specs"][entry_point]["options"]

        given = {**DEFAULTS[role], **task_vars}
        templar = self._templar.copy_with_new_env(available_variables=given)
        values, problems = {}, []
        for name, option in spec.items():
            if name not in given:
                if option.get("required"):
                    problems.append(Problem("required-missing", name, "is not set", purpose(option)))
                continue
            try:
                values[name] = templar.template(given[name])
            except AnsibleError as exc:
                problems.append(Problem("template-failed", name, f"cannot be templated: {exc}"))
        good, mistyped = typed(spec, values)
        return good, problems, mistyped
