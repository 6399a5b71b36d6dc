# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Serves to Prometheus what the workers of both slots have counted, and what can be seen of the slots from outside.

Called with the app's name. systemd holds the socket and starts this with the first scrape. It begins with the
distribution's Python and the standard library, and goes on with the Python of the live release, whose prometheus-client
has written the files; where there is none, it serves what it sees by itself. When another release is live it
ends before it accepts the next scrape, which starts it again: deploys need not know of it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

SLOTS = ("blue", "green")

SYSTEMDS_FIRST = 3
"""The file descriptor of the socket that systemd hands over."""

PATIENCE = 5
"""Seconds for a scraper to say what it wants, and to take it."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


# ---- what the workers have counted


def families(run: Path) -> list:
    """Return the metrics of both slots, each sample with the labels ``slot``, ``release`` and ``config``."""
    from prometheus_client.multiprocess import MultiProcessCollector

    merged = {}
    # not of a trial, which is no traffic
    for directory in (found for slot in SLOTS for found in sorted(run.glob(f"metrics/{slot}/*/"))):
        release, _dot, config = directory.name.rpartition(".")
        labels = {"slot": directory.parent.name, "release": release, "config": config}
        for metric in MultiProcessCollector.merge(readable(directory), accumulate=True):
            family = merged.setdefault(metric.name, metric)
            samples = [sample._replace(labels={**sample.labels, **labels}) for sample in metric.samples]
            family.samples = samples if family is metric else family.samples + samples
    return list(merged.values())


def readable(directory: Path) -> list[str]:
    """Return the files of *directory*, without those that a worker is just about to begin."""
    return [str(path) for path in sorted(directory.glob("*.db")) if path.stat().st_size]


class Collector:
    """Gives prometheus-client what it shall print."""

    def __init__(self, run: Path) -> None:
        self._run = run

    def collect(self) -> list:
        return families(self._run)


def counted(run: Path) -> str:
    """Return the text of what the workers have counted."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(Collector(run))
    return generate_latest(registry).decode()


# ---- what can be seen from outside


def seen(name: str, run: Path) -> str:
    """Return the text of what is live, and of how many connections wait at each slot's socket."""
    live = live_slot(run)
    lines = [
        "# HELP asgi_slot_live Whether the slot has the traffic.",
        "# TYPE asgi_slot_live gauge",
    ]
    for slot in SLOTS:
        links = [Path(f"/srv/{name}/slots/{slot}/{link}") for link in ("release", "config")]
        if all(link.is_symlink() for link in links):
            release, config = (os.path.basename(os.readlink(link)) for link in links)
            labels = f'slot="{slot}",release="{release}",config="{config}"'
            lines.append(f"asgi_slot_live{{{labels}}} {int(slot == live)}")
    queues = listen_queues()
    for metric, number, text in (
        ("asgi_listen_queue", 0, "Connections that wait for a worker to accept them."),
        ("asgi_listen_queue_limit", 1, "Connections that may wait; more are turned away."),
    ):
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} gauge"]
        for slot in SLOTS:
            path = str(run / f"{slot}.sock")
            if path in queues:
                lines.append(f'{metric}{{slot="{slot}"}} {queues[path][number]}')
    return "\n".join(lines) + "\n"


def live_slot(run: Path) -> str | None:
    try:
        return os.readlink(run / "live.sock").rpartition(".")[0]
    except OSError:
        return None


def listen_queues() -> dict[str, tuple[int, int]]:
    """Return how many connections wait at each listening unix socket, and how many may, by path: sock_diag(7)."""
    family, listening, name_and_queue = socket.AF_UNIX, 1 << 10, 0x01 | 0x10
    request = struct.pack("=BBHIIIII", family, 0, 0, listening, 0, name_and_queue, 0, 0)
    header = struct.pack("=IHHII", 16 + len(request), 20, 0x301, 1, 0)  # SOCK_DIAG_BY_FAMILY; REQUEST | DUMP
    found = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as kernel:  # NETLINK_SOCK_DIAG
        kernel.settimeout(PATIENCE)
        kernel.sendto(header + request, (0, 0))
        while True:
            answer, at = kernel.recv(1 << 17), 0
            while at < len(answer):
                length, kind = struct.unpack_from("=IH", answer, at)
                if kind != 20:  # the end, or an error
                    return found
                attributes = dict(netlink_attributes(answer[at + 16 + 16 : at + length]))
                if 0 in attributes and 4 in attributes:  # UNIX_DIAG_NAME, UNIX_DIAG_RQLEN
                    path = attributes[0].rstrip(b"\0").decode(errors="replace")
                    found[path] = struct.unpack("=II", attributes[4])
                at += (length + 3) & ~3


def netlink_attributes(data: bytes):
    """Yield the number and the content of each attribute in *data*."""
    at = 0
    while at + 4 <= len(data):
        length, number = struct.unpack_from("=HH", data, at)
        yield number, data[at + 4 : at + length]
        at += max((length + 3) & ~3, 4)


# ---- serving it


def exposition(name: str, run: Path) -> str:
    """Return all that is to be told."""
    text = seen(name, run)
    with contextlib.suppress(ImportError):  # the live release is one that was made before it had to count
        text += counted(run)
    return text


def handler(name: str, run: Path):
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404, "Ask for /metrics")
                return
            body = exposition(name, run).encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "scraper"  # a unix socket has no address to tell

        def log_request(self, code="-", size="-") -> None:
            """Say nothing of what went well."""

    return Handler


def serve(name: str) -> None:
    listener = socket.socket(fileno=SYSTEMDS_FIRST)
    server = HTTPServer(("", 0), handler(name, Path("/run") / name), bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    while True:
        select.select([listener], [], [])
        if of_another_release(name):
            return  # without accepting: systemd starts the next one for who is waiting
        server.handle_request()


def of_another_release(name: str) -> bool:
    return python_of(name) != Path(os.environ["ASGI_METRICS_PYTHON"])


def python_of(name: str) -> Path:
    """Return the Python of the live release, with the release's own name in it."""
    return Path(f"/srv/{name}/current").resolve() / ".venv/bin/python"


def main() -> None:
    name = sys.argv[1]
    if "ASGI_METRICS_PYTHON" not in os.environ:
        python = python_of(name)
        os.environ["ASGI_METRICS_PYTHON"] = str(python)
        with contextlib.suppress(OSError):
            os.execv(python, [str(python), "-I", __file__, name])
    with contextlib.suppress(ImportError):
        importlib.import_module("prometheus_client.multiprocess")  # now: its release may be gone by a later scrape
    serve(name)


if __name__ == "__main__":
    main()
