# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of rolling_maintenance.yml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import values
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Problem, shown

REBOOT = ("true", "false", "if-required")
LINGERING = ("end", "cut", "refuse")
KEPT = ("return", "drained")
# Variables that define the work on a drained host; at least one must be set.
WORK = ("asgi_maintain_tasks", "asgi_maintain_upgrade", "asgi_maintain_reboot")
VARIABLES = (
    "asgi_name",
    "asgi_balancer_hosts",
    *WORK,
    "asgi_maintain_batches",
    "asgi_deploy_max_failures",
    "asgi_maintain_min_servers",
    "asgi_maintain_drain_timeout",
    "asgi_maintain_lingering",
    "asgi_maintain_on_failure",
    "asgi_maintain_return_timeout",
)


def work_problems(options: dict[str, Any]) -> Iterator[Problem]:
    """Yield a problem if no variable defines work on the hosts."""
    if not any(_is_work(name, options[name]) for name in WORK if name in options):
        yield Problem("maintenance-without-work", "asgi_maintain_tasks", "is not set")


def _is_work(name: str, value: Any) -> bool:
    """Return whether *value* requests work. An invalid value counts as work, because another check already reports it."""
    if name == "asgi_maintain_upgrade":
        return values.meaning(value) is not False
    return name != "asgi_maintain_reboot" or not (isinstance(value, (bool, str)) and str(value).lower() == "false")


def _reboot(name: str, value: Any) -> Iterator[Problem]:
    # YAML parses unquoted true and false as booleans.
    if not isinstance(value, (bool, str)) or str(value).lower() not in REBOOT:
        yield Problem("choice-invalid", name, f"is {shown(value)}", "use true, false or 'if-required'")


CHECKS: dict[str, values.Check] = {
    "asgi_maintain_batches": values.batches,
    "asgi_maintain_drain_timeout": values.number(0),
    "asgi_maintain_lingering": values.one_of(*LINGERING),
    "asgi_maintain_min_servers": values.number(0),
    "asgi_maintain_on_failure": values.one_of(*KEPT),
    "asgi_maintain_reboot": _reboot,
    "asgi_maintain_return_timeout": values.number(1),
    "asgi_maintain_upgrade": values.switch,
}
