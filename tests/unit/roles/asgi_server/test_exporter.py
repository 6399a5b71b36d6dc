"""The metrics exporter: the files that it reads from the counters' directory, and its handling of clients."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
import struct
import sys
import time
from pathlib import Path

import pytest

PATH = Path(__file__).parents[4] / "roles/asgi_server/files/srv/app/metrics_exporter.py"
spec = importlib.util.spec_from_file_location("metrics_exporter", PATH)
exporter = importlib.util.module_from_spec(spec)
sys.modules.setdefault("metrics_exporter", exporter)
spec.loader.exec_module(exporter)


def counters(*keys: bytes) -> bytes:
    """Return a file in the format of prometheus-client."""
    entries = b""
    for key in keys:
        padded = key + b" " * (8 - (len(key) + 4) % 8)
        entries += struct.pack(f"=i{len(padded)}sdd", len(key), padded, 1.0, 0.0)
    return struct.pack("=ii", 8 + len(entries), 0) + entries


GOOD = counters(b'["a", "a_total", {}, "text"]', b'["b", "b_total", {}, "text"]')


@pytest.fixture
def slot(tmp_path):
    """The directory of a release in a slot, with one good file."""
    directory = tmp_path / "blue/r1.c1"
    directory.mkdir(parents=True)
    (directory / "counter_0.db").write_bytes(GOOD + bytes(4096))
    return directory


def read(root: Path, target: Path) -> tuple[list[str], exporter.Files]:
    """Return the names of the copied files, and the object that copied them."""
    target.mkdir()
    files = exporter.Files(root)
    return [
        os.path.basename(path)
        for _labels, directory in files.directories()
        for path in files.copy(directory, str(target))
    ], files


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.write(struct.pack("=ii", 1 << 30, 0))
        file.truncate(1 << 31)


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


STRAY = {
    "pipe": lambda path: os.mkfifo(path),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to a file": lambda path: path.symlink_to("/etc/passwd"),
    "directory": lambda path: path.mkdir(),
    "socket": socket_at,
    "huge": huge,
    "truncated": lambda path: path.write_bytes(GOOD[:-5]),
    "header only in part": lambda path: path.write_bytes(b"\x10\0\0"),
    "negative size": lambda path: path.write_bytes(struct.pack("=ii", -8, 0)),
    "entry of negative length": lambda path: path.write_bytes(struct.pack("=iii", 64, 0, -64) + bytes(60)),
    "entry beyond the end": lambda path: path.write_bytes(struct.pack("=iii", 64, 0, 1 << 30) + bytes(60)),
    "text": lambda path: path.write_text("no counters at all, but quite a long text\n"),
}


@pytest.mark.parametrize("stray", sorted(STRAY))
def test_a_stray_file_is_skipped(slot, tmp_path, stray):
    STRAY[stray](slot / "counter_1.db")
    began = time.monotonic()

    taken, files = read(tmp_path, tmp_path / "copies")

    assert taken == ["counter_0.db"]
    assert files.skipped == 1
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "name",
    ["notes.db", "counter_x.db", "gauge_1.db", "gauge_live_1.db", "counter_1.db.swp", "x_1.db", "counter_1\n.db"],
)
def test_a_stray_name_is_skipped(slot, tmp_path, name):
    (slot / name).write_bytes(GOOD)
    taken, files = read(tmp_path, tmp_path / "copies")
    assert taken == ["counter_0.db"]
    assert files.skipped == 1


def test_empty_file_of_a_new_worker_is_accepted(slot, tmp_path):
    (slot / "counter_1.db").touch()
    (slot / "counter_2.db").write_bytes(bytes(4096))
    taken, files = read(tmp_path, tmp_path / "copies")
    assert taken == ["counter_0.db"]
    assert files.skipped == 0


def test_a_copy_contains_the_used_part_of_the_file(slot, tmp_path):
    read(tmp_path, tmp_path / "copies")
    assert (tmp_path / "copies/counter_0.db").read_bytes() == GOOD


def test_symlinked_or_misnamed_directories_are_skipped(slot, tmp_path):
    (tmp_path / "green").symlink_to(tmp_path / "blue")
    (slot.parent / "r2.c2").symlink_to(slot)
    (slot.parent / 'r3".c3').mkdir()
    (slot.parent / "r4\n.c4").mkdir()
    os.mkfifo(slot.parent / "r5.c5")
    found = [labels for labels, _directory in exporter.Files(tmp_path).directories()]
    assert found == [{"slot": "blue", "release": "r1", "config": "c1"}]


@pytest.mark.parametrize(("limit", "value"), [("FILES_SIZE", 3 * len(GOOD)), ("SERIES", 6)])
def test_all_files_together_have_a_limit(slot, tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(exporter, limit, value)
    for number in range(1, 5):
        (slot / f"counter_{number}.db").write_bytes(GOOD.replace(b"text", b"t%03d" % number))
    taken, files = read(tmp_path, tmp_path / "copies")
    assert taken == ["counter_0.db", "counter_1.db", "counter_2.db"]
    assert files.skipped == 2


def test_series_of_several_workers_counts_once(slot, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "SERIES", 2)
    for number in range(1, 5):
        (slot / f"counter_{number}.db").write_bytes(GOOD)
    taken, files = read(tmp_path, tmp_path / "copies")
    assert len(taken) == 5
    assert files.skipped == 0


def test_the_used_space(tmp_path):
    assert 0 < exporter.used_space(tmp_path) <= 1
    assert exporter.used_space(tmp_path / "none") == 0


class Sample:
    def __init__(self, name="a_total", labels=()):
        self.name, self.labels = name, dict(labels)


@pytest.mark.parametrize(
    ("sample", "sound"),
    [
        (Sample(), True),
        # prometheus-client escapes the values of labels.
        (Sample(labels={"a": 'x"} 1\nfake 2'}), True),
        (Sample(name="a_total 1\nfake"), False),
        (Sample(name=""), False),
        (Sample(labels={'a="x"} 1\nfake{b': "x"}), False),
        (Sample(labels={"a:b": "x"}), False),
        (Sample(labels={"a": 1}), False),
        (Sample(labels={"a": "\ud800"}), False),
    ],
)
def test_a_sample_is_one_line(sample, sound):
    assert exporter.is_sound(sample) is sound


# ---- clients


class Served:
    """An exporter in an event loop, and the clients of the test."""

    def __init__(self, family=socket.AF_INET, **options):
        self.texts, self.ends = 0, False
        self.listener = socket.socket(family)
        self.listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listener.listen()
        self.exporter = exporter.Exporter(self.text, **options)

    def text(self) -> str:
        self.texts += 1
        return "asgi_slot_live 1\n"

    async def __aenter__(self):
        self.task = asyncio.ensure_future(self.exporter.serve(self.listener, lambda: self.ends))
        return self

    async def __aexit__(self, *_exception):
        self.task.cancel()
        self.listener.close()

    async def connect(self):
        return await asyncio.open_connection(*self.listener.getsockname()[:2])

    async def ask(self, request=b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") -> bytes:
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), 5)
        except ConnectionError:  # the exporter closed the connection before it read all data
            return b""
        finally:
            writer.close()


def serving(scenario, **options):
    async def run():
        async with Served(**options) as served:
            return await scenario(served)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK"),
        (b"GET /metrics?name=a HTTP/1.0\r\n\r\n", b"200 OK"),
        (b"GET /etc/passwd HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"\r\n\r\n", b"404 Not Found"),
    ],
)
def test_an_answer(request_, status):
    answer = serving(lambda served: served.ask(request_))
    head, _blank, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert f"Content-Length: {len(body)}".encode() in head.splitlines()
    assert (body == b"asgi_slot_live 1\n") == (status == b"200 OK")


def test_slow_clients_do_not_delay_others(monkeypatch):
    async def scenario(served):
        slow = [await served.connect() for _number in range(20)]
        for _reader, writer in slow:
            writer.write(b"GET /metr")
        began = time.monotonic()
        answer = await served.ask()
        return answer, time.monotonic() - began

    answer, seconds = serving(scenario)
    assert answer.startswith(b"HTTP/1.1 200")
    assert seconds < 2


def test_a_client_that_sends_a_byte_at_a_time_has_a_deadline(monkeypatch):
    monkeypatch.setattr(exporter, "DEADLINE", 0.5)

    async def scenario(served):
        reader, writer = await served.connect()
        began = time.monotonic()
        end = asyncio.ensure_future(reader.read())
        while not end.done() and time.monotonic() - began < 5:
            writer.write(b"x")
            await asyncio.wait([end], timeout=0.05)
        assert end.done()
        assert isinstance(end.exception(), (ConnectionError, type(None)))
        return time.monotonic() - began

    assert serving(scenario) < 2


def test_a_client_that_does_not_read_has_a_deadline(monkeypatch):
    monkeypatch.setattr(exporter, "DEADLINE", 0.5)

    async def scenario(served):
        served.exporter._text = lambda: "x" * (32 << 20)
        _reader, writer = await served.connect()
        writer.transport.pause_reading()
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.2)
        assert served.exporter._clients
        deadline = time.monotonic() + 5
        while served.exporter._clients and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        return len(served.exporter._clients)

    assert serving(scenario) == 0


def test_the_request_size_is_limited(monkeypatch):
    assert serving(lambda served: served.ask(b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 4000)) == b""


def test_a_new_client_replaces_the_oldest(monkeypatch):
    monkeypatch.setattr(exporter, "CLIENTS", 4)

    async def scenario(served):
        slow = []
        for _number in range(12):
            slow.append(await served.connect())
            await asyncio.sleep(0.01)
        ended = await asyncio.wait_for(slow[0][0].read(), 2)
        return ended, await served.ask(), len(served.exporter._clients)

    ended, answer, clients = serving(scenario)
    assert ended == b""
    assert answer.startswith(b"HTTP/1.1 200")
    assert clients <= 4


def test_concurrent_scrapes_are_rendered_once():
    async def scenario(served):
        answers = await asyncio.gather(*(served.ask() for _number in range(10)))
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        return served.texts

    assert serving(scenario) == 1


@pytest.mark.parametrize(
    ("allowed", "family", "served"),
    [
        ([], socket.AF_INET, True),
        (["127.0.0.0/8"], socket.AF_INET, True),
        (["192.0.2.7", "127.0.0.1"], socket.AF_INET, True),
        (["192.0.2.7"], socket.AF_INET, False),
        (["2001:db8::/32"], socket.AF_INET, False),
        (["::1"], socket.AF_INET6, True),
        (["127.0.0.1"], socket.AF_INET6, False),
    ],
)
def test_allowed_clients(allowed, family, served):
    answer = serving(lambda served: served.ask(), allowed=allowed, family=family)
    assert answer.startswith(b"HTTP/1.1 200") == served
    assert bool(answer) == served


def test_ipv4_mapped_addresses_match_ipv4_networks():
    admits = exporter.Exporter(str, ["192.0.2.0/24"])._admits
    client = socket.socket(socket.AF_INET6)
    assert admits(client, ("::ffff:192.0.2.7", 1, 0, 0))
    assert not admits(client, ("::ffff:198.51.100.7", 1, 0, 0))
    assert not admits(client, ("fe80::1%eth0", 1, 0, 2))
    client.close()


def test_the_exporter_exits_without_accepting_when_another_release_is_live():
    """The pending client's request is not lost, because systemd starts the next exporter for the client."""

    async def scenario(served):
        await served.ask()
        served.ends = True
        reader, writer = await served.connect()
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        await asyncio.wait_for(served.task, 5)
        served.ends = False
        served.task = asyncio.ensure_future(served.exporter.serve(served.listener, lambda: False))
        return await asyncio.wait_for(reader.read(), 5)

    assert serving(scenario).startswith(b"HTTP/1.1 200")


def test_a_rendering_error_closes_one_connection_only():
    async def scenario(served):
        good, served.exporter._text = served.exporter._text, lambda: 1 / 0
        first = await served.ask()
        served.exporter._text = good
        return first, await served.ask()

    first, second = serving(scenario)
    assert first == b""
    assert second.startswith(b"HTTP/1.1 200")


def test_processes(tmp_path):
    run, slots, successes, units = (tmp_path / name for name in ("run", "slots", "successes", "units"))
    config = slots / "blue/config"
    for directory in (run, config, successes, units):
        directory.mkdir(parents=True)
    (run / "live.sock").symlink_to("blue.sock")
    assert exporter.process_metrics("shop", run, slots, successes, units) == ""

    config.joinpath("processes.json").write_text(
        json.dumps(
            {"worker": {"kind": "process", "instances": 2}, "cleanup": {"kind": "timer"}, "new": {"kind": "timer"}}
        )
    )
    (units / "invocation:shop.worker.1@blue.service").symlink_to("0123")
    for instance, starts in ((1, 1), (2, 4)):
        (run / f"shop.worker.{instance}@blue.starts").write_bytes(bytes(starts))
    (successes / "cleanup").touch()
    os.utime(successes / "cleanup", (1000, 1000))
    text = exporter.process_metrics("shop", run, slots, successes, units)
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert samples == [
        'asgi_process_up{process="worker",number="1",slot="blue"} 1',
        'asgi_process_up{process="worker",number="2",slot="blue"} 0',
        'asgi_process_restarts_total{process="worker",number="1",slot="blue"} 0',
        'asgi_process_restarts_total{process="worker",number="2",slot="blue"} 3',
        'asgi_timer_last_success_timestamp_seconds{timer="cleanup"} 1000',
    ]
