# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a load test (nginx and wrk), and parsing of its input (wrk's output, the access log and /proc)."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_limits import (
    CONNECTIONS,
    DEFAULT_CONNECTIONS,
    FILES,
)

# Prefix of the line in wrk's output that contains the figures.
MARK = "asgi.deploy "
ERRORS = ("connect", "read", "write", "status", "timeout")

# Defaults of this collection's sites: number of idle connections, and their timeout in seconds.
SITE_KEEPALIVE = (32, 2)

PROBE_AGENT = "asgi.deploy probe"


class Request(NamedTuple):
    """The request that wrk repeats."""

    method: str
    path: str
    headers: dict
    body: str


def lua_string(text: str) -> str:
    """Return *text* as a string literal of Lua, with all bytes except ASCII letters and digits escaped."""
    return '"' + "".join(chr(b) if chr(b).isalnum() and b < 128 else f"\\{b:03d}" for b in text.encode()) + '"'


def script(request: Request) -> str:
    """Return a Lua script with which wrk sends *request* and prints the figures as one line of JSON.

    The script defines no function that wrk calls for each request, because that would use the CPU that is measured.
    """
    lines = [f"wrk.method = {lua_string(request.method)}"]
    lines += [
        f"wrk.headers[{lua_string(name)}] = {lua_string(value)}" for name, value in sorted(request.headers.items())
    ]
    if request.body:
        lines.append(f"wrk.body = {lua_string(request.body)}")
    fields = {
        "requests": "summary.requests",
        "microseconds": "summary.duration",
        "p50": "latency:percentile(50)",
        "p90": "latency:percentile(90)",
        "p99": "latency:percentile(99)",
        "max": "latency.max",
        **{name: f"summary.errors.{name}" for name in ERRORS},
    }
    names = ", ".join(f'"{name}": %.0f' for name in fields)
    return "\n".join(
        [
            *lines,
            "function done(summary, latency, requests)",
            f"    io.write(string.format('{MARK}{{{names}}}\\n',",
            f"        {', '.join(fields.values())}))",
            "end",
            "",
        ]
    )


def parse_load(text: str) -> dict:
    """Return the throughput (requests per second), latencies (ms) and failed requests (by kind) from wrk's output.

    Raises ValueError if the output contains no figures.
    """
    found = re.search(f"^{re.escape(MARK)}(.*)$", text, re.MULTILINE)
    if not found:
        raise ValueError(f"wrk printed no figures: {text.strip()[-300:] or 'empty output'}")
    figures = json.loads(found.group(1))
    if not figures["microseconds"]:
        raise ValueError("the measured time of wrk is 0")
    return {
        "requests": figures["requests"],
        "throughput": round(figures["requests"] * 1e6 / figures["microseconds"], 1),
        **{f"{name}_ms": round(figures[name] / 1000, 3) for name in ("p50", "p90", "p99", "max")},
        "errors": {name: figures[name] for name in ERRORS if figures[name]},
    }


def upstream_keepalive(site: str, name: str) -> tuple:
    """Return the number and the timeout (in seconds) of nginx's idle connections to the app *name*, from the text of its *site*."""
    found = re.search(rf"^upstream asgi_{re.escape(name)} \{{$(.*?)^\}}$", site, re.MULTILINE | re.DOTALL)
    block = found.group(1) if found else ""
    number = re.search(r"^\s*keepalive (\d+);", block, re.MULTILINE)
    seconds = re.search(r"^\s*keepalive_timeout (\d+)s;", block, re.MULTILINE)
    return (
        int(number.group(1)) if number else SITE_KEEPALIVE[0],
        int(seconds.group(1)) if seconds else SITE_KEEPALIVE[1],
    )


def proxy_configuration(directory: str, socket: str, port: int, keepalive: tuple, limits: dict) -> str:
    """Return the configuration of an nginx that forwards *port* of the loopback address to *socket*, with the settings of a site.

    This nginx has the same *limits* (by directive) as the host's nginx, but no TLS and no access log. It writes only below *directory*.
    """
    connections = limits.get(CONNECTIONS, DEFAULT_CONNECTIONS)
    files = f"\n{FILES} {limits[FILES]};" if FILES in limits else ""
    temporary = "\n".join(
        f"    {kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    number, seconds = keepalive
    return f"""# Written by the module tune of the Ansible collection asgi.deploy for the time of one measurement.
daemon off;
user www-data;
worker_processes auto;{files}
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{
    {CONNECTIONS} {connections};
}}
http {{
    access_log off;
{temporary}
    keepalive_requests 1000000000;
    upstream trial {{
        server unix:{socket} max_fails=0;
        keepalive {number};
        keepalive_timeout {seconds}s;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location / {{
            proxy_pass http://trial;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Request-ID $request_id;
            proxy_buffer_size 16k;
            proxy_buffers 8 16k;
            proxy_busy_buffers_size 32k;
        }}
    }}
}}
"""


def recent_requests(lines: list, now: float, seconds: float) -> int:
    """Return the number of client requests within the *seconds* before *now* in the access log's *lines*.

    Lines in other formats and health checks of deploys do not count.
    """
    count = 0
    for line in lines:
        try:
            entry = json.loads(line)
            # In Python 3.9 and 3.10, fromisoformat() supports only the variant of ISO 8601 that nginx writes.
            at = datetime.fromisoformat(entry["time"]).timestamp()
        except (ValueError, KeyError, TypeError):
            continue
        count += at >= now - seconds and entry.get("user_agent") != PROBE_AGENT
    return count


def last_lines(path: str, most: int = 65536) -> list:
    """Return the last lines of the file *path*; none if it does not exist."""
    try:
        with open(path, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - most, 0))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []


def cpu_seconds(pids, root: str = "/proc") -> float:
    """Return the CPU seconds that the processes *pids* have used so far; processes that have ended do not count."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"{root}/{pid}/stat", encoding="utf-8", errors="replace") as file:
                # utime and stime are fields 14 and 15. The process name, in parentheses, may contain any characters.
                ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_seconds(text: str) -> float:
    """Return the CPU seconds used by the whole machine, from the text of /proc/stat."""
    fields = list(map(int, text.splitlines()[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def available_memory(meminfo: str) -> int:
    """Return the memory in MiB that is available without swapping."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(found.group(1)) // 1024 if found else 0


def in_order(workers: list, number: int) -> list:
    """Return *workers* in the order of round *number*, from 0: alternately ascending and descending.

    Therefore changes of the machine over time favour neither small nor large numbers of workers.
    """
    return list(reversed(workers)) if number % 2 else list(workers)
