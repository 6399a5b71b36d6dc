# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the processes and timers, and their unit files."""

from __future__ import annotations

import re

import hostile
import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_files import NoProgram, find_program, unit_files
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import VARIABLES
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.processes import problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.processes import (
    calendar,
    command_line,
    parse_procfile,
    process_environments,
    process_files,
    process_memory,
    process_plan,
    procfile_notes,
    with_procfile,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.workers import size

COMMON = "[Service]\nUser=shop\nWorkingDirectory=@release@/code\n"
WORKER = {"command": ["celery", "-A", "shop", "worker"]}
CLEANUP = {"command": ["python", "-m", "cleanup"], "schedule": "daily"}


HOSTS = {"host": "web1", "app": "shop", "play": ["web1"], "pattern": "asgi", "groups": {}, "hostvars": {"web1": {}}}


def plan(processes=None, timers=None, **place):
    return process_plan(processes or {}, timers or {}, **{**HOSTS, **place})


def files(processes=None, timers=None, sandbox=None, **place):
    return process_files(plan(processes, timers, **place), "shop", COMMON, {**VARIABLES, **(sandbox or {})})


def settings(text):
    found = {}
    for name, value in re.findall(r"^([A-Z]\w*)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_no_processes_no_files():
    assert files() == {}


def test_process():
    found = settings(files({"worker": WORKER})["process.worker.service"])

    assert found["ExecStart"] == ['@program:celery@ "-A" "shop" "worker"']
    assert found["PartOf"] == ["shop@%i.target"]
    assert (found["Restart"], found["KillSignal"], found["TimeoutStopSec"]) == (["always"], ["SIGTERM"], ["60"])
    assert "Conflicts" not in found
    assert "ExecReload" not in found
    assert found["ProtectSystem"] == ["strict"]


def test_exclusive_process_conflicts_with_that_of_the_other_slot():
    found = settings(files({"beat": {**WORKER, "exclusive": True}})["process.beat.service"])

    assert found["Conflicts"] == ["shop.beat.@instance@@@other@.service"]


def test_own_limits_replace_those_of_the_web_server():
    sandbox = {
        "memory_max": "4G",
        "cpu_quota": "300%",
        "unit_settings": {"MemoryMax": "5G", "MemoryDenyWriteExecute": False},
    }
    found = settings(files({"worker": {**WORKER, "memory_max": "512M"}}, sandbox=sandbox)["process.worker.service"])

    assert found["MemoryMax"][-1] == "512M"
    assert "CPUQuota" not in found
    assert found["MemoryDenyWriteExecute"][-1] == "no"


def test_settings_of_the_web_server_are_not_inherited():
    """systemd would remove the directory when the first of several units stops."""
    given = {"unit_settings": {"RuntimeDirectory": "shop-data", "RestartSec": 9, "LoadCredential": "a:/etc/a"}}
    found = settings(files({"worker": WORKER}, sandbox=given)["process.worker.service"])

    assert "RuntimeDirectory" not in found
    assert found["RestartSec"] == ["2"]
    assert found["LoadCredential"] == ["a:/etc/a"]


def test_timer():
    found = files(timers={"cleanup": {**CLEANUP, "timeout": 60, "on_failure": ["notify", "it failed"]}})

    assert sorted(found) == [
        "process.cleanup.failed.service",
        "process.cleanup.service",
        "process.cleanup.timer",
        "processes.json",
    ]
    job = settings(found["process.cleanup.service"])
    assert job["TimeoutStartSec"] == ["60"]
    assert job["OnFailure"] == ["shop.cleanup.failed@%i.service"]
    assert "PartOf" not in job  # a run of the previous release may finish
    assert settings(found["process.cleanup.timer"])["OnCalendar"] == ["daily"]
    assert settings(found["process.cleanup.failed.service"])["ExecStart"] == ['@program:notify@ "it failed"']


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("15min", "*-*-* *:00/15:00"),
        ("6h", "*-*-* 00/6:00:00"),
        ("1h", "*-*-* 00/1:00:00"),
        ("60min", "*-*-* *:00:00"),
        ("24h", "*-*-* 00:00:00"),
        ("10s", "*-*-* *:*:00/10"),
        ("2 hours", "*-*-* 00/2:00:00"),
        ("Mon 04:00", "Mon 04:00"),
    ],
)
def test_schedule(schedule, expected):
    assert calendar(schedule) == expected


FLEET = {
    "play": ["web2", "web3"],
    "groups": {"asgi": ["api1", "web1", "web2", "web3"]},
    "hostvars": {"api1": {"asgi_name": "api"}, "web1": {"asgi_name": "shop"}, "web2": {}, "web3": {}},
}


@pytest.mark.parametrize(
    ("host", "options", "first"),
    [
        ("web1", {}, True),
        ("web2", {}, False),  # --limit web2,web3 does not make it the first
        ("web2", {"pattern": "web*"}, True),
        ("web2", {"pattern": ["web2", "web3"]}, True),
        ("web2", {"groups": {"asgi": ["web1"]}}, True),  # a play of the user on other hosts
        ("web3", {"pattern": "web*"}, False),
    ],
)
def test_first_host(host, options, first):
    given = {"worker": WORKER, "beat": {**WORKER, "hosts": "first", "environment": {"A": "1"}}}
    found = plan(given, {"cleanup": CLEANUP}, **{**FLEET, **options, "host": host})

    assert [*found["processes"], *found["timers"]] == (["worker", "beat", "cleanup"] if first else ["worker"])
    assert list(found["counted"]) == ["worker", "beat"]
    assert process_environments(found) == ({"beat": {"A": "1"}} if first else {})


def test_the_hosts_are_read_only_if_they_matter():
    assert set(plan({"worker": WORKER}, hostvars=None, groups=None)["processes"]) == {"worker"}


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_arguments_are_literal(text):
    options = {
        "asgi_server_processes": {"a": {"command": ["run", text]}},
        "asgi_server_timers": {},
        "asgi_server_procfile": False,
    }
    if list(problems(options)):
        return
    line = command_line(["run", text])
    assert "\n" not in line
    assert systemd_words(line) == ["@program:run@", text]


def systemd_words(line):
    """Split *line* as systemd does: quotes, backslashes, specifiers and variables."""
    program, _space, rest = line.partition(" ")
    words = []
    for quoted in re.findall(r'"((?:[^"\\]|\\.)*)"', rest):
        text = re.sub(r"\\(.)", r"\1", quoted)
        assert not re.search(r"(?<!%)%(?:%%)*(?!%)", text), text
        words.append(text.replace("%%", "%").replace("$$", "$"))
    return [program, *words]


def test_instance_and_slot_in_arguments():
    assert command_line(["celery", "-n", "w{instance}.{slot}@%h"]) == '@program:celery@ "-n" "w@instance@.%i@%%h"'


# ---- Procfile


def test_procfile():
    text = (
        "# comment\nweb: gunicorn app\n\nworker: celery -A shop worker --queues 'a b'\nrelease: alembic upgrade head\n"
    )
    assert parse_procfile(text) == {"worker": ["celery", "-A", "shop", "worker", "--queues", "a b"]}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("worker celery", "line 1 of the Procfile is not an entry"),
        ("a: b\nworker: celery --port $PORT", "line 2 of the Procfile uses a shell"),
        ("worker: a && b", "uses a shell"),
        ("worker: a 'b", "line 1 of the Procfile: No closing quotation"),
        ("worker: QUEUE=mail celery", "does not start with a program.*processes.worker.environment"),
        ("worker: '' a", "does not start with a program"),
        ("worker: '@program:a b' c", "does not start with a program"),
        ("worker: ../../other/bin/a", "does not start with a program"),
        ("worker: a 'b\0ExecStartPre=+/usr/bin/id'", "line 1 of the Procfile contains an argument"),
        ("worker: a @release@", "line 1 of the Procfile contains an argument"),
        ("Worker: a", "line 1 of the Procfile: Worker is no name of a process"),
    ],
)
def test_invalid_procfile(text, fault):
    with pytest.raises(ValueError, match=fault):
        parse_procfile(text)


def test_entries_that_do_not_run_are_explained():
    notes = procfile_notes("web: gunicorn\nworker: celery\nrelease: alembic upgrade head\n")
    assert [note.split(" of ")[0] for note in notes] == ["the entry web", "the entry release"]


def test_inventory_takes_precedence_over_the_procfile():
    found = with_procfile({"worker": {"instances": 2}, "beat": {"command": ["beat"]}}, "worker: celery\nbeat: other\n")
    assert found == {"worker": {"command": ["celery"], "instances": 2}, "beat": {"command": ["beat"]}}
    assert with_procfile({"beat": {"command": ["beat"]}}, "beat: A=1 other $PORT\n") == {"beat": {"command": ["beat"]}}
    with pytest.raises(ValueError, match="the Procfile has no entry worker"):
        with_procfile({"worker": {"instances": 2}}, "beat: other\n")


def test_name_of_a_timer_is_not_in_the_procfile():
    with pytest.raises(ValueError, match="asgi_server_timers.cleanup has the name of a process in the Procfile"):
        process_plan({}, {"cleanup": CLEANUP}, procfile="cleanup: run\n", **HOSTS)


# ---- on the host


def test_units_of_a_slot(tmp_path):
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("celery", "python"):
        (programs / name).touch(mode=0o755)
    given = files({"worker": {**WORKER, "instances": 2}, "beat": {**WORKER, "exclusive": True}}, {"cleanup": CLEANUP})

    blue, green = (unit_files("shop", slot, str(tmp_path), given) for slot in ("blue", "green"))
    assert sorted(blue) == [
        "shop.beat.1@blue.service",
        "shop.cleanup@blue.service",
        "shop.cleanup@blue.timer",
        "shop.worker.1@blue.service",
        "shop.worker.2@blue.service",
        "shop@blue.target",
    ]
    worker = settings(blue["shop.worker.2@blue.service"])
    assert worker["ExecStart"] == [f'{programs}/celery "-A" "shop" "worker"']
    assert worker["WorkingDirectory"] == [f"{tmp_path}/code"]
    assert "ASGI_INSTANCE=2" in worker["Environment"][-1]
    assert settings(blue["shop.beat.1@blue.service"])["Conflicts"] == ["shop.beat.1@green.service"]
    # one edge, because systemd rejects a cycle
    assert settings(blue["shop.beat.1@blue.service"])["After"][-1] == "shop.beat.1@green.service"
    assert settings(green["shop.beat.1@green.service"])["Before"] == ["shop.beat.1@blue.service"]
    assert not any("@program" in text or "@release@" in text for text in [*blue.values(), *green.values()])


def test_program(tmp_path):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / "code/bin").mkdir(parents=True)
    for path in (".venv/bin/celery", "code/bin/worker"):
        (tmp_path / path).touch(mode=0o755)

    assert find_program(str(tmp_path), "celery") == f"{tmp_path}/.venv/bin/celery"
    assert find_program(str(tmp_path), "bin/worker") == f"{tmp_path}/code/bin/worker"
    assert find_program(str(tmp_path), "sh").endswith("/sh")
    with pytest.raises(NoProgram, match="'bin/absent' does not exist"):
        find_program(str(tmp_path), "bin/absent")


# ---- memory


def test_memory_of_both_slots_during_a_deploy():
    given = {
        "worker": {**WORKER, "instances": 2, "memory_max": "512M"},
        "beat": {**WORKER, "exclusive": True},
        "other": WORKER,
    }
    assert process_memory(plan(given)["processes"], lambda value: size(value, 4096)) == 2 * 2 * 512 + 128 + 2 * 128
    assert (
        process_memory(plan({"worker": {**WORKER, "memory_max": "25%"}})["processes"], lambda value: size(value, 4096))
        == 2 * 1024
    )
