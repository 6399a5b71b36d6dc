"""The configuration and the output of wrk and nginx."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import datetime, timezone

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_limits import limits
from ansible_collections.asgi.deploy.plugins.module_utils._tune.load_test import (
    MARK,
    Request,
    available_memory,
    cpu_seconds,
    in_order,
    last_lines,
    lua_string,
    machine_seconds,
    parse_load,
    proxy_configuration,
    recent_requests,
    script,
    upstream_keepalive,
)
from hypothesis import given
from hypothesis import strategies as st

LIMITS = {"worker_connections": 8704, "worker_rlimit_nofile": 13056}

RECORDED = """\
Running 2s test @ http://127.0.0.1:36361/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    13.36ms   12.54ms 121.65ms   92.40%
    Req/Sec     5.04k   836.52     6.32k    70.00%
  10025 requests in 2.00s, 1.47MB read
Requests/sec:   5004.44
Transfer/sec:    752.21KB
asgi.deploy {"requests": 10025, "microseconds": 2003221, "p50": 11756, "p90": 19203, "p99": 83512, "max": 121652, \
"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}
"""


def test_what_wrk_found():
    assert parse_load(RECORDED) == {
        "requests": 10025,
        "throughput": 5004.4,
        "p50_ms": 11.756,
        "p90_ms": 19.203,
        "p99_ms": 83.512,
        "max_ms": 121.652,
        "errors": {},
    }


def test_what_failed():
    text = RECORDED.replace('"status": 0, "timeout": 0', '"status": 12, "timeout": 1')

    assert parse_load(text)["errors"] == {"status": 12, "timeout": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty output"),
        ("unable to connect to 127.0.0.1:1 Connection refused\n", "Connection refused"),
        (f'{MARK}{{"requests": 0, "microseconds": 0}}', "the measured time"),
    ],
)
def test_output_without_figures(text, words):
    with pytest.raises(ValueError, match=words):
        parse_load(text)


@given(st.text())
def test_lua_strings_are_escaped(text):
    literal = lua_string(text)

    assert re.fullmatch(r'"(?:[0-9A-Za-z]|\\\d{3})*"', literal)
    plain = re.sub(rb"\\(\d{3})", lambda match: bytes([int(match[1])]), literal[1:-1].encode())
    assert plain.decode() == text


@pytest.mark.skipif(not shutil.which("wrk"), reason="needs wrk")
def test_wrk_runs_the_script(tmp_path):
    (tmp_path / "load.lua").write_text(script(Request("POST", "/x", {"Host": 'a"b', "X": "1"}, "a=1\n")))

    done = subprocess.run(
        ["wrk", "-t1", "-c1", "-d1s", "-s", tmp_path / "load.lua", "http://127.0.0.1:1/x"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "unable to connect" in done.stdout + done.stderr, "and not that the script is wrong"


def test_the_script_has_no_function_for_each_request():
    text = script(Request("GET", "/", {"Host": "x"}, ""))

    assert re.findall(r"^function (\w+)", text, re.MULTILINE) == ["done"]
    assert "wrk.body" not in text


SITE = """
upstream asgi_shop {
    server unix:/run/shop/live.sock max_fails=0;
    keepalive 100;
    # less than the app's own
    keepalive_timeout 4s;
}
server {
    keepalive_timeout 65s;
}
"""


def test_the_sites_own_connections():
    assert upstream_keepalive(SITE, "shop") == (100, 4)
    assert upstream_keepalive(SITE, "sho") == upstream_keepalive("", "shop") == (32, 2)


def test_the_proxy_connects_as_the_site_does():
    text = proxy_configuration("/srv/shop/slots/trial/nginx", "/run/shop/trial.sock", 4711, (100, 4), LIMITS)

    assert "server unix:/run/shop/trial.sock max_fails=0;" in text
    assert "keepalive 100;" in text
    assert "keepalive_timeout 4s;" in text
    assert "listen 127.0.0.1:4711;" in text, "nobody else may reach it"
    assert 'proxy_set_header Connection "";' in text
    assert text.count("{") == text.count("}")
    # the load test uses the limits of the production nginx, so that its figures apply to the site
    assert limits(text) == LIMITS


def test_the_proxy_has_nginxs_defaults_where_nginx_has_them():
    assert limits(proxy_configuration("/d", "/s", 4711, (100, 4), {})) == {"worker_connections": 512}


def entry(seconds_ago, now=1_000_000, **others):
    at = datetime.fromtimestamp(now - seconds_ago, timezone.utc).isoformat()
    return json.dumps({"time": at, "user_agent": "Firefox", **others})


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([], 0),
        ([entry(5), entry(59), entry(61), entry(3600)], 2),
        ([entry(5, user_agent="asgi.deploy probe")], 0),
        (["1.2.3.4 - - [27/Nov/2026] GET", "", "[]", "{}", '{"time": 7}', '{"time": "now"}'], 0),
        ([entry(5)[3:], entry(5)], 1),
    ],
)
def test_recent_requests(lines, count):
    assert recent_requests(lines, 1_000_000, 60) == count


def test_last_lines(tmp_path):
    (tmp_path / "log").write_text("".join(f"{number}\n" for number in range(1000)))

    assert last_lines(str(tmp_path / "log"), most=8) == ["998", "999"]
    assert len(last_lines(str(tmp_path / "log"))) == 1000
    assert last_lines(str(tmp_path / "none")) == []


def test_cpu_seconds(tmp_path):
    tick = os.sysconf("SC_CLK_TCK")
    for pid, name in ((1, "gunicorn"), (2, "a) (b")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(
            f"{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 {tick * pid} {tick} 9 9 20 0 1\n"
        )

    assert cpu_seconds([1, 2], str(tmp_path)) == 5.0
    assert cpu_seconds([1, 99], str(tmp_path)) == 2.0


def test_machine_seconds():
    tick = os.sysconf("SC_CLK_TCK")

    assert machine_seconds(f"cpu  {tick} 0 {tick} {tick * 5} {tick} 0 0 0 0 0\ncpu0 1") == 2.0


def test_available_memory():
    assert available_memory("MemTotal: 4096 kB\nMemAvailable:    2048 kB\n") == 2
    assert available_memory("") == 0


def test_rounds_go_up_and_down():
    assert [in_order([1, 2, 3], number) for number in range(3)] == [[1, 2, 3], [3, 2, 1], [1, 2, 3]]
