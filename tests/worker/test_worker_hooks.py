"""gunicorn's hooks in a file of the release."""

from __future__ import annotations

import asyncio

import pytest

from worker.clients import Connection, load
from worker.matrix import NEWEST
from worker.service import wait_for
from worker.test_worker_servers import GUNICORNS, servers

CHAIN = """
import asgi_deploy_hooks
globals().update(asgi_deploy_hooks.chained(globals(), "deploy/hooks.py", calls_request_hooks={requests}))
"""

HOOKS = """
import os
from pathlib import Path

CALLS = Path({calls!r})

def note(name):
    with CALLS.open("a") as file:
        print(name, file=file)

def on_starting(server): note("on_starting")
def when_ready(server): note("when_ready")
def on_reload(server):
    note("on_reload")
    raise RuntimeError("on_reload fails")
def pre_fork(server, worker): note("pre_fork")
def post_fork(server, worker): note("post_fork")
def post_worker_init(worker): note("post_worker_init")
def child_exit(server, worker):
    note("child_exit")
    raise RuntimeError("child_exit fails")
def worker_exit(server, worker): note("worker_exit")
def on_exit(server): note("on_exit")
"""


@pytest.fixture
def hooked(start, tmp_path):
    """Return a function that starts a service with a hooks file, and returns it with the names of the hooks that have run."""
    calls = tmp_path / "calls"

    def started(text=HOOKS, server="uvicorn_worker", requests=False, **settings):
        (tmp_path / "code/deploy").mkdir(parents=True, exist_ok=True)
        (tmp_path / "code/deploy/hooks.py").write_text(text.format(calls=str(calls)))
        service = start(server=server, more=CHAIN.format(requests=requests), **settings)
        return service, lambda: calls.read_text().split()

    return started


@servers(*GUNICORNS)
def test_hooks_run_and_a_failing_hook_loses_no_request(hooked, server):
    service, calls = hooked(**server)
    with load(service.address) as counts:
        for _time in range(2):
            service.reload()
        wait_for("the end of the old workers", lambda: calls().count("child_exit") >= 4)
    service.stop()

    assert counts.lost == []
    found = calls()
    assert found[:3] == ["on_starting", "when_ready", "pre_fork"]
    assert found[-1] == "on_exit"
    assert found.count("on_reload") == 2
    assert {name: found.count(name) for name in ("pre_fork", "post_fork", "post_worker_init")} == {
        "pre_fork": 6,
        "post_fork": 6,
        "post_worker_init": 6,
    }
    assert found.count("worker_exit") >= 4
    assert service.logged("The hook on_reload of the release failed") == 2
    assert service.logged("RuntimeError: child_exit fails") >= 4


@servers(*GUNICORNS[1:])
def test_request_hooks(hooked, server):
    text = (
        HOOKS
        + "def pre_request(worker, request): note('pre_request')\n"
        + "def post_request(worker, request, environ, response): note('post_request')\n"
    )
    service, calls = hooked(text, requests=True, **server)

    async def scenario():
        await (await Connection.open(service.address)).ask("/")

    asyncio.run(scenario())
    wait_for("the hooks", lambda: calls()[-2:] == ["pre_request", "post_request"])


@pytest.mark.parametrize("corner", [NEWEST], indirect=True)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def post_fork(server, worker): raise RuntimeError('no database')\n", "RuntimeError: no database"),
        ("def on_starting(server): raise RuntimeError('no database')\n", "RuntimeError: no database"),
        ("def pre_request(worker, request): pass\n", "pre_request, which is not supported: uvicorn does not call it"),
        (
            "def worker_abort(worker): pass\n",
            "worker_abort, which is not supported: a worker that hangs prints its stacks",
        ),
        ("workers = 3\n", "defines none of the hooks on_starting, when_ready"),
        ("def post_fork(worker): pass\n", "Value must have an arity of: 2"),
        ("import nowhere\n", "No module named 'nowhere'"),
    ],
)
def test_a_faulty_file_prevents_the_start(hooked, tmp_path, text, said):
    service, _calls = hooked()
    service.stop()
    (tmp_path / "code/deploy/hooks.py").write_text(text)

    assert service.fails_to_boot() != 0
    assert said in service.log()
