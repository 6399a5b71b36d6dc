# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module balancer_info: the reported servers, and failures without HAProxy or with an invalid mark."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._balancer.haproxy import Balancer
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.modules import balancer_info as module

RECORDED = Path(__file__).parents[1] / "module_utils/_balancer/haproxy/3.0"
ANSWERS = {"show stat": (RECORDED / "stat.csv").read_text(), "show servers state": (RECORDED / "state.txt").read_text()}
MARK = {"found": "ready", "at": "2026-11-21 04:50", "by": "alice"}


class Ended(Exception):
    """Raised with the module's result when the module ends."""


@pytest.fixture
def info(tmp_path, monkeypatch):
    """Return a function that runs the module with the responses of a fake HAProxy, and with marks in *tmp_path*."""

    def end(**result):
        raise Ended(result)

    def run(answers=None):
        monkeypatch.setattr(module, "Socket", lambda _path: SimpleNamespace(send={**ANSWERS, **(answers or {})}.get))
        with pytest.raises(Ended) as caught:
            module.main()
        return caught.value.args[0]

    ended = SimpleNamespace(params={"socket": "/run/x"}, exit_json=end, fail_json=end)
    ended.reporting = functools.partial(HostModule.reporting, ended)
    monkeypatch.setattr(module, "HostModule", lambda **_options: ended)
    monkeypatch.setattr(module, "Balancer", functools.partial(Balancer, marks=str(tmp_path)))
    return run


def test_the_mark_of_a_drained_server_is_returned(info, tmp_path):
    for server in ("web1", "web2"):
        (tmp_path / f"asgi_shop@{server}.json").write_text(json.dumps(MARK))
    servers = info()["backends"]["asgi_shop"]
    assert servers["web2"] == {
        "address": "10.0.0.11",
        "admin": "drain",
        "usable": False,
        "sessions": 0,
        "status": "DRAIN",
        "taken": MARK,
    }
    assert [name for name, server in servers.items() if server["taken"]] == ["web2"], "web1 serves"


@pytest.mark.parametrize("text", [b"{", b"[]", b"5", b"{}", b'{"found": "up"}', b"\xff"])
def test_an_invalid_mark(info, tmp_path, text):
    (tmp_path / "asgi_shop@web2.json").write_bytes(text)
    message = info()["msg"]
    assert message.startswith(f"{tmp_path}/asgi_shop@web2.json does not contain the previous state of web2")
    (tmp_path / "asgi_shop@web2.json").rename(tmp_path / "asgi_shop@web1.json")
    assert "backends" in info(), "web1 serves, whatever its mark says"


def test_an_unreadable_mark(info, tmp_path):
    (tmp_path / "asgi_shop@web2.json").mkdir()
    assert info()["msg"] == f"{tmp_path}/asgi_shop@web2.json: Is a directory"


@pytest.mark.parametrize("command", ANSWERS)
@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("", "empty"),
        ("Permission denied\n", "Permission denied"),
        (
            "Unknown command: 'show', but maybe one of these:\n  help  : this\n  @!<pid> : another\n",
            "Unknown command: 'show'",
        ),
    ],
)
def test_the_socket_of_another_program(info, command, answer, result):
    message = info({command: answer})["msg"]
    assert message.startswith(f"the response to {command!r} is: {result}")
    assert message.endswith("; is this the socket of HAProxy's runtime API?")


def test_an_haproxy_without_servers(info):
    heading = ANSWERS["show stat"].splitlines()[0]
    states = "\n".join(ANSWERS["show servers state"].splitlines()[:2])
    assert info({"show stat": f"{heading}\n", "show servers state": f"{states}\n\n"})["backends"] == {}
