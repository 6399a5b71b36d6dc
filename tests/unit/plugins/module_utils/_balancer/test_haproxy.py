"""Drain and restore servers through HAProxy's runtime API, without losing requests.

The recorded responses are in haproxy/<version>/.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._balancer import haproxy as module
from ansible_collections.asgi.deploy.plugins.module_utils._balancer.haproxy import (
    Balancer,
    HaproxyError,
    Refused,
    Socket,
    backends,
    oldest_session,
    parse_backends,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import Locked, holder, locked

RECORDED = Path(__file__).parent / "haproxy"
SHARED = Path(__file__).parents[5] / "roles/asgi_balancer/templates/etc/haproxy/asgi/asgi-00-shared.cfg.j2"
VERSIONS = sorted(path.name for path in RECORDED.iterdir())


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_responses(version):
    found = parse_backends(
        (RECORDED / version / "stat.csv").read_text(), (RECORDED / version / "state.txt").read_text()
    )

    assert sorted(found) == ["asgi_shop", "asgi_tiles"]
    assert found["asgi_tiles"]["web1-tiles"].address == "10.0.0.11"
    state = {
        name: (server.admin, server.running, server.checked, server.usable, server.sessions, server.status)
        for name, server in found["asgi_shop"].items()
    }
    refused = "L4CON Connection refused"
    assert state == {
        "web1": ("ready", True, True, True, 2, "UP"),
        "web2": ("drain", True, True, False, 0, "DRAIN"),
        "web3": ("maint", False, True, False, 0, "MAINT"),
        "web4": ("ready", False, True, False, 0, f"DOWN ({refused})"),
        "web5": ("ready", True, False, True, 0, "no check"),
        "web6": ("ready", True, True, False, 0, "UP"),  # a backup server
        "web7": ("drain", False, True, False, 0, f"DRAIN, DOWN ({refused})"),
        "web8": ("ready", True, True, False, 0, "UP"),  # weight 0
        "web9": ("maint", False, True, False, 0, "MAINT"),  # disabled in the configuration
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_the_oldest_session(version):
    text = (RECORDED / version / "sess.txt").read_text()
    age = max(word.removeprefix("age=") for word in text.split() if word.startswith("age="))
    assert oldest_session(text, ["asgi_nix", "asgi_shop"], "web1") == age
    assert oldest_session(text, ["asgi_shop"], "web2") == ""


def test_the_oldest_session_with_different_units():
    ages = ["59s", "2h3m", "1d2h", "30m"]
    assert oldest_session("\n".join(f"0x1: be=b srv=s age={age} calls=2" for age in ages), ["b"], "s") == "1d2h"


class Fake:
    """A fake HAProxy with one backend, and a clock.

    *course* maps a time in seconds to the values of web1 that change at that time, for example ``{2: {"scur": 0}}``.
    """

    def __init__(self, tmp_path, course=(), others=("web2",), persists=False, **state):
        self.now = 0.0
        self.course = dict(course)
        self.persists = persists
        self.commands = []
        usual = {"scur": 0, "fresh": 0, "stot": 10, "admin": 0, "op": 2, "check": 6, "weight": 1}
        self.servers = {"web1": {**usual, **state}, **{name: dict(usual) for name in others}}
        self.lost, self.tracked = (), 0
        # process 11, a worker of master 10, answers the queries; 20 and 21 belong to another HAProxy
        self.uptime, self.processes = 0, {10: 1, 11: 10, 20: 1, 21: 20}
        self.lock = str(tmp_path / "lock")
        self.balancer = Balancer(
            self.send,
            "asgi_shop",
            "web1",
            str(tmp_path),
            self.lock,
            lambda: self.now,
            self.sleep,
            lambda: self.processes,
        )

    @property
    def web1(self):
        return self.servers["web1"]

    def sleep(self, seconds):
        assert not holder(self.lock), "other tasks could not reload HAProxy"
        self.now += seconds
        self.uptime += seconds
        for at in [at for at in self.course if at <= self.now]:
            self.web1.update(self.course.pop(at))
        if self.persists and self.web1["admin"] == 8:
            self.web1["stot"] += 1

    def send(self, command):
        if command == "show stat":
            head = "# pxname,svname,qcur,scur,stot,status,bck,type,check_status,check_code,last_chk,\n"
            return head + "".join(
                f"asgi_shop,{name},0,{s['scur']},{s['stot']},{self.status(s)},0,2,L7OK,200,,\n"
                f"asgi_shop.fresh,{name},0,{s['fresh']},0,{self.status(s)},0,2,,,,\n"
                f"asgi_shop.acme,{name},0,0,0,no check,0,2,,,,\n"
                f"theirs.acme,{name},0,0,0,UP,0,2,,,,\n"
                for name, s in self.servers.items()
            )
        if command == "show servers state":
            head = "1\n# be_name srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_check_state\n"
            return head + "".join(
                f"{backend} {name} 10.0.0.1 {s['op']} {s['admin'] | self.tracked} {s['weight']} {s['check']}\n"
                for backend in ("asgi_shop", "asgi_shop.fresh", "asgi_shop.acme", "theirs.acme")
                for name, s in self.servers.items()
            )
        if command == "show sess":
            return "0x1: be=asgi_shop srv=web1 ts=0 age=5m calls=1\n"
        if command == "show info":
            return f"Name: HAProxy\nPid: 11\nUptime: 0d 0h00m\nUptime_sec: {int(self.uptime)}\nnode: a\n\n"
        self.commands.append(
            (round(self.now, 1), command.replace(" asgi_shop/web1", "").replace(" asgi_shop.fresh/web1", " fresh"))
        )
        words = command.split()
        if words[:2] == ["set", "server"]:
            assert holder(self.lock).startswith("balancer_server, process "), "a reload could lose it"
        if words[-1] in self.lost:
            return "\n"
        if words[0] == "shutdown":
            self.web1["fresh" if ".fresh/" in command else "scur"] = 0
        elif words[3] == "state":
            left_maintenance = self.web1["admin"] == 1 and words[4] != "maint"
            self.web1["admin"] = {"ready": 0, "drain": 8, "maint": 1}[words[4]]
            if left_maintenance:
                self.web1["op"] = 2  # HAProxy assumes that the server is up
        elif words[3:] == ["health", "down"]:
            self.web1["op"] = 0
        return "\n"

    @staticmethod
    def status(server):
        return {0: "UP" if server["op"] else "DOWN", 8: "DRAIN", 1: "MAINT"}[server["admin"]]


def test_a_server_enters_maintenance_after_its_last_request(tmp_path):
    fake = Fake(tmp_path, {2: {"scur": 0}}, scur=3)
    assert fake.balancer.take_out(10, "refuse", by="alice") == 0
    assert fake.commands == [(0.0, "set server state drain"), (2.0, "set server state maint")]
    assert fake.balancer.mark["found"] == "ready"
    assert fake.balancer.mark["by"] == "alice"


def test_a_server_with_cookies_enters_maintenance_at_once(tmp_path):
    """A drain would never end, because clients with a session cookie return to the server."""
    fake = Fake(tmp_path, {2: {"scur": 0}}, scur=3, persists=True)
    assert fake.balancer.take_out(10, "refuse") == 0
    assert fake.commands == [(0.0, "set server state drain"), (0.1, "set server state maint")]
    assert fake.now == pytest.approx(2)


def test_draining_waits_for_requests_of_the_companion_backend(tmp_path):
    fake = Fake(tmp_path, {2: {"fresh": 0}}, fresh=1)
    assert sorted(backends(fake.send)) == ["asgi_shop", "theirs.acme"], "companion backends are not listed"
    assert fake.balancer.take_out(10, "refuse") == 0
    assert fake.commands == [(0.0, "set server state drain"), (2.0, "set server state maint")]


def test_sessions_that_do_not_end_are_refused(tmp_path):
    fake = Fake(tmp_path, scur=1)
    with pytest.raises(Refused, match=r"still has 1 session after 3 s, the oldest for 5m.*The server stays in service"):
        fake.balancer.take_out(3, "refuse")
    assert fake.web1["admin"] == 0
    assert fake.balancer.mark is None


def test_sessions_that_do_not_end_are_cut(tmp_path):
    fake = Fake(tmp_path, scur=2, fresh=1)
    assert fake.balancer.take_out(3, "cut") == 3
    assert [command for _at, command in fake.commands] == [
        "set server state drain",
        "set server state maint",
        "shutdown sessions server",
        "shutdown sessions server fresh",
    ]
    assert fake.web1 == {**fake.web1, "admin": 1, "scur": 0, "fresh": 0}


def test_sessions_that_do_not_end_are_left(tmp_path):
    fake = Fake(tmp_path, scur=2)
    assert fake.balancer.take_out(3, "leave") == 0
    assert fake.web1 == {**fake.web1, "admin": 1, "scur": 2}


@pytest.mark.parametrize("admin", [8, 1])
def test_a_server_of_an_interrupted_run_keeps_its_mark(tmp_path, admin):
    fake = Fake(tmp_path)
    fake.balancer.take_out(10, "refuse", by="alice")
    fake.web1["admin"] = admin
    fake.balancer.take_out(10, "refuse", by="bob")
    assert fake.balancer.mark["by"] == "alice"
    fake.course = {fake.now + 1: {"op": 2}}
    assert fake.balancer.give_back(10) == "ready"
    assert fake.web1["admin"] == 0


def test_an_old_mark_of_a_server_in_service_is_replaced(tmp_path):
    fake = Fake(tmp_path)
    Path(fake.balancer.mark_path).write_text(json.dumps({"found": "drain"}))
    fake.balancer.take_out(10, "refuse")
    assert fake.balancer.mark["found"] == "ready"


def test_a_server_in_service_is_not_restored(tmp_path):
    """The server keeps its traffic without another health check, and does not return to the drain state of an old mark."""
    fake = Fake(tmp_path)
    for found in ("ready", "drain"):
        Path(fake.balancer.mark_path).write_text(json.dumps({"found": found}))
        assert fake.balancer.give_back(10) == ""
        assert fake.balancer.mark is None
    assert fake.commands == []


@pytest.mark.parametrize(("admin", "words"), [(1, []), (8, ["set server state maint", "set server state drain"])])
def test_the_previous_state_of_a_drained_server_is_restored(tmp_path, admin, words):
    fake = Fake(tmp_path, admin=admin, op=0)
    fake.balancer.take_out(10, "refuse")
    assert fake.web1["admin"] == 1, "not even a client with a cookie gets there meanwhile"
    fake.balancer.give_back(10)
    assert fake.web1["admin"] == admin
    assert [command for _at, command in fake.commands] == words
    assert fake.balancer.mark is None


def test_a_server_receives_no_requests_before_its_health_checks_pass(tmp_path):
    fake = Fake(tmp_path)
    fake.balancer.take_out(10, "refuse")
    fake.commands.clear()
    fake.course = {3: {"op": 2}}
    assert fake.balancer.give_back(10) == "ready"
    assert [command for _at, command in fake.commands] == [
        "set server state drain",
        "set server health down",
        "set server state ready",
    ]
    assert fake.commands[-1][0] == 3.0
    assert fake.balancer.mark is None


def test_a_server_without_health_checks_is_restored_at_once(tmp_path):
    fake = Fake(tmp_path, check=0)
    fake.balancer.take_out(10, "refuse")
    assert fake.balancer.give_back(10) == "ready"
    assert fake.now == 0


def test_a_server_that_fails_its_health_checks_stays_in_maintenance(tmp_path):
    fake = Fake(tmp_path)
    fake.balancer.take_out(10, "refuse")
    with pytest.raises(Refused, match="health checks after 4 s"):
        fake.balancer.give_back(4)
    assert fake.web1["admin"] == 1
    assert fake.balancer.mark["found"] == "ready", "so that the next run gives it back"


@pytest.mark.parametrize(
    ("others", "together", "least", "refused"),
    [
        (["web2"], [], 1, False),
        (["web2"], ["web2"], 1, True),
        (["web2", "web3"], ["web2"], 1, False),
        (["web2", "web3"], [], 3, True),
        ([], [], 1, True),
        ([], [], 0, False),
    ],
)
def test_minimum_of_servers(tmp_path, others, together, least, refused):
    fake = Fake(tmp_path, others=others)
    if not refused:
        fake.balancer.refuse_too_few(together, least)
        return
    with pytest.raises(Refused, match="for requests"):
        fake.balancer.refuse_too_few(together, least)
    assert fake.commands == []


def test_servers_without_requests_do_not_count(tmp_path):
    fake = Fake(tmp_path, others=["web2", "web3"])
    fake.servers["web2"]["op"] = 0
    fake.servers["web3"]["admin"] = 8
    with pytest.raises(Refused, match=r"0 servers for requests.*web2 DOWN \(L7OK 200\), web3 DRAIN"):
        fake.balancer.refuse_too_few([], 1)
    # a server that receives no requests can always be drained
    fake.web1["admin"] = 8
    fake.balancer.refuse_too_few([], 1)


def test_a_refused_drain_removes_an_old_mark(tmp_path):
    """The mark would otherwise apply to a server that is drained manually later."""
    fake = Fake(tmp_path, scur=1)
    Path(fake.balancer.mark_path).write_text(json.dumps({"found": "ready"}))
    with pytest.raises(Refused, match="The server stays in service"):
        fake.balancer.take_out(3, "refuse")
    assert fake.balancer.mark is None


def test_a_refused_drain_keeps_the_mark_of_an_interrupted_run(tmp_path):
    fake = Fake(tmp_path, scur=1, admin=8)
    Path(fake.balancer.mark_path).write_text(json.dumps({"found": "ready"}))
    with pytest.raises(Refused, match="still has 1 session"):
        fake.balancer.take_out(3, "refuse")
    assert fake.web1["admin"] == 8
    assert fake.balancer.mark["found"] == "ready"


def test_no_commands_are_sent_during_a_reload(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOCK_SECONDS", 0)
    fake = Fake(tmp_path)
    with locked(fake.lock, "haproxy_site", 0), pytest.raises(Locked, match="for 0 s: haproxy_site, process"):
        fake.balancer.take_out(10, "refuse")
    assert fake.commands == []
    assert fake.balancer.mark is None

    fake.balancer.take_out(10, "refuse")
    fake.commands.clear()
    with locked(fake.lock, "haproxy_site", 0), pytest.raises(Locked, match="for 0 s: haproxy_site, process"):
        fake.balancer.give_back(10)
    assert fake.commands == []
    assert fake.balancer.mark["found"] == "ready", "so that the next run gives it back"


@pytest.mark.parametrize("lingering", ["refuse", "cut", "leave"])
def test_a_server_restored_by_a_manual_reload_does_not_count_as_drained(tmp_path, lingering):
    # the last session ends, and the process that the reload started has not inherited the maintenance state
    fake = Fake(tmp_path, {2: {"scur": 0, "admin": 0}}, scur=1, persists=True)
    with pytest.raises(HaproxyError, match="web1 is no longer in maintenance"):
        fake.balancer.take_out(10, lingering)


def test_a_mark_stays_until_the_server_is_restored(tmp_path):
    fake = Fake(tmp_path, check=0)
    fake.balancer.take_out(10, "refuse")
    fake.lost = ("ready",)
    with pytest.raises(HaproxyError, match="the state of web1 is drain after it was set to ready"):
        fake.balancer.give_back(10)
    assert fake.balancer.mark["found"] == "ready"


def test_a_server_is_restored_while_its_tracked_server_is_in_maintenance(tmp_path):
    fake = Fake(tmp_path, check=0)
    fake.balancer.take_out(10, "refuse")
    fake.tracked = 2
    assert fake.balancer.give_back(10) == "ready"
    assert fake.balancer.read().admin == "maint"
    assert fake.balancer.mark is None


@pytest.mark.parametrize(("uptime", "waited"), [(0, 70), (30, 40), (70, 0), (9000, 0)])
def test_draining_waits_for_requests_of_a_previous_process(tmp_path, uptime, waited):
    fake = Fake(tmp_path)
    fake.uptime = uptime
    fake.processes[9] = 10
    assert fake.balancer.take_out(10, "refuse") == 0
    assert fake.now == pytest.approx(waited)
    assert fake.commands[-1] == (0.0, "set server state maint"), "what the present one has got ends meanwhile"


def test_draining_does_not_wait_for_an_ended_process(tmp_path):
    fake = Fake(tmp_path)
    fake.processes.update({8: 10, 9: 10})
    fake.balancer.sleep = lambda seconds: (fake.sleep(seconds), fake.processes.pop({3: 8, 8: 9}.get(fake.now), None))
    fake.balancer.take_out(10, "refuse")
    assert fake.now == pytest.approx(8)


def test_draining_does_not_wait_for_processes_of_later_reloads(tmp_path):
    """Processes of later reloads already have the maintenance state."""
    fake = Fake(tmp_path)
    fake.processes[9] = 10
    fake.balancer.sleep = lambda seconds: (fake.sleep(seconds), setattr(fake, "processes", {10: 1, 11: 10, 12: 10}))
    fake.balancer.take_out(10, "refuse")
    assert fake.now == pytest.approx(0.5)


@pytest.mark.parametrize("lingering", ["leave", "cut"])
def test_draining_waits_for_a_previous_process_with_lingering_sessions(tmp_path, lingering):
    fake = Fake(tmp_path, scur=1)
    fake.processes[9] = 10
    fake.balancer.take_out(3, lingering)
    assert fake.now == pytest.approx(70, abs=1)


def test_a_refused_drain_does_not_wait_for_previous_processes(tmp_path):
    fake = Fake(tmp_path, scur=1)
    fake.processes[9] = 10
    with pytest.raises(Refused, match="The server stays in service"):
        fake.balancer.take_out(3, "refuse")
    assert fake.now == pytest.approx(3, abs=0.2)


def test_draining_does_not_wait_for_processes_outside_of_this_host(tmp_path):
    fake = Fake(tmp_path)
    fake.processes = {20: 1, 21: 20, 22: 20}
    fake.balancer.take_out(10, "refuse")
    assert fake.now == 0


@pytest.mark.parametrize("answer", ["", "Permission denied\n", "Pid: 11\n", "Pid: x\nUptime_sec: 1\n"])
def test_an_unknown_response_to_show_info(tmp_path, answer):
    fake = Fake(tmp_path)
    fake.balancer.send = lambda command: answer if command == "show info" else fake.send(command)
    with pytest.raises(HaproxyError, match="the response to 'show info' is: "):
        fake.balancer.take_out(10, "refuse")


def test_haproxy_processes(tmp_path):
    for pid, stat in {
        9: "9 (haproxy) Z 10 10 10 0",  # a zombie
        10: "10 (haproxy) S 1 10 10 0",
        11: "11 (haproxy) R 10 10 10 0",
        12: "12 (program) S 10 10 10 0",
        13: "13 (a) (haproxy) S 10 10 10 0",
    }.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{stat}\n")
    (tmp_path / "14").mkdir()
    (tmp_path / "self").mkdir()
    assert module.haproxy_processes(str(tmp_path)) == {10: 1, 11: 10}
    module.haproxy_processes()


def test_the_keep_alive_timeout_is_that_of_the_role():
    shared = SHARED.read_text()
    assert f"timeout http-keep-alive {module.KEEP_ALIVE_SECONDS}s\n" in shared
    assert "option idle-close-on-response\n" in shared


def test_unknown_servers_and_backends(tmp_path):
    fake = Fake(tmp_path)
    with pytest.raises(HaproxyError, match="backend asgi_shop has no server web9; servers: web1, web2"):
        Balancer(fake.send, "asgi_shop", "web9", str(tmp_path)).read()
    with pytest.raises(HaproxyError, match="no backend asgi_nix with servers; backends: asgi_shop"):
        Balancer(fake.send, "asgi_nix", "web1", str(tmp_path)).read()
    with pytest.raises(ValueError, match="is not a valid HAProxy server name"):
        Balancer(fake.send, "asgi_shop", "web1; set server asgi_shop/web2 state maint", str(tmp_path))


def test_a_rejected_command(tmp_path):
    fake = Fake(tmp_path)
    balancer = Balancer(
        lambda command: "Permission denied\n" if command.startswith("set") else fake.send(command),
        "asgi_shop",
        "web1",
        str(tmp_path),
        str(tmp_path / "lock"),
    )
    with pytest.raises(HaproxyError, match="Permission denied"):
        balancer.take_out(1, "refuse")


def test_a_missing_socket(tmp_path):
    with pytest.raises(HaproxyError, match="is HAProxy running"):
        backends(Socket(str(tmp_path / "nix.sock")).send)
