# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command of a release in a module, and return its output as the result of the module."""

from __future__ import annotations

import os
import pwd
from typing import Callable, NoReturn

from ansible_collections.asgi.deploy.plugins.module_utils._app.command_context import CommandContext
from ansible_collections.asgi.deploy.plugins.module_utils._app.write_faults import write_advice
from ansible_collections.asgi.deploy.plugins.module_utils._host.failed_output import condense
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TimedOut, TransientUnit


def run_captured(
    module: HostModule,
    paths: dict,
    context: CommandContext,
    argv: list[str],
    environment: dict[str, str],
    timeout: int,
    mask: Callable[[str], str],
) -> NoReturn:
    """Run *argv* as the account of the app with the layout *paths*, and end the *module* with the output, changed by *mask*."""
    try:
        pwd.getpwnam(paths["user"])
    except KeyError:
        module.fail_json(msg=f"there is no account {paths['user']!r} on this host: run the asgi_app role first")
    # The name contains the process id, because several hooks may run concurrently.
    unit = TransientUnit(f"asgi-command-{paths['name']}-{os.getpid()}", paths["user"], context.sandbox)
    try:
        with module.reporting(f"{argv[0]} cannot be run in {context.directory}: "):
            status, out, err = unit.run(argv, context.directory, environment, timeout, create=bool(context.shared))
    except TimedOut as exc:
        fault, result = f"did not end within {timeout} s, and was killed", {"stdout": exc.out, "stderr": exc.err}
    else:
        fault, result = f"ended with status {status}" if status else "", {"rc": status, "stdout": out, "stderr": err}
    result.update({name: mask(result[name]) for name in ("stdout", "stderr")})
    if fault:
        output = condense((result["stderr"] or result["stdout"]).strip(), first=0, last=15).splitlines()
        # Start with the cause, which is the last line of a traceback; the traceback follows.
        cause = output[-1].strip() if output else "no output"
        advice = write_advice(paths["name"], result["stderr"] + result["stdout"])
        cause += f"; {advice}" if advice else ""
        module.fail_json(msg="\n".join([f"{argv[0]} {fault}: {cause}", *(output if len(output) > 1 else [])]), **result)
    module.exit_json(changed=True, **result)
