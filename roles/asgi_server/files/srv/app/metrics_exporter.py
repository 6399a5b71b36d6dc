# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Serves the metrics of both slots to Prometheus: the counters of the workers, and the state of the slots.

The arguments are the app's name and, to restrict access, the networks of the allowed clients. systemd owns the socket and starts the
exporter with the first scrape. The exporter starts with the distribution's Python and the standard library, and then executes the
Python of the live release, whose prometheus-client has written the files. Without prometheus-client, it serves only its own metrics.
When another release becomes live, it exits before it accepts the next scrape, which starts it again, so deploys do not restart it.

Neither the files nor the clients are trusted. The app can write anything to the directory of its counters: the exporter reads only
regular files with the right name, size and structure, from a copy that the app cannot change. Clients have limits on time and request
size, and a new client replaces the oldest when there are too many.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ipaddress
import json
import os
import re
import socket
import stat
import struct
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SLOTS = ("blue", "green")

UNITS = Path("/run/systemd/units")
"""systemd's directory with a link for each active unit."""

FIRST_DESCRIPTOR = 3
"""The file descriptor of the socket that systemd passes."""

DEADLINE = 10
"""Seconds for a client to send its request, and to receive the response. Prometheus waits for 10 seconds by default."""

CLIENTS = 64
"""Maximum number of concurrent connections."""

REQUEST_SIZE = 8192

FRESH_SECONDS = 1
"""Seconds to cache a response, so that clients cannot keep the exporter busy."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

FILE_SIZE = 8 << 20
FILES_SIZE = 32 << 20
SERIES = 100_000
"""Limits: bytes of one file, bytes of all files, and distinct series in all files."""

ANSWER_SIZE = 32 << 20

RELEASE = re.compile(r"([\w.+-]+)\.(\w+)", re.ASCII)
FILE = re.compile(r"(counter|histogram|summary|gauge_(live)?(all|min|max|sum|mostrecent))_[0-9]{1,9}\.db")
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


# ---- counters of the workers


class Files:
    """Copies files with counters. ``skipped`` is the number of skipped files."""

    def __init__(self, counters: Path) -> None:
        self._counters = counters
        self._size = FILES_SIZE
        self._series = SERIES
        self.skipped = 0

    def directories(self):
        """Yield the labels of each release and configuration with counters, and a descriptor of its directory."""
        # Excludes trials, which receive no traffic.
        for slot in SLOTS:
            with contextlib.suppress(OSError), opened(self._counters / slot) as parent:
                for name in sorted(os.listdir(parent)):
                    found = RELEASE.fullmatch(name)
                    with contextlib.suppress(OSError), opened(name, parent) as directory:
                        if found:
                            yield {"slot": slot, "release": found[1], "config": found[2]}, directory

    def copy(self, directory: int, target: str) -> list[str]:
        """Copy the files of *directory* to the directory *target*; return the paths of the copies."""
        copies = []
        known: set = set()
        for name in sorted(os.listdir(directory)):
            try:
                data = self._content(directory, name, known)
            except (OSError, ValueError, struct.error):
                self.skipped += 1
                continue
            if data:
                path = os.path.join(target, name)
                Path(path).write_bytes(data)
                copies.append(path)
        return copies

    def _content(self, directory: int, name: str, known: set) -> bytes:
        """Return the content of a file, nothing if a worker has just created it; raise ValueError if it is not a file of counters.

        *known* contains the series of previous files, to which this method adds new series.
        """
        if not FILE.fullmatch(name):
            raise ValueError(name)
        # Do not block on a pipe, and do not follow symlinks.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(name, flags, dir_fd=directory), "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError(name)
            head = file.read(8)
            used = struct.unpack("=ixxxx", head)[0] if head else 0
            if used == 0:
                return b""
            if not 8 <= used <= min(FILE_SIZE, self._size):
                raise ValueError(name)
            data = head + file.read(used - 8)
        new = set(series(data, used)) - known
        if len(new) > self._series:
            raise ValueError(name)
        known |= new
        self._series -= len(new)
        self._size -= used
        return data


def opened(path, parent: int | None = None):
    """Return a context manager with a descriptor of the directory *path*, which must not be a symlink."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return closing(os.open(path, flags, dir_fd=parent))


@contextlib.contextmanager
def closing(descriptor: int):
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def series(data: bytes, used: int):
    """Yield the key of each series in the first *used* bytes of a file; raise ValueError or struct.error if it is corrupt."""
    at = 8
    while at < used:
        (length,) = struct.unpack_from("=i", data, at)
        if length <= 0:
            raise ValueError(length)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length + 8 - (length + 4) % 8 + 16
    if at != used or used > len(data):
        raise ValueError(used)


def families(files: Files) -> list:
    """Return the metrics of both slots, with the labels ``slot``, ``release`` and ``config`` on each sample."""
    merged = {}
    for labels, directory in files.directories():
        with tempfile.TemporaryDirectory() as copies:
            metrics = merge(files, files.copy(directory, copies))
        for metric in metrics:
            family = merged.setdefault(metric.name, metric)
            samples = [
                sample._replace(labels={**sample.labels, **labels}) for sample in metric.samples if is_sound(sample)
            ]
            family.samples = samples if family is metric else family.samples + samples
    return list(merged.values())


def merge(files: Files, paths: list[str]) -> list:
    """Return the metrics in the files *paths*, skipping files that prometheus-client cannot read."""
    from prometheus_client.multiprocess import MultiProcessCollector

    def read(some: list[str]) -> list | None:
        try:
            metrics = MultiProcessCollector.merge(some, accumulate=True)
            return [metric for metric in metrics if NAME.fullmatch(metric.name) and is_text(metric.documentation)]
        except Exception:  # noqa: BLE001 - the app can have written anything
            return None

    found = read(paths)
    if found is None:
        readable = [path for path in paths if read([path]) is not None]
        found = read(readable)
        files.skipped += len(paths) - (len(readable) if found is not None else 0)
    return found or []


def is_sound(sample) -> bool:
    """Return whether *sample* renders as one line, with names that Prometheus accepts."""
    return bool(NAME.fullmatch(sample.name)) and all(
        NAME.fullmatch(name) and ":" not in name and is_text(value) for name, value in sample.labels.items()
    )


def is_text(value: object) -> bool:
    """Return whether *value* is a string that UTF-8 can encode."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class Collector:
    """The collector of both slots' metrics for prometheus-client."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def collect(self) -> list:
        return families(self._files)


def worker_metrics(counters: Path) -> str:
    """Return the metrics of the workers as text."""
    from prometheus_client import CollectorRegistry, generate_latest

    files = Files(counters)
    registry = CollectorRegistry()
    registry.register(Collector(files))
    try:
        text = generate_latest(registry).decode()
        if len(text) > ANSWER_SIZE:
            raise ValueError(f"{len(text)} characters")
    except Exception as exc:  # noqa: BLE001 - the app can have written anything
        print(f"Cannot read the counters: {exc!r:.200}", file=sys.stderr)
        text = ""
        files.skipped += 1
    used = used_space(counters)
    return text + (
        "# HELP asgi_metrics_space_used Used fraction of the counters' file system. New series are dropped when it is full.\n"
        "# TYPE asgi_metrics_space_used gauge\n"
        f"asgi_metrics_space_used {used:.3f}\n"
        "# HELP asgi_metrics_files_skipped Files in the directory of the counters that are unreadable or too large.\n"
        "# TYPE asgi_metrics_files_skipped gauge\n"
        f"asgi_metrics_files_skipped {files.skipped}\n"
    )


def used_space(directory: Path) -> float:
    """Return the used fraction of the file system of *directory*, of space or inodes, whichever is larger."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0
    shares = ((found.f_bfree, found.f_blocks), (found.f_ffree, found.f_files))
    return max(1 - free / total if total else 0 for free, total in shares)


# ---- state of the slots


def slot_metrics(name: str, run: Path) -> str:
    """Return the live slot and the length of each slot's listen queue as text."""
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
        ("asgi_listen_queue_limit", 1, "Maximum number of waiting connections; more are rejected."),
    ):
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} gauge"]
        for slot in SLOTS:
            path = str(run / f"{slot}.sock")
            if path in queues:
                lines.append(f'{metric}{{slot="{slot}"}} {queues[path][number]}')
    return "\n".join(lines) + "\n"


def process_metrics(
    name: str, run: Path, slots: Path | None = None, successes: Path | None = None, units: Path = UNITS
) -> str:
    """Return the state of the background processes and timers of the live slot as text; nothing if there are none."""
    live = live_slot(run)
    slots = slots or Path(f"/srv/{name}/slots")
    successes = successes or Path(f"/var/lib/asgi-timers/{name}")
    try:
        plan = json.loads((slots / str(live) / "config/processes.json").read_text())
    except (OSError, ValueError):
        return ""
    up, restarts, times = [], [], []
    for process, entry in sorted(plan.items()):
        if entry["kind"] == "timer":
            with contextlib.suppress(OSError):
                times.append((f'timer="{process}"', int((successes / process).stat().st_mtime)))
            continue
        for instance in range(1, entry["instances"] + 1):
            unit = f"{name}.{process}.{instance}@{live}"
            labels = f'process="{process}",number="{instance}",slot="{live}"'
            # systemd keeps a link while the unit is active, and appends a byte to the file at each start
            up.append((labels, int(os.path.lexists(units / f"invocation:{unit}.service"))))
            with contextlib.suppress(OSError):
                restarts.append((labels, max((run / f"{unit}.starts").stat().st_size - 1, 0)))
    return "".join(
        f"# HELP {metric} {text}\n# TYPE {metric} {kind}\n"
        + "".join(f"{metric}{{{labels}}} {value}\n" for labels, value in samples)
        for metric, kind, text, samples in (
            ("asgi_process_up", "gauge", "Whether the process runs.", up),
            ("asgi_process_restarts_total", "counter", "Starts of the process after the first.", restarts),
            (
                "asgi_timer_last_success_timestamp_seconds",
                "gauge",
                "Time of the last success; 0 if there is none.",
                times,
            ),
        )
        if samples
    )


def live_slot(run: Path) -> str | None:
    try:
        return os.readlink(run / "live.sock").rpartition(".")[0]
    except OSError:
        return None


def listen_queues() -> dict[str, tuple[int, int]]:
    """Return the length and the limit of the queue of each listening unix socket by path, see sock_diag(7)."""
    family, listening, name_and_queue = socket.AF_UNIX, 1 << 10, 0x01 | 0x10
    request = struct.pack("=BBHIIIII", family, 0, 0, listening, 0, name_and_queue, 0, 0)
    header = struct.pack("=IHHII", 16 + len(request), 20, 0x301, 1, 0)  # SOCK_DIAG_BY_FAMILY; REQUEST | DUMP
    found = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as kernel:  # NETLINK_SOCK_DIAG
        kernel.settimeout(DEADLINE)
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


# ---- HTTP server


def exposition(name: str, run: Path) -> str:
    """Return all metrics as text."""
    text = slot_metrics(name, run) + process_metrics(name, run)
    with contextlib.suppress(ImportError):  # the live release was built without metrics
        text += worker_metrics(run / "counters")
    return text


class Exporter:
    """Serves the clients of one listening socket. *text* returns the metrics; *allowed* lists networks, empty for all clients."""

    def __init__(self, text, allowed=()) -> None:
        self._text = text
        self._allowed = [ipaddress.ip_network(network, strict=False) for network in allowed]
        # One thread renders one response at a time, while the event loop accepts connections.
        self._thread = ThreadPoolExecutor(1)
        self._body, self._made = b"", float("-inf")
        self._clients: dict = {}  # tasks, oldest first

    async def serve(self, listener: socket.socket, ends=lambda: False) -> None:
        """Serve until *ends* returns true, which is called before each connection is accepted."""
        listener.setblocking(False)
        waiting = asyncio.Event()
        asyncio.get_running_loop().add_reader(listener, waiting.set)
        while True:
            await waiting.wait()
            waiting.clear()
            if ends():
                break
            with contextlib.suppress(OSError):  # the client has disconnected
                self._accept(*listener.accept())
        asyncio.get_running_loop().remove_reader(listener)
        if self._clients:
            await asyncio.wait(self._clients, timeout=1)

    def _accept(self, client: socket.socket, address) -> None:
        client.setblocking(False)
        if not self._admits(client, address):
            client.close()
            return
        if len(self._clients) >= CLIENTS:
            next(iter(self._clients)).cancel()
        task = asyncio.ensure_future(self._answer(client))
        self._clients[task] = True
        task.add_done_callback(self._clients.pop)

    def _admits(self, client: socket.socket, address) -> bool:
        if not self._allowed or client.family == socket.AF_UNIX:
            return True
        found = ipaddress.ip_address(address[0].partition("%")[0])
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self._allowed)

    async def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.CancelledError):
            loop = asyncio.get_running_loop()
            answer = await self._respond(await asyncio.wait_for(read_request(client), DEADLINE))
            await asyncio.wait_for(loop.sock_sendall(client, answer), DEADLINE)

    async def _respond(self, request: bytes) -> bytes:
        status, body = "200 OK", b""
        words = request.partition(b"\r\n")[0].split(b" ")
        if len(words) != 3 or words[0] != b"GET" or words[1].partition(b"?")[0] != b"/metrics":
            status, body = "404 Not Found", b"Use GET /metrics\n"
        else:
            body = await asyncio.get_running_loop().run_in_executor(self._thread, self._render)
        head = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return head.encode() + body

    def _render(self) -> bytes:
        if time.monotonic() - self._made > FRESH_SECONDS:
            self._body = self._text().encode()
            self._made = time.monotonic()
        return self._body


async def read_request(client: socket.socket) -> bytes:
    """Return the head of a request; raise OSError if it is incomplete or too large."""
    request = b""
    while b"\r\n\r\n" not in request:
        more = await asyncio.get_running_loop().sock_recv(client, REQUEST_SIZE)
        request += more
        if not more or len(request) > REQUEST_SIZE:
            raise OSError("not a request")
    return request


def serve(name: str, allowed: list[str]) -> None:
    listener = socket.socket(fileno=FIRST_DESCRIPTOR)
    exporter = Exporter(lambda: exposition(name, Path("/run") / name), allowed)
    # Does not accept the pending connection, for which systemd starts the exporter again.
    asyncio.run(exporter.serve(listener, lambda: of_another_release(name)))


def of_another_release(name: str) -> bool:
    return python_of(name) != Path(os.environ["ASGI_METRICS_PYTHON"])


def python_of(name: str) -> Path:
    """Return the Python of the live release, with symlinks to the release resolved."""
    return Path(f"/srv/{name}/current").resolve() / ".venv/bin/python"


def main() -> None:
    name, *allowed = sys.argv[1:]
    if "ASGI_METRICS_PYTHON" not in os.environ:
        python = python_of(name)
        os.environ["ASGI_METRICS_PYTHON"] = str(python)
        with contextlib.suppress(OSError):
            os.execv(python, [str(python), "-I", __file__, *sys.argv[1:]])
    with contextlib.suppress(ImportError):
        importlib.import_module("prometheus_client.multiprocess")  # before its release can be removed
    serve(name, allowed)


if __name__ == "__main__":
    main()
