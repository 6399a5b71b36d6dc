# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host command ``asgi APP COMMAND``: status, releases, logs, run, shell, env and restart of an app on this host.

The module release installs it as a zip file, which contains this module and the modules that it imports.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn, TextIO

from ansible_collections.asgi.deploy.plugins.module_utils._app.deploy_marker import FAILED, SUCCEEDED, DeployMarker
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import ActivationError, App
from ansible_collections.asgi.deploy.plugins.module_utils._command.app_status import describe, releases
from ansible_collections.asgi.deploy.plugins.module_utils._command.attached import attach
from ansible_collections.asgi.deploy.plugins.module_utils._command.journal import WEB, check_process, journal_command
from ansible_collections.asgi.deploy.plugins.module_utils._command.report import release_lines, status_lines
from ansible_collections.asgi.deploy.plugins.module_utils._command.restart import restart
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.failures import EXPECTED, error_message
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import UMASK
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.module_utils._host.run_command import run_command
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Systemd

BASH, SH = "/bin/bash", "/bin/sh"


class Refused(Reported):
    """The command cannot be executed; the message contains the reason."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute the command line *arguments*; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    if os.geteuid() != 0:
        return _fail(f"root is required -> sudo asgi {shlex.join(given)}")
    os.umask(UMASK)
    try:
        paths = layout(options.app)
        if not os.path.isdir(paths["slots_directory"]):
            raise Refused(f"no release of {options.app} has been activated on this host -> run deploy.yml")
        app = App(paths, Systemd(run_command), by=os.environ.get("SUDO_USER") or os.environ.get("USER") or "")
        return options.execute(app, options)
    except ActivationError as exc:
        return _fail("\n".join([f"{options.app} was not restarted: {exc}", app.serving(), exc.journal]).rstrip())
    except EXPECTED as exc:
        return _fail(error_message(exc))
    except KeyboardInterrupt:
        return 130


def _fail(message: str) -> int:
    _print(f"asgi: {message}", sys.stderr)
    return 1


def _print(text: str, stream: TextIO | None = None) -> None:
    """Print *text*, which may quote the output of the app, without escape sequences for root's terminal."""
    # ansible-test rejects print() in module_utils, because it would corrupt the result of a module. This is a program.
    (stream or sys.stdout).write(f"{printable(text)}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asgi", allow_abbrev=False, description="Operate an app on this host.")
    parser.add_argument("app", metavar="APP", help="name of the app")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name, execute, text):
        found = commands.add_parser(
            name, help=text, description=f"{text}.", allow_abbrev=False, prog=f"asgi APP {name}"
        )
        found.set_defaults(execute=execute)
        return found

    command("status", _status, "Show the live release; the exit status is 0 if it is active")
    command("releases", _releases, "List the activations of releases, the newest first")
    logs = command("logs", _logs, "Print the log of the app")
    logs.add_argument("-f", "--follow", action="store_true", help="wait for new lines")
    logs.add_argument("-n", "--lines", type=_count, default=100, metavar="N", help="number of lines (default: 100)")
    logs.add_argument("--since", metavar="TIME", help="start at TIME, such as '10 min ago' or '2026-01-31 12:00'")
    logs.add_argument("process", nargs="?", metavar="PROCESS", help=f"only this process; the web server is {WEB!r}")
    run = command("run", _run, "Run a command as the app, in its environment and sandbox")
    shell = command("shell", _shell, "Start a shell as the app, in its environment and sandbox")
    for each in (run, shell):
        each.add_argument("--release", metavar="ID", help="use the code of this release instead of the live one")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND...", help="the command and its arguments")
    env = command("env", _env, "List the names of the app's environment variables")
    env.add_argument("--names", action="store_true", required=True, help="print only names; values are secret")
    again = command("restart", _restart, "Restart a process, or the web server without losing requests")
    again.add_argument("process", nargs="?", default=WEB, metavar="PROCESS", help=f"default: {WEB}")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def _status(app: App, _options: argparse.Namespace) -> int:
    found = describe(app, run_command)
    _print("\n".join(status_lines(found)))
    return 0 if found["state"] == "active" else 1


def _releases(app: App, _options: argparse.Namespace) -> int:
    app.log()  # Fails if the log is damaged.
    _print("\n".join(release_lines(releases(app), app.staged())))
    return 0


def _env(app: App, _options: argparse.Namespace) -> int:
    _print("\n".join(sorted(app.environment(_live(app)))))
    return 0


def _logs(app: App, options: argparse.Namespace) -> NoReturn:
    command = journal_command(app, options.process, options.lines, options.since)
    command += ["--follow"] if options.follow else []
    os.execvp(command[0], command)


def _run(app: App, options: argparse.Namespace) -> int:
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise Refused(f"the command is missing -> asgi {app.paths['name']} run COMMAND...")
    return attach(app, _live(app), options.release, argv)


def _shell(app: App, options: argparse.Namespace) -> int:
    prompt = rf"{app.paths['name']} {options.release or _live(app).release} \W\$ "
    argv = ["env", f"PS1={prompt}", BASH, "--norc"] if os.path.exists(BASH) else [SH]
    return attach(app, _live(app), options.release, argv)


def _restart(app: App, options: argparse.Namespace) -> int:
    check_process(app, options.process, timers=False)
    with app.lock(why=f"restarts {options.process}"):
        state = app.state()
        if state.live is None:
            raise Refused(f"no release of {app.paths['name']} is live -> run deploy.yml")
        marker = DeployMarker("restart", app.paths, app.by)
        marker.source = marker.target = state.live_pair
        try:
            if options.process == WEB:
                found = restart(app, state, run_command)
            else:
                units = app.reload_processes(state.live, only=options.process)
        except (ActivationError, *EXPECTED) as exc:
            marker.write(FAILED, error_message(exc).splitlines()[0])
            _print_problems(app.warnings)
            raise
        marker.write(SUCCEEDED)
    if options.process != WEB:
        _print(f"restarted {' and '.join(units)}")
        return 0
    _print_problems([*app.warnings, *found["site"]["causes"]])
    _print(f"release {state.live_pair.release} was restarted and is live in slot {found['slot']}")
    return 1 if found["site"]["causes"] else 0


def _print_problems(problems: Iterable[str]) -> None:
    for problem in problems:
        _print(f"asgi: {problem}", sys.stderr)


def _live(app: App) -> Pair:
    pair = app.live_pair()
    if pair is None:
        raise Refused(f"no release of {app.paths['name']} is live -> run deploy.yml")
    return pair
