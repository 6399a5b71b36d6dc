# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the processes and timers that an app runs besides its web server, and render their unit files.

A unit file contains placeholders for the program of a command, the directory of the release, the other slot, and the number of the
instance. The host replaces them when it puts the configuration into a slot (module_utils/_app/process_files.py).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Container, Mapping
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.process_files import (
    INSTANCE,
    ORDER,
    OTHER,
    PROCESSES_FILE,
    PROGRAM,
    file_of,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import SHARED, properties
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import FAILED, layout, process_unit, target_unit
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.systemd_unit import value as systemd_value
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.sandbox import rendered

Process = dict[str, Any]

PROCESS: Process = {
    "instances": 1,
    "exclusive": False,
    "hosts": "all",
    "stop_signal": "SIGTERM",
    "stop_timeout": 60,
    "reload": "restart",
    "ready": {"seconds": 3},
    "memory_max": None,
    "cpu_quota": None,
    "environment": {},
}
TIMER: Process = {"timeout": 3600, "persistent": True, "hosts": "first", "on_failure": None, "environment": {}}
# The default of ``ready.timeout`` for a command.
READY_TIMEOUT = 30

NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
# systemd reads the program literally.
PROGRAM_NAME = re.compile(r"[A-Za-z0-9_./+][A-Za-z0-9_./+-]*")
# The placeholders that the host replaces in unit files.
PLACEHOLDER = re.compile(r"@(program:.*|release|instance|other|order)@")

# Assumed MiB of an instance without memory_max, the same as for a worker whose memory has not been measured.
ESTIMATED_MEMORY = 128

# Entries of a Procfile that are not run as processes, and the reason.
EXPLAINED = {
    "web": "asgi_module and asgi_server_type run the web server",
    "release": "asgi_app_migrate runs a command before a release is activated",
}

# Settings of asgi_server_unit_settings that also apply to processes: the restrictions, credentials and logs. The others belong to the web
# server, for instance RuntimeDirectory=, which systemd would remove when the first of several units stops.
INHERITED = re.compile(rf"(?:{SHARED.pattern})|(?:Load|Import|Set)Credential\w*|Log[A-Z]\w*|OOM\w+")

HEAD = "# Managed by the Ansible collection asgi.deploy; changes are overwritten.\n"

DIVISORS = {"s": (60, "*-*-* *:*:{}"), "min": (60, "*-*-* *:{}:00"), "h": (24, "*-*-* {}:00:00")}
INTERVAL = re.compile(r"([0-9]+) *(s|sec|min|m|h|hour)s?", re.ASCII)
UNITS = {"sec": "s", "m": "min", "hour": "h"}


def interval(schedule: str) -> tuple[int, str] | None:
    """Return the number and the unit of *schedule* if it is an interval, such as ``15min``; None if it is a calendar expression."""
    found = INTERVAL.fullmatch(schedule.strip())
    return (int(found[1]), UNITS.get(found[2], found[2])) if found else None


def calendar(schedule: str) -> str:
    """Return *schedule* as a calendar expression; raise ValueError for an interval that does not divide a minute, an hour or a day.

    An interval is counted from the full minute, hour or day. If systemd counted it from the start of the timer, each activation would
    postpone the next run.
    """
    given = interval(schedule)
    if given is None:
        return schedule.strip()
    number, unit = given
    whole, pattern = DIVISORS[unit]
    if number < 1 or whole % number:
        raise ValueError(
            f"the interval {schedule} does not divide {'a day' if unit == 'h' else 'an hour' if unit == 'min' else 'a minute'}"
        )
    if number == whole:
        return {"s": "*-*-* *:*:00", "min": "*-*-* *:00:00", "h": "*-*-* 00:00:00"}[unit]
    return pattern.format(f"00/{number}")


def is_program(text: str) -> bool:
    """Return whether *text* can be the program of a command."""
    return PROGRAM_NAME.fullmatch(text) is not None and ".." not in text.split("/")


def is_argument(text: str) -> bool:
    """Return whether *text* can be an argument of a command."""
    try:
        systemd_value(f"{text}.")  # a backslash at the end is quoted
    except ValueError:
        return False
    return text != "" and not PLACEHOLDER.search(text)


# ---- Procfile


def parse_procfile(text: str, replaced: Container[str] = ()) -> dict[str, list[str]]:
    """Return the command of each entry in *text*, the content of a Procfile, except those that are *replaced*.

    Raises ValueError for an entry that needs a shell, or cannot be part of a unit file: a Procfile comes from the source, which must not
    configure units that systemd reads as root.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = re.fullmatch(r"\s*([A-Za-z0-9_-]+)\s*:\s*(\S.*?)\s*", line)
        if not entry:
            raise ValueError(f"line {number} of the Procfile is not an entry 'name: command'")
        name, command = entry.groups()
        if name in EXPLAINED or name in replaced:
            continue
        if not NAME.fullmatch(name):
            raise ValueError(
                f"line {number} of the Procfile: {name} is no name of a process: use 1 to 31 lower-case letters, digits, '_' and '-' "
                "that start with a letter"
            )
        if re.search(r"[$`|&;<>()*?]", command):
            raise ValueError(
                f"line {number} of the Procfile uses a shell, which does not run here: set asgi_server_processes.{name}.command "
                "to the program and its arguments"
            )
        try:
            words = shlex.split(command)
        except ValueError as exc:
            raise ValueError(f"line {number} of the Procfile: {exc}") from exc
        if not is_program(words[0]):
            raise ValueError(
                f"line {number} of the Procfile does not start with a program: set asgi_server_processes.{name}.command, and variables "
                f"in asgi_server_processes.{name}.environment"
            )
        if not all(map(is_argument, words[1:])):
            raise ValueError(
                f"line {number} of the Procfile contains an argument that is empty or unprintable: set "
                f"asgi_server_processes.{name}.command"
            )
        found[name] = words
    return found


def procfile_notes(text: str) -> list[str]:
    """Return an explanation for each entry of the Procfile *text* that does not run."""
    found = re.findall(r"^\s*([A-Za-z0-9_-]+)\s*:", text, re.MULTILINE)
    return [f"the entry {name} of the Procfile does not run: {EXPLAINED[name]}" for name in found if name in EXPLAINED]


def with_procfile(processes: Mapping[str, Mapping], text: str | None) -> dict[str, Process]:
    """Return *processes* with those of the Procfile *text* added; options of the inventory take precedence."""
    replaced = {name for name, options in processes.items() if options.get("command")}
    commands = parse_procfile(text, replaced) if text is not None else {}
    names = [*commands, *(name for name in processes if name not in commands)]
    found = {}
    for name in names:
        options = {**({"command": commands[name]} if name in commands else {}), **processes.get(name, {})}
        if not options.get("command"):
            raise ValueError(f"asgi_server_processes.{name} has no command, and the Procfile has no entry {name}")
        found[name] = options
    return found


# ---- plan


def complete(process: Mapping[str, Any]) -> Process:
    """Return *process* with the defaults of its options."""
    found = {**PROCESS, **{key: value for key, value in process.items() if value is not None}}
    ready = found["ready"]
    return {**found, "ready": {"timeout": READY_TIMEOUT, **ready} if "command" in ready else ready}


def complete_timer(timer: Mapping[str, Any]) -> Process:
    """Return *timer* with the defaults of its options."""
    return {**TIMER, **{key: value for key, value in timer.items() if value is not None}}


def is_first(host: str, app: str, play: list[str], pattern: str, groups: Mapping, hostvars: Mapping) -> bool:
    """Return whether *host* is the first host of *app*.

    If *pattern*, the hosts of the playbooks, is a group that contains *host*, the order is that of the group, regardless of --limit.
    Otherwise, it is that of *play*. A host without its own asgi_name has that of the play.
    """
    hosts = groups.get(pattern, []) if isinstance(pattern, str) else []
    hosts = hosts if host in hosts else play
    return next((each for each in hosts if hostvars[each].get("asgi_name", app) == app), host) == host


def process_plan(
    processes: Mapping[str, Mapping],
    timers: Mapping[str, Mapping],
    procfile: str | None = None,
    **place: Any,
) -> dict[str, dict[str, Process]]:
    """Return the processes and timers that run on a host, with the defaults of their options.

    *procfile* is the text of a Procfile, *place* the arguments of is_first(). ``counted`` contains the processes of all hosts, for the worker
    plan, which must not differ between hosts.
    """
    found = {
        "processes": {name: complete(entry) for name, entry in with_procfile(processes, procfile).items()},
        "timers": {name: complete_timer(entry) for name, entry in timers.items()},
    }
    for name in sorted(found["processes"].keys() & timers.keys()):
        raise ValueError(f"asgi_server_timers.{name} has the name of a process in the Procfile: rename the timer")
    entries = [entry for kind in found.values() for entry in kind.values()]
    # hostvars are slow with many hosts
    here = any(entry["hosts"] == "first" for entry in entries) and is_first(**place)
    selected = {
        kind: {name: entry for name, entry in each.items() if here or entry["hosts"] == "all"}
        for kind, each in found.items()
    }
    return {**selected, "counted": found["processes"]}


def process_memory(processes: Mapping[str, Mapping], size: Any) -> int:
    """Return the MiB of all instances during a deploy, when the old and the new ones run; *size* converts memory_max to MiB."""
    total = 0
    for entry in processes.values():
        mebibytes = size(entry["memory_max"])
        copies = entry["instances"] * (1 if entry["exclusive"] else 2)
        total += copies * (ESTIMATED_MEMORY if mebibytes is None else mebibytes)
    return total


# ---- unit files


def word(text: str) -> str:
    """Return *text* as one argument of ExecStart=: quoted, and without the expansion of specifiers and variables.

    ``{instance}`` and ``{slot}`` stand for the number of the instance and the slot.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return '"' + escaped.replace("{instance}", INSTANCE).replace("{slot}", "%i") + '"'


def command_line(command: list) -> str:
    """Return *command* for ExecStart=; the host replaces the program, which is in the release or in the system."""
    program, *arguments = map(str, command)
    return " ".join([PROGRAM.format(program), *map(word, arguments)])


def _limits(process: Process, app: str, sandbox: Mapping[str, Any]) -> list[str]:
    """Return the sandbox of the web server, with the limits of *process* instead of those of the web server."""
    inherited = {name: value for name, value in sandbox["unit_settings"].items() if INHERITED.fullmatch(name)}
    own = {name: process.get(name) for name in ("memory_max", "cpu_quota")}
    settings = properties(app, {**sandbox, **dict.fromkeys(own), "unit_settings": inherited})
    limits = []
    if own["memory_max"] is not None:
        limits.append(("MemoryMax", own["memory_max"]))
    if own["cpu_quota"] is not None:
        limits.append(("CPUQuota", own["cpu_quota"]))
    return [f"{name}={rendered(name, value)}" for name, value in [*settings, *limits]]


def _text(*sections: list[str]) -> str:
    return HEAD + "\n\n".join("\n".join(section) for section in sections) + "\n"


def process_files(plan: Mapping[str, Mapping], app: str, common: str, sandbox: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a configuration for the processes and timers of *plan* by name; none if there are none.

    *common* contains the settings that all of them share, *sandbox* the variables of the sandbox without their prefix.
    """
    files, entries = {}, {}
    for name, entry in sorted(plan["processes"].items()):
        files[file_of(name)] = _process_unit(app, name, entry, common, _limits(entry, app, sandbox))
        entries[name] = {
            "kind": "process",
            "command": list(map(str, entry["command"])),
            **{key: entry[key] for key in ("instances", "exclusive", "reload", "ready", "stop_timeout")},
        }
    for name, entry in sorted(plan["timers"].items()):
        limits = _limits(entry, app, sandbox)
        files[file_of(name)] = _job_unit(app, name, entry, common, limits)
        files[file_of(name, kind="timer")] = _timer_unit(app, name, entry)
        if entry["on_failure"]:
            files[file_of(name, FAILED)] = _failure_unit(app, name, entry, common, limits)
        entries[name] = {"kind": "timer", "command": list(map(str, entry["command"])), "timeout": entry["timeout"]}
    if entries:
        files[PROCESSES_FILE] = json.dumps(entries, indent=1, sort_keys=True) + "\n"
    return files


def process_environments(plan: Mapping[str, Mapping]) -> dict[str, dict]:
    """Return the additional environment of each process and timer of *plan* that has one."""
    entries = {**plan["processes"], **plan["timers"]}
    return {name: entry["environment"] for name, entry in entries.items() if entry["environment"]}


def _environment_file(app: str, name: str) -> str:
    # The file exists only if the process has its own environment.
    return f"EnvironmentFile=-{layout(app)['home']}/slots/%i/config/{file_of(name, kind='env')}"


def _process_unit(app: str, name: str, entry: Process, common: str, limits: list[str]) -> str:
    unit = [
        "[Unit]",
        f"Description={app}, process {name} {INSTANCE}, slot %i",
        f"PartOf={target_unit(app, '%i')}",
        "After=network-online.target",
        "Wants=network-online.target",
        "# Restart without a limit, so that the process recovers from a long outage of its queue.",
        "StartLimitIntervalSec=0",
    ]
    if entry["exclusive"]:
        other = process_unit(app, OTHER, name, INSTANCE)
        unit += [
            "# systemd stops the process of the other slot first, even if an operator starts this one.",
            f"Conflicts={other}",
            f"{ORDER}={other}",
        ]
    service = [
        "[Service]",
        "# A start fails if the program cannot be executed.",
        "Type=exec",
        _environment_file(app, name),
        f"Environment=ASGI_PROCESS={name} ASGI_INSTANCE={INSTANCE}",
        "# The size of this file is the number of starts, for the metrics.",
        f"ExecStartPre=-+/usr/bin/truncate --size=+1 {layout(app)['run']}/%p@%i.starts",
        f"ExecStart={command_line(entry['command'])}",
        *(["ExecReload=/bin/kill -s HUP $MAINPID"] if entry["reload"] == "signal" else []),
        "Restart=always",
        "RestartSec=2",
        f"KillSignal={entry['stop_signal']}",
        f"TimeoutStopSec={entry['stop_timeout']}",
    ]
    return _text(unit, [common.rstrip()], service, limits)


def _job_unit(app: str, name: str, entry: Process, common: str, limits: list[str]) -> str:
    success = f"{layout(app)['timer_successes']}/{name}"
    unit = ["[Unit]", f"Description={app}, timer {name}, slot %i"]
    if entry["on_failure"]:
        unit.append(f"OnFailure={process_unit(app, '%i', name, FAILED)}")
    service = [
        "[Service]",
        "Type=oneshot",
        _environment_file(app, name),
        f"Environment=ASGI_PROCESS={name}",
        "# The lock makes this run wait for an unfinished run of the other slot, whose release was replaced.",
        f"ExecStart=/usr/bin/flock --no-fork {success} {command_line(entry['command'])}",
        "# The modification time of this file is that of the last success.",
        f"ExecStartPost=-+/usr/bin/touch {success}",
        f"TimeoutStartSec={entry['timeout']}",
        "TimeoutStopSec=60",
    ]
    return _text(unit, [common.rstrip()], service, limits)


def _failure_unit(app: str, name: str, entry: Process, common: str, limits: list[str]) -> str:
    service = [
        "[Service]",
        "Type=oneshot",
        _environment_file(app, name),
        f"Environment=ASGI_PROCESS={name}",
        f"ExecStart={command_line(entry['on_failure'])}",
        "TimeoutStartSec=300",
    ]
    unit = ["[Unit]", f"Description={app}, after a failure of the timer {name}, slot %i"]
    return _text(unit, [common.rstrip()], service, limits)


def _timer_unit(app: str, name: str, entry: Process) -> str:
    unit = ["[Unit]", f"Description={app}, timer {name}, slot %i", f"PartOf={target_unit(app, '%i')}"]
    timer = [
        "[Timer]",
        f"OnCalendar={systemd_value(calendar(str(entry['schedule'])))}",
        f"Persistent={systemd_value(entry['persistent'])}",
        "AccuracySec=1s",
    ]
    return _text(unit, timer)
