# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the processes and timers of an app. No message contains a value of an environment."""

from __future__ import annotations

import difflib
import re
import signal
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._command.journal import WEB
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import check_environment
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.processes import (
    NAME,
    PROCESS,
    TIMER,
    calendar,
    is_argument,
    is_program,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Problem, shown

PROCESSES, TIMERS, PROCFILE = "asgi_server_processes", "asgi_server_timers", "asgi_server_procfile"

SIZE = re.compile(r"[1-9][0-9]*[KMGT]?|infinity|[1-9][0-9]?%|100%")
QUOTA = re.compile(r"[1-9][0-9]*%")
# The characters of calendar expressions, see systemd.time(7).
SCHEDULE = re.compile(r"[A-Za-z0-9*.,/:~+_ -]{1,200}")
CRON = re.compile(r"([0-9*,/-]+ +){4}[0-9A-Za-z*,/-]+")
SIGNALS = frozenset(each.name for each in signal.valid_signals() if isinstance(each, signal.Signals)) - {
    "SIGKILL",
    "SIGSTOP",
}
# A longer timeout could block a slot for more than a week.
MOST_SECONDS = 7 * 86400
MOST_INSTANCES = 64


def problems(options: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of the processes and timers in the role's *options*."""
    processes, timers = options[PROCESSES], options[TIMERS]
    for variable, entries, check in ((PROCESSES, processes, _process), (TIMERS, timers, _timer)):
        for name, entry in entries.items():
            if not isinstance(name, str) or not NAME.fullmatch(name):
                yield Problem("process-name-invalid", variable, f"contains {shown(name)}")
            elif name == WEB:
                fault = f"contains {shown(name)}, which is the web server for the command asgi and in a Procfile"
                yield Problem("process-name-invalid", variable, fault, "choose another name")
            elif not isinstance(entry, Mapping):
                yield Problem("type-wrong", f"{variable}.{name}", "is not a dictionary", "use a dictionary")
            else:
                yield from check(f"{variable}.{name}", entry, options)
    for name in processes.keys() & timers.keys():
        yield Problem("process-name-duplicate", f"{TIMERS}.{name}", f"has the name of a process in {PROCESSES}")


def _process(path: str, entry: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _keys(path, entry, {"command", *PROCESS})
    # The command may be in the Procfile, which only the host has.
    yield from _command(f"{path}.command", entry.get("command"), required=not options[PROCFILE])
    yield from _number(f"{path}.instances", entry.get("instances"), 1, MOST_INSTANCES)
    yield from _boolean(f"{path}.exclusive", entry.get("exclusive"))
    if entry.get("exclusive") is True and entry.get("instances") not in (None, 1):
        yield Problem(
            "process-exclusive-instances", path, f"is exclusive, but has {shown(entry['instances'])} instances"
        )
    yield from _choice(f"{path}.hosts", entry.get("hosts"), ("all", "first"))
    yield from _choice(f"{path}.reload", entry.get("reload"), ("restart", "signal"))
    if entry.get("stop_signal") is not None and entry["stop_signal"] not in tuple(SIGNALS):
        yield Problem("process-signal-invalid", f"{path}.stop_signal", f"is {shown(entry['stop_signal'])}")
    yield from _number(f"{path}.stop_timeout", entry.get("stop_timeout"), 1, MOST_SECONDS)
    yield from _ready(f"{path}.ready", entry.get("ready"))
    for key, pattern, code in (
        ("memory_max", SIZE, "memory-limit-invalid"),
        ("cpu_quota", QUOTA, "cpu-quota-invalid"),
    ):
        if entry.get(key) is not None and not pattern.fullmatch(str(entry[key])):
            yield Problem(code, f"{path}.{key}", f"is {shown(entry[key])}")
    yield from _environment(f"{path}.environment", entry.get("environment"))


def _timer(path: str, entry: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _keys(path, entry, {"command", "schedule", *TIMER})
    yield from _command(f"{path}.command", entry.get("command"))
    yield from _schedule(f"{path}.schedule", entry.get("schedule"))
    yield from _number(f"{path}.timeout", entry.get("timeout"), 1, MOST_SECONDS)
    yield from _boolean(f"{path}.persistent", entry.get("persistent"))
    yield from _choice(f"{path}.hosts", entry.get("hosts"), ("first", "all"))
    yield from _command(f"{path}.on_failure", entry.get("on_failure"), required=False)
    yield from _environment(f"{path}.environment", entry.get("environment"))


def _keys(path: str, entry: Mapping[str, Any], known: set[str]) -> Iterator[Problem]:
    for key in entry:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"keys are {', '.join(sorted(known))}"
            yield Problem("key-unknown", f"{path}.{key}", "is not a known key", remedy)


def _command(path: str, command: Any, required: bool = True) -> Iterator[Problem]:
    if command is None:
        if required:
            yield Problem("process-command-missing", path, "is not set")
        return
    if not isinstance(command, list) or not command or not all(_is_word(word) for word in command):
        yield Problem("process-command-invalid", path, f"is {shown(command)}")
    elif not is_program(str(command[0])):
        remedy = "use the name of a program, an absolute path, or a path relative to the code"
        yield Problem("process-command-invalid", path, f"starts with {shown(command[0])}", remedy)


def _is_word(word: Any) -> bool:
    """Return whether *word* is an argument: YAML parses an unquoted number as one."""
    return isinstance(word, (str, int, float)) and not isinstance(word, bool) and is_argument(str(word))


def _schedule(path: str, schedule: Any) -> Iterator[Problem]:
    if schedule is None:
        yield Problem("timer-schedule-missing", path, "is not set")
        return
    text = str(schedule)
    if not isinstance(schedule, (str, int)) or isinstance(schedule, bool) or not SCHEDULE.fullmatch(text):
        yield Problem("timer-schedule-invalid", path, f"is {shown(schedule)}")
    elif CRON.fullmatch(text.strip()) or re.fullmatch(r"[0-9]+", text.strip()):
        yield Problem("timer-schedule-invalid", path, f"is {shown(schedule)}, which is not systemd's format")
    else:
        try:
            calendar(text)
        except ValueError as exc:
            yield Problem("timer-schedule-invalid", path, f"is invalid: {exc}")


def _ready(path: str, ready: Any) -> Iterator[Problem]:
    if ready is None:
        return
    if not isinstance(ready, Mapping) or len(ready.keys() & {"seconds", "command"}) != 1 or None in ready.values():
        yield Problem("process-ready-invalid", path, f"is {shown(ready)}")
        return
    yield from _keys(path, ready, {"seconds"} if "seconds" in ready else {"command", "timeout"})
    yield from _number(f"{path}.seconds", ready.get("seconds"), 0, 3600)
    yield from _number(f"{path}.timeout", ready.get("timeout"), 1, 3600)
    if "command" in ready:
        yield from _command(f"{path}.command", ready["command"])


def _environment(path: str, environment: Any) -> Iterator[Problem]:
    if environment is None:
        return
    if not isinstance(environment, Mapping):
        yield Problem("type-wrong", path, "is not a dictionary", "use a dictionary")
        return
    try:
        check_environment(dict(environment))
    except ValueError as exc:
        yield Problem("environment-invalid", path, f"is invalid: {exc}")


def _number(path: str, value: Any, least: int, most: int) -> Iterator[Problem]:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        yield Problem("number-out-of-range", path, f"is {shown(value)}", f"use an integer from {least} to {most}")


def _boolean(path: str, value: Any) -> Iterator[Problem]:
    if value is not None and not isinstance(value, bool):
        yield Problem("boolean-invalid", path, f"is {shown(value)}")


def _choice(path: str, value: Any, choices: tuple[str, ...]) -> Iterator[Problem]:
    if value is not None and value not in choices:
        yield Problem("choice-invalid", path, f"is {shown(value)}", f"use {' or '.join(map(repr, choices))}")
