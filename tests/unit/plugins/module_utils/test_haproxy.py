"""HAProxy's runtime API: what its answers mean, and that nothing is taken from a server that still has requests.

The answers below haproxy/ were recorded with Debian's HAProxy 2.6 and 3.0.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import haproxy as module
from ansible_collections.asgi.deploy.plugins.module_utils.files import holder, locked
from ansible_collections.asgi.deploy.plugins.module_utils.haproxy import (
    Balancer,
    HaproxyError,
    Refused,
    Socket,
    backends,
    oldest,
    parse_backends,
)

RECORDED = Path(__file__).parent / "haproxy"
SHARED = Path(__file__).parents[4] / "roles/asgi_balancer/templates/etc/haproxy/asgi/asgi-00-shared.cfg.j2"
VERSIONS = sorted(path.name for path in RECORDED.iterdir())


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_recorded(version):
    found = parse_backends(
        (RECORDED / version / "stat.csv").read_text(), (RECORDED / version / "state.txt").read_text()
    )

    assert sorted(found) == ["asgi_shop", "asgi_tiles"]
    assert found["asgi_tiles"]["web1-tiles"].address == "10.0.0.11"
    its = {
        name: (server.admin, server.running, server.checked, server.usable, server.sessions, server.status)
        for name, server in found["asgi_shop"].items()
    }
    refused = "L4CON Connection refused"
    assert its == {
        "web1": ("ready", True, True, True, 2, "UP"),
        "web2": ("drain", True, True, False, 0, "DRAIN"),
        "web3": ("maint", False, True, False, 0, "MAINT"),
        "web4": ("ready", False, True, False, 0, f"DOWN ({refused})"),
        "web5": ("ready", True, False, True, 0, "no check"),
        "web6": ("ready", True, True, False, 0, "UP"),  # a backup server
        "web7": ("drain", False, True, False, 0, f"DRAIN, DOWN ({refused})"),
        "web8": ("ready", True, True, False, 0, "UP"),  # of weight 0
        "web9": ("maint", False, True, False, 0, "MAINT"),  # disabled in the configuration
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_the_oldest_session(version):
    text = (RECORDED / version / "sess.txt").read_text()
    age = max(word.removeprefix("age=") for word in text.split() if word.startswith("age="))
    assert oldest(text, ["asgi_nix", "asgi_shop"], "web1") == age
    assert oldest(text, ["asgi_shop"], "web2") == ""


def test_the_oldest_session_of_ages_of_several_units():
    ages = ["59s", "2h3m", "1d2h", "30m"]
    assert oldest("\n".join(f"0x1: be=b srv=s age={age} calls=2" for age in ages), ["b"], "s") == "1d2h"


class Fake:
    """An HAProxy with a backend, and a clock: at each tick something happens.

    *course* maps seconds to what becomes true of web1 then, for instance ``{2: {"scur": 0}}``.
    """

    def __init__(self, tmp_path, course=(), others=("web2",), persists=False, **its):
        self.now = 0.0
        self.course = dict(course)
        self.persists = persists
        self.told = []
        usual = {"scur": 0, "fresh": 0, "stot": 10, "admin": 0, "op": 2, "check": 6, "weight": 1}
        self.servers = {"web1": {**usual, **its}, **{name: dict(usual) for name in others}}
        self.lost, self.tracked = (), 0
        # 11 is asked, whose master is 10; another HAProxy is no matter
        self.uptime, self.processes = 0, {10: 1, 11: 10, 20: 1, 21: 20}
        self.lock = str(tmp_path / "lock")
        self.balancer = Balancer(
            self.ask,
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
        assert not holder(self.lock), "nobody could reload HAProxy"
        self.now += seconds
        self.uptime += seconds
        for at in [at for at in self.course if at <= self.now]:
            self.web1.update(self.course.pop(at))
        if self.persists and self.web1["admin"] == 8:
            self.web1["stot"] += 1

    def ask(self, command):
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
        self.told.append(
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
                self.web1["op"] = 2  # which HAProxy assumes
        elif words[3:] == ["health", "down"]:
            self.web1["op"] = 0
        return "\n"

    @staticmethod
    def status(server):
        return {0: "UP" if server["op"] else "DOWN", 8: "DRAIN", 1: "MAINT"}[server["admin"]]


def test_a_server_is_in_maintenance_when_its_last_request_has_ended(tmp_path):
    fake = Fake(tmp_path, {2: {"scur": 0}}, scur=3)
    assert fake.balancer.take_out(10, "refuse", by="alice") == 0
    assert fake.told == [(0.0, "set server state drain"), (2.0, "set server state maint")]
    assert fake.balancer.mark["found"] == "ready"
    assert fake.balancer.mark["by"] == "alice"


def test_a_server_that_cookies_lead_to_is_in_maintenance_at_once(tmp_path):
    """Draining alone would never end: those with a cookie come back."""
    fake = Fake(tmp_path, {2: {"scur": 0}}, scur=3, persists=True)
    assert fake.balancer.take_out(10, "refuse") == 0
    assert fake.told == [(0.0, "set server state drain"), (0.1, "set server state maint")]
    assert fake.now == pytest.approx(2)


def test_a_request_in_the_companion_of_the_backend_is_waited_for_too(tmp_path):
    fake = Fake(tmp_path, {2: {"fresh": 0}}, fresh=1)
    assert sorted(backends(fake.ask)) == ["asgi_shop", "theirs.acme"], "nobody is to tell its companions anything"
    assert fake.balancer.take_out(10, "refuse") == 0
    assert fake.told == [(0.0, "set server state drain"), (2.0, "set server state maint")]


def test_sessions_that_do_not_end_are_refused(tmp_path):
    fake = Fake(tmp_path, scur=1)
    with pytest.raises(Refused, match=r"still has 1 session after 3 s, the oldest for 5m.*It goes on serving"):
        fake.balancer.take_out(3, "refuse")
    assert fake.web1["admin"] == 0
    assert fake.balancer.mark is None


def test_sessions_that_do_not_end_are_cut(tmp_path):
    fake = Fake(tmp_path, scur=2, fresh=1)
    assert fake.balancer.take_out(3, "cut") == 3
    assert [said for _at, said in fake.told] == [
        "set server state drain",
        "set server state maint",
        "shutdown sessions server",
        "shutdown sessions server fresh",
    ]
    assert fake.web1 == {**fake.web1, "admin": 1, "scur": 0, "fresh": 0}


def test_sessions_that_do_not_end_are_left_to_the_server(tmp_path):
    fake = Fake(tmp_path, scur=2)
    assert fake.balancer.take_out(3, "leave") == 0
    assert fake.web1 == {**fake.web1, "admin": 1, "scur": 2}


@pytest.mark.parametrize("admin", [8, 1])
def test_what_an_interrupted_run_has_left_is_still_ours(tmp_path, admin):
    fake = Fake(tmp_path)
    fake.balancer.take_out(10, "refuse", by="alice")
    fake.web1["admin"] = admin
    fake.balancer.take_out(10, "refuse", by="bob")
    assert fake.balancer.mark["by"] == "alice"
    fake.course = {fake.now + 1: {"op": 2}}
    assert fake.balancer.give_back(10) == "ready"
    assert fake.web1["admin"] == 0


def test_a_mark_of_old_says_nothing_of_a_server_that_serves(tmp_path):
    fake = Fake(tmp_path)
    Path(fake.balancer.mark_path).write_text(json.dumps({"found": "drain"}))
    fake.balancer.take_out(10, "refuse")
    assert fake.balancer.mark["found"] == "ready"


def test_a_server_that_serves_again_is_not_given_back(tmp_path):
    """Neither does it lose its traffic to another health check, nor is it drained as it once was."""
    fake = Fake(tmp_path)
    for found in ("ready", "drain"):
        Path(fake.balancer.mark_path).write_text(json.dumps({"found": found}))
        assert fake.balancer.give_back(10) == ""
        assert fake.balancer.mark is None
    assert fake.told == []


@pytest.mark.parametrize(("admin", "words"), [(1, []), (8, ["set server state maint", "set server state drain"])])
def test_what_somebody_else_took_is_found_so_again(tmp_path, admin, words):
    fake = Fake(tmp_path, admin=admin, op=0)
    fake.balancer.take_out(10, "refuse")
    assert fake.web1["admin"] == 1, "not even a client with a cookie gets there meanwhile"
    fake.balancer.give_back(10)
    assert fake.web1["admin"] == admin
    assert [said for _at, said in fake.told] == words
    assert fake.balancer.mark is None


def test_a_server_gets_nothing_before_its_health_check_has_passed(tmp_path):
    fake = Fake(tmp_path)
    fake.balancer.take_out(10, "refuse")
    fake.told.clear()
    fake.course = {3: {"op": 2}}
    assert fake.balancer.give_back(10) == "ready"
    assert [said for _at, said in fake.told] == [
        "set server state drain",
        "set server health down",
        "set server state ready",
    ]
    assert fake.told[-1][0] == 3.0
    assert fake.balancer.mark is None


def test_a_server_without_health_checks_is_given_back_at_once(tmp_path):
    fake = Fake(tmp_path, check=0)
    fake.balancer.take_out(10, "refuse")
    assert fake.balancer.give_back(10) == "ready"
    assert fake.now == 0


def test_a_server_whose_check_does_not_pass_stays_out(tmp_path):
    fake = Fake(tmp_path)
    fake.balancer.take_out(10, "refuse")
    with pytest.raises(Refused, match="health check after 4 s"):
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
def test_how_many_have_to_remain(tmp_path, others, together, least, refused):
    fake = Fake(tmp_path, others=others)
    if not refused:
        fake.balancer.refuse_too_few(together, least)
        return
    with pytest.raises(Refused, match="for requests"):
        fake.balancer.refuse_too_few(together, least)
    assert fake.told == []


def test_servers_that_do_not_take_requests_do_not_count(tmp_path):
    fake = Fake(tmp_path, others=["web2", "web3"])
    fake.servers["web2"]["op"] = 0
    fake.servers["web3"]["admin"] = 8
    with pytest.raises(Refused, match=r"0 servers for requests.*web2 DOWN \(L7OK 200\), web3 DRAIN"):
        fake.balancer.refuse_too_few([], 1)
    # it takes none itself, so that nobody loses it
    fake.web1["admin"] = 8
    fake.balancer.refuse_too_few([], 1)


def test_what_is_refused_of_a_server_that_serves_leaves_no_mark_of_old(tmp_path):
    """It would make ours what somebody else takes out later."""
    fake = Fake(tmp_path, scur=1)
    Path(fake.balancer.mark_path).write_text(json.dumps({"found": "ready"}))
    with pytest.raises(Refused, match="It goes on serving"):
        fake.balancer.take_out(3, "refuse")
    assert fake.balancer.mark is None


def test_what_is_refused_of_a_server_that_an_interrupted_run_has_left_is_still_ours(tmp_path):
    fake = Fake(tmp_path, scur=1, admin=8)
    Path(fake.balancer.mark_path).write_text(json.dumps({"found": "ready"}))
    with pytest.raises(Refused, match="still has 1 session"):
        fake.balancer.take_out(3, "refuse")
    assert fake.web1["admin"] == 8
    assert fake.balancer.mark["found"] == "ready"


def test_nothing_is_told_while_somebody_reloads(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOCK_SECONDS", 0)
    fake = Fake(tmp_path)
    with locked(fake.lock, "haproxy_site", 0), pytest.raises(HaproxyError, match="for 0 s: haproxy_site, process"):
        fake.balancer.take_out(10, "refuse")
    assert fake.told == []
    assert fake.balancer.mark is None

    fake.balancer.take_out(10, "refuse")
    fake.told.clear()
    with locked(fake.lock, "haproxy_site", 0), pytest.raises(HaproxyError, match="for 0 s: haproxy_site, process"):
        fake.balancer.give_back(10)
    assert fake.told == []
    assert fake.balancer.mark["found"] == "ready", "so that the next run gives it back"


@pytest.mark.parametrize("lingering", ["refuse", "cut", "leave"])
def test_a_server_that_a_reload_by_hand_has_put_back_is_not_taken_for_drained(tmp_path, lingering):
    # its last session ends, and the new process knows nothing of the maintenance
    fake = Fake(tmp_path, {2: {"scur": 0, "admin": 0}}, scur=1, persists=True)
    with pytest.raises(HaproxyError, match="web1 was in maintenance and no longer is"):
        fake.balancer.take_out(10, lingering)


def test_a_mark_stays_until_haproxy_has_given_the_server_back(tmp_path):
    fake = Fake(tmp_path, check=0)
    fake.balancer.take_out(10, "refuse")
    fake.lost = ("ready",)
    with pytest.raises(HaproxyError, match="was to be in state ready, but HAProxy has it in state drain"):
        fake.balancer.give_back(10)
    assert fake.balancer.mark["found"] == "ready"


def test_a_server_is_given_back_though_the_one_that_it_tracks_is_in_maintenance(tmp_path):
    fake = Fake(tmp_path, check=0)
    fake.balancer.take_out(10, "refuse")
    fake.tracked = 2
    assert fake.balancer.give_back(10) == "ready"
    assert fake.balancer.look().admin == "maint"
    assert fake.balancer.mark is None


@pytest.mark.parametrize(("uptime", "waited"), [(0, 70), (30, 40), (70, 0), (9000, 0)])
def test_requests_that_a_former_process_may_get_are_waited_for(tmp_path, uptime, waited):
    fake = Fake(tmp_path)
    fake.uptime = uptime
    fake.processes[9] = 10
    assert fake.balancer.take_out(10, "refuse") == 0
    assert fake.now == pytest.approx(waited)
    assert fake.told[-1] == (0.0, "set server state maint"), "what the present one has got ends meanwhile"


def test_a_former_process_that_has_ended_is_waited_for_no_longer(tmp_path):
    fake = Fake(tmp_path)
    fake.processes.update({8: 10, 9: 10})
    fake.balancer.sleep = lambda seconds: (fake.sleep(seconds), fake.processes.pop({3: 8, 8: 9}.get(fake.now), None))
    fake.balancer.take_out(10, "refuse")
    assert fake.now == pytest.approx(8)


def test_a_process_that_the_next_reload_leaves_is_not_waited_for(tmp_path):
    """It was told of the maintenance."""
    fake = Fake(tmp_path)
    fake.processes[9] = 10
    fake.balancer.sleep = lambda seconds: (fake.sleep(seconds), setattr(fake, "processes", {10: 1, 11: 10, 12: 10}))
    fake.balancer.take_out(10, "refuse")
    assert fake.now == pytest.approx(0.5)


@pytest.mark.parametrize("lingering", ["leave", "cut"])
def test_a_former_process_is_waited_for_whatever_becomes_of_sessions(tmp_path, lingering):
    fake = Fake(tmp_path, scur=1)
    fake.processes[9] = 10
    fake.balancer.take_out(3, lingering)
    assert fake.now == pytest.approx(70, abs=1)


def test_a_former_process_is_no_matter_where_the_server_goes_on_serving(tmp_path):
    fake = Fake(tmp_path, scur=1)
    fake.processes[9] = 10
    with pytest.raises(Refused, match="It goes on serving"):
        fake.balancer.take_out(3, "refuse")
    assert fake.now == pytest.approx(3, abs=0.2)


def test_an_haproxy_whose_processes_are_not_of_this_host_is_not_waited_for(tmp_path):
    fake = Fake(tmp_path)
    fake.processes = {20: 1, 21: 20, 22: 20}
    fake.balancer.take_out(10, "refuse")
    assert fake.now == 0


@pytest.mark.parametrize("answer", ["", "Permission denied\n", "Pid: 11\n", "Pid: x\nUptime_sec: 1\n"])
def test_a_process_that_does_not_say_who_it_is(tmp_path, answer):
    fake = Fake(tmp_path)
    fake.balancer.ask = lambda command: answer if command == "show info" else fake.ask(command)
    with pytest.raises(HaproxyError, match="'show info' was answered: "):
        fake.balancer.take_out(10, "refuse")


def test_the_processes_of_haproxy(tmp_path):
    for pid, stat in {
        9: "9 (haproxy) Z 10 10 10 0",  # it has ended
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


def test_how_long_a_former_process_gets_requests_is_what_the_role_says():
    shared = SHARED.read_text()
    assert f"timeout http-keep-alive {module.KEEP_ALIVE_SECONDS}s\n" in shared
    assert "option idle-close-on-response\n" in shared


def test_what_is_not_there(tmp_path):
    fake = Fake(tmp_path)
    with pytest.raises(HaproxyError, match="backend asgi_shop has no server web9, only web1, web2"):
        Balancer(fake.ask, "asgi_shop", "web9", str(tmp_path)).look()
    with pytest.raises(HaproxyError, match="no backend asgi_nix with servers, only asgi_shop"):
        Balancer(fake.ask, "asgi_nix", "web1", str(tmp_path)).look()
    with pytest.raises(ValueError, match="cannot name a server"):
        Balancer(fake.ask, "asgi_shop", "web1; set server asgi_shop/web2 state maint", str(tmp_path))


def test_what_haproxy_refuses(tmp_path):
    fake = Fake(tmp_path)
    balancer = Balancer(
        lambda command: "Permission denied\n" if command.startswith("set") else fake.ask(command),
        "asgi_shop",
        "web1",
        str(tmp_path),
        str(tmp_path / "lock"),
    )
    with pytest.raises(HaproxyError, match="Permission denied"):
        balancer.take_out(1, "refuse")


def test_a_socket_that_is_not_there(tmp_path):
    with pytest.raises(HaproxyError, match="is HAProxy running"):
        backends(Socket(str(tmp_path / "nix.sock")).ask)
