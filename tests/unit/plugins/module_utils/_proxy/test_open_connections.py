"""Open connections and files of nginx and the app, from a fake /proc and fake logs."""

from __future__ import annotations

import time

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import open_connections as look

LIMITS = "Max open files            {}                 524288               files\n"


@pytest.fixture
def process(tmp_path):
    """Return a function that adds a process with sockets, files and a limit to a /proc below *tmp_path*."""

    def add(pid, sockets, others, limit):
        directory = tmp_path / f"proc/{pid}"
        (directory / "fd").mkdir(parents=True)
        for number in range(sockets):
            (directory / f"fd/{number}").symlink_to(f"socket:[{number}]")
        for number in range(others):
            (directory / f"fd/{sockets + number}").symlink_to("/var/log/nginx/error.log")
        (directory / "limits").write_text(LIMITS.format(limit))

    return add


def test_the_process_closest_to_its_limit_counts(tmp_path, process):
    process(1, sockets=50, others=2, limit=1000)
    process(2, sockets=10, others=5, limit=20)

    found = look.process_files([1, 2, 3], f"{tmp_path}/")

    assert found == {"connections": 50, "files": 15, "files_limit": 20}


def test_without_processes_nothing_is_open(tmp_path):
    assert look.process_files([], f"{tmp_path}/") == {"connections": 0, "files": 0, "files_limit": None}


@pytest.mark.parametrize(
    ("main", "sites", "expected"),
    [
        ("events { worker_connections 768; }\n", {}, (768, 0, 0)),
        ("events { }\n", {"a": "# Clients: 4096\n"}, (512, 4096, 8704)),
        ("events { worker_connections 8704; }\n", {"a": "# Clients: 4096\n", "b": ""}, (8704, 4096, 8704)),
    ],
)
def test_limits_and_requirements_of_nginx(tmp_path, process, main, sites, expected):
    process(1, 0, 0, 1024)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text(main)
    (tmp_path / "conf.d/asgi-00-shared.conf").write_text("# Clients: 9\n")
    for name, text in sites.items():
        (tmp_path / f"conf.d/asgi-{name}.conf").write_text(text)

    found = look.proxy(0, str(tmp_path), f"{tmp_path}/")

    assert (found["limit"], found["clients"], found["wanted"]) == expected


def stamp(when):
    return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(when))


def test_connections_rejected_by_nginx(tmp_path):
    now = time.time()
    log, rotated = tmp_path / "error.log", tmp_path / "error.log.1"
    rotated.write_text(f"{stamp(now - 900)} [alert] 7#7: 768 worker_connections are not enough\n")
    log.write_text(
        f"{stamp(now - 9)} [alert] 7#7: *1 768 worker_connections are not enough while connecting to upstream\n"
        f"{stamp(now - 8)} [crit] 7#7: accept4() failed (24: Too many open files)\n"
        f"{stamp(now - 7)} [error] 7#7: *2 something else\n"
        "no stamp: worker_connections are not enough\n"
    )
    logs = [str(log), str(rotated), str(tmp_path / "missing")]

    assert look.refused(logs, now - 60) == {"connections": 1, "files": 1}
    assert look.refused(logs, now - 3600) == {"connections": 2, "files": 1}
    assert look.refused(logs, now) == {"connections": 0, "files": 0}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((0, "OSError: [Errno 24] Too many open files\nToo many open files\n", ""), 2),
        ((1, "", ""), 0),
        ((1, "", "Compiled without pattern matching support\n"), None),
    ],
)
def test_files_that_the_app_could_not_open(answer, expected):
    commands = []

    def run_command(argv):
        commands.append(argv)
        return answer

    assert look.app_refused(run_command, ["a@blue.service", "a@green.service"]) == expected
    assert commands[0][-2:] == ["--unit=a@blue.service", "--unit=a@green.service"]


def test_booted_at(tmp_path):
    assert 0 < look.booted_at() < time.time()
    assert look.booted_at(str(tmp_path)) == 0
