# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of asgi_server_processes and asgi_server_timers."""

from __future__ import annotations

import hostile
import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.processes import problems

GOOD = {"command": ["celery", "-A", "shop", "worker"]}
TIMER = {"command": ["python", "-m", "shop.cleanup"], "schedule": "daily"}


def found(processes=None, timers=None, procfile=False):
    options = {
        "asgi_server_processes": processes or {},
        "asgi_server_timers": timers or {},
        "asgi_server_procfile": procfile,
    }
    return list(problems(options))


def codes(*arguments, **options):
    return [(problem.variable, problem.code) for problem in found(*arguments, **options)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"command": ["/usr/bin/env", "x"]},
        {"command": ["bin/worker", 2, "100%", "a b", '"', "$HOME", "\\"]},
        {"instances": 4, "hosts": "first", "reload": "signal", "stop_signal": "SIGQUIT", "stop_timeout": 3600},
        {"exclusive": True},
        {"exclusive": True, "instances": 1},
        {"exclusive": True, "instances": None},
        {"ready": {"seconds": 0}},
        {"ready": {"command": ["celery", "inspect", "ping"], "timeout": 20}},
        {"memory_max": "512M", "cpu_quota": "50%", "environment": {"A": 1, "KEY": "line\nline"}},
        {"instances": None, "ready": None},
    ],
)
def test_valid_processes(options):
    assert found({"worker": {**GOOD, **options}}) == []


@pytest.mark.parametrize(
    "schedule", ["daily", "*-*-* 03:30", "Mon..Fri 08:00 Europe/Berlin", "15min", "6h", "30s", "1 hour", "24h", "*:0/7"]
)
def test_valid_schedules(schedule):
    assert found(timers={"cleanup": {**TIMER, "schedule": schedule, "on_failure": ["mail", "root"]}}) == []


@pytest.mark.parametrize(
    ("options", "key", "code"),
    [
        ({"comand": 1}, ".comand", "key-unknown"),
        ({"command": None}, ".command", "process-command-missing"),
        ({"command": "celery worker"}, ".command", "process-command-invalid"),
        ({"command": []}, ".command", "process-command-invalid"),
        ({"command": ["celery", True]}, ".command", "process-command-invalid"),
        ({"command": ["celery", "a\nb"]}, ".command", "process-command-invalid"),
        ({"command": ["celery", ""]}, ".command", "process-command-invalid"),
        ({"command": ["celery", "@release@"]}, ".command", "process-command-invalid"),
        ({"command": ["+celery worker"]}, ".command", "process-command-invalid"),
        ({"command": ["-celery"]}, ".command", "process-command-invalid"),
        ({"command": ["../celery"]}, ".command", "process-command-invalid"),
        ({"instances": 0}, ".instances", "number-out-of-range"),
        ({"instances": "2"}, ".instances", "number-out-of-range"),
        ({"exclusive": "yes"}, ".exclusive", "boolean-invalid"),
        ({"exclusive": True, "instances": 2}, "", "process-exclusive-instances"),
        ({"hosts": "one"}, ".hosts", "choice-invalid"),
        ({"reload": "hup"}, ".reload", "choice-invalid"),
        ({"stop_signal": "SIGKILL"}, ".stop_signal", "process-signal-invalid"),
        ({"stop_signal": "TERM"}, ".stop_signal", "process-signal-invalid"),
        ({"stop_signal": ["SIGTERM"]}, ".stop_signal", "process-signal-invalid"),
        ({"stop_timeout": 0}, ".stop_timeout", "number-out-of-range"),
        ({"ready": 3}, ".ready", "process-ready-invalid"),
        ({"ready": {"seconds": 3, "command": ["a"]}}, ".ready", "process-ready-invalid"),
        ({"ready": {"seconds": None}}, ".ready", "process-ready-invalid"),
        ({"ready": {"command": ["a"], "timeout": None}}, ".ready", "process-ready-invalid"),
        ({"ready": {"command": "ping"}}, ".ready.command", "process-command-invalid"),
        ({"ready": {"seconds": 3, "timeout": 3}}, ".ready.timeout", "key-unknown"),
        ({"memory_max": "1 GB"}, ".memory_max", "memory-limit-invalid"),
        ({"cpu_quota": "1"}, ".cpu_quota", "cpu-quota-invalid"),
        ({"environment": ["A"]}, ".environment", "type-wrong"),
        ({"environment": {"A-B": "x"}}, ".environment", "environment-invalid"),
    ],
)
def test_invalid_processes(options, key, code):
    assert codes({"worker": {**GOOD, **options}}) == [(f"asgi_server_processes.worker{key}", code)]


@pytest.mark.parametrize(
    ("schedule", "code"),
    [
        (None, "timer-schedule-missing"),
        ("0 3 * * *", "timer-schedule-invalid"),
        (15, "timer-schedule-invalid"),
        ("7min", "timer-schedule-invalid"),
        ("0h", "timer-schedule-invalid"),
        ("5h", "timer-schedule-invalid"),
        ("daily\nExecStart=/bin/id", "timer-schedule-invalid"),
        ("%i", "timer-schedule-invalid"),
    ],
)
def test_invalid_schedules(schedule, code):
    given = {key: value for key, value in {**TIMER, "schedule": schedule}.items() if value is not None}
    assert codes(timers={"cleanup": given}) == [("asgi_server_timers.cleanup.schedule", code)]


@pytest.mark.parametrize("name", ["web", "Worker", "1st", "a.b", "a@b", "", "a" * 32, "über", 7])
def test_invalid_names(name):
    assert codes({name: GOOD}) == [("asgi_server_processes", "process-name-invalid")]


def test_names_are_unique():
    assert codes({"cleanup": GOOD}, {"cleanup": TIMER}) == [("asgi_server_timers.cleanup", "process-name-duplicate")]


def test_entry_is_a_dictionary():
    assert codes({"worker": ["celery"]}) == [("asgi_server_processes.worker", "type-wrong")]


def test_procfile_may_contain_the_command():
    assert codes({"worker": {"instances": 2}}, procfile=True) == []


@pytest.mark.parametrize("value", ["s3cret\0", ["s3cret"], {"a": "s3cret"}])
def test_messages_omit_the_environment(value):
    messages = [str(problem) for problem in found({"worker": {**GOOD, "environment": {"TOKEN": value}}})]
    assert messages
    assert not any("s3cret" in message for message in messages)


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_hostile_names_schedules_and_programs_are_rejected_or_harmless(text):
    """A unit file would interpret these values; arguments are quoted, see test_processes.py of _server."""
    for options in ({text: GOOD}, {"worker": {"command": [text]}}, {"worker": {**GOOD, "memory_max": text}}):
        if not found(options):
            value = next(iter(options.values()))
            accepted = [*options, *value["command"][:1], str(value.get("memory_max", "1G"))]
            assert not any(set(each) & set("\n\r\0%$\\\"' ;=@{}") for each in accepted), text
    if not found(timers={"cleanup": {**TIMER, "schedule": text}}):
        assert not set(text) & set("\n\r\0%$\\\"';=@{}")
