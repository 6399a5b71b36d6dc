"""The middleware around the app, the metrics and the exporter; tests/worker tests them with real processes."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

APP = Path(__file__).parents[4] / "roles/asgi_server/files/srv/app"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


around = load(APP / "configs/asgi_deploy_request.py")
sys.modules["asgi_deploy_request"] = around
metrics = load(APP / "configs/asgi_deploy_metrics.py")
exporter = load(APP / "metrics_exporter.py")


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], None),
        ([(b"host", b"x"), (b"x-request-id", b"4f0c1d2a")], "4f0c1d2a"),
        ([(b"x-request-id", b"from-the.balancer_1")], "from-the.balancer_1"),
        ([(b"x-request-id", b"first-one"), (b"x-request-id", b"second-one")], "first-one"),
        ([(b"x-request-id", b"short")], None),
        ([(b"x-request-id", b"")], None),
        ([(b"x-request-id", b"x" * 128)], "x" * 128),
        ([(b"x-request-id", b"x" * 129)], None),
        ([(b"x-request-id", b'12345678"}')], None),
        ([(b"x-request-id", b"12345678\n")], None),
        ([(b"x-request-id", "ümlautümlaut".encode())], None),
    ],
)
def test_the_id_of_a_request(headers, found):
    assert around.request_id(headers) == found


def test_requests_beyond_the_limit_are_rejected(monkeypatch):
    monkeypatch.setattr(around, "_limit", None)
    rejected, sent = [], []
    monkeypatch.setattr(around, "on_reject", lambda: rejected.append(1))
    released = asyncio.Event()

    async def app(scope, receive, send):
        await released.wait()

    async def send(message):
        sent.append(message)

    def scope(kind="http", path="/", **more):
        return {"type": kind, "path": path, "headers": [], **more}

    async def scenario():
        around.limit_concurrency(2, except_path="/health")
        wrapped = around.wrapped(app)
        scopes = [scope(), scope("websocket"), scope(path="/api/health", root_path="/api"), {"type": "lifespan"}]
        tasks = [asyncio.create_task(wrapped(each, None, send)) for each in scopes]
        await asyncio.sleep(0)
        assert sent == []
        await wrapped(scope(), None, send)
        await wrapped(scope("websocket", extensions={"websocket.http.response": {}}), None, send)
        await wrapped(scope("websocket"), None, send)
        released.set()
        await asyncio.gather(*tasks)
        await wrapped(scope(), None, send)

    asyncio.run(scenario())

    assert [message["type"] for message in sent] == [
        "http.response.start",
        "http.response.body",
        "websocket.http.response.start",
        "websocket.http.response.body",
        "websocket.close",
    ]
    assert sent[0]["status"] == sent[2]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]
    assert len(rejected) == 3


def test_middleware_passes_messages_on_unchanged():
    seen = []

    async def app(*arguments):
        seen.append((*arguments, around.REQUEST_ID.get()))

    async def scenario():
        wrapped = around.wrapped(app)
        for scope in scopes:
            await wrapped(scope, "receive", "send")

    headers = [(b"x-request-id", b"12345678")]
    scopes = [{"type": "http", "headers": headers}, {"type": "http", "headers": []}, {"type": "lifespan"}]
    scopes.append({"type": "websocket", "headers": headers})
    asyncio.run(scenario())

    assert [each[:3] for each in seen] == [(scope, "receive", "send") for scope in scopes]
    assert all(each[0] is scope for each, scope in zip(seen, scopes, strict=True))
    assert [each[3] for each in seen] == ["12345678", None, None, "12345678"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_app_gets_the_path_that_the_proxy_has_removed(kind, monkeypatch):
    monkeypatch.setattr(around, "_root_path", None)
    around.accept_root_path("/api")
    scope = scope_with(b"/api", kind=kind)
    found = scope_of_app(scope)
    assert (found["root_path"], found["path"], found["raw_path"]) == ("/api", "/api/a/b", b"/api/a%2Fb")
    # the server's own scope, which its log prints, is unchanged
    assert (scope["root_path"], scope["path"]) == ("", "/a/b")


@pytest.mark.parametrize(
    ("accepted", "headers"),
    [
        (None, [b"/api"]),
        (None, [b"//evil.test"]),
        (None, [b""]),
        ("/api", [b"/admin"]),
        ("/api", [b"/api", b"/api"]),
        ("/api", []),
    ],
)
def test_a_client_cannot_choose_the_path_that_the_app_sees(accepted, headers, monkeypatch):
    """A site that an earlier version has written passes the header of the client on."""
    monkeypatch.setattr(around, "_root_path", accepted)
    scope = scope_with(*headers)
    assert scope_of_app(scope) == scope

    seen = []
    for value in headers:
        environ = {"SCRIPT_NAME": "", "HTTP_X_ASGI_ROOT_PATH": ",".join([value.decode()] * len(headers))}
        around.with_script_name(lambda environ, _start: seen.append(environ["SCRIPT_NAME"]))(environ, None)
    assert seen == [""] * len(headers)


def scope_with(*root_paths, kind="http"):
    headers = [(b"host", b"x"), *((b"x-asgi-root-path", value) for value in root_paths)]
    return {"type": kind, "headers": headers, "path": "/a/b", "raw_path": b"/a%2Fb", "root_path": ""}


def scope_of_app(scope):
    """Return the scope that the app receives for *scope*."""
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    asyncio.run(around.wrapped(app)(scope, None, None))
    return seen[0]


def test_a_wsgi_app_gets_the_path_that_the_proxy_has_removed(monkeypatch):
    def app(environ, start_response):
        return environ["SCRIPT_NAME"], environ["PATH_INFO"]

    monkeypatch.setattr(around, "_root_path", None)
    around.accept_root_path("/api")
    wrapped = around.with_script_name(app)
    assert wrapped({"SCRIPT_NAME": "", "PATH_INFO": "/a", "HTTP_X_ASGI_ROOT_PATH": "/api"}, None) == ("/api", "/a")
    assert wrapped({"SCRIPT_NAME": "", "PATH_INFO": "/a"}, None) == ("", "/a")


def test_exception_of_the_app_propagates():
    async def app(scope, receive, send):
        raise LookupError("no")

    with pytest.raises(LookupError):
        asyncio.run(around.wrapped(app)({"type": "http", "headers": []}, None, None))


def test_app_without_metrics_is_served(monkeypatch, caplog):
    async def app(scope, receive, send):
        seen.append(scope)

    def measure(app):
        raise ValueError("counters can only be incremented by non-negative amounts")

    seen = []
    monkeypatch.setattr(around, "measure", measure)
    asyncio.run(around.wrapped(app)({"type": "http", "headers": []}, None, None))

    assert len(seen) == 1
    assert "This worker serves without metrics: ValueError" in caplog.text


def test_worker_starts_without_metrics(monkeypatch):
    def measure_as(place, buckets):
        raise ValueError("a broken file")

    warned = []
    monkeypatch.setenv(metrics.DIRECTORY, "/nonexistent")
    monkeypatch.setattr(metrics, "measure_as", measure_as)
    _starting, _pre_fork, post_fork, _exited = metrics.hooks(None, None, [1])

    post_fork(
        SimpleNamespace(log=SimpleNamespace(warning=lambda *words: warned.append(words))), SimpleNamespace(place=0)
    )

    assert len(warned) == 1


def test_worker_takes_the_lowest_free_place(monkeypatch):
    monkeypatch.delenv(metrics.DIRECTORY, raising=False)
    _starting, pre_fork, _post_fork, exited = metrics.hooks(None, lambda server, worker: None, [1])
    server = SimpleNamespace(WORKERS={})

    def forked(pid):
        worker = SimpleNamespace()
        pre_fork(server, worker)
        server.WORKERS[pid] = worker
        return worker.place

    assert [forked(pid) for pid in (1, 2, 3)] == [0, 1, 2]
    exited(server, server.WORKERS.pop(2))
    assert [forked(pid) for pid in (4, 5)] == [1, 3]


def test_gauges_of_an_ended_worker_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv(metrics.DIRECTORY, str(tmp_path))
    for name in ("counter_1.db", "gauge_livesum_1.db", "gauge_liveall_1.db", "gauge_livesum_11.db", "gauge_all_1.db"):
        (tmp_path / name).touch()

    metrics.leave(1)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter_1.db", "gauge_all_1.db", "gauge_livesum_11.db"]


def test_undeletable_file_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(metrics.DIRECTORY, str(tmp_path))
    (tmp_path / "gauge_livesum_1.db").mkdir()

    metrics.leave(1)


def test_slot_keeps_the_counters_of_its_release(tmp_path):
    ours = metrics.provide_directory(tmp_path)
    (ours / "counter_0.db").touch()
    (ours / "gauge_livesum_3.db").touch()  # left by a killed worker
    (tmp_path / "r0.c0").mkdir()

    assert metrics.provide_directory(tmp_path) == ours
    assert [path.name for path in tmp_path.iterdir()] == [ours.name]
    assert [path.name for path in ours.iterdir()] == ["counter_0.db"]
    assert ours.name.endswith(".configs")


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_the_queue_of_a_socket(tmp_path):
    path = str(tmp_path / "blue.sock")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(path)
        listener.listen(7)
        assert exporter.listen_queues()[path] == (0, 7)
        waiting.connect(path)
        assert exporter.listen_queues()[path] == (1, 7)
    assert path not in exporter.listen_queues()


def test_slot_metrics_of_a_missing_app(tmp_path):
    text = exporter.slot_metrics("no-such-app", tmp_path)
    assert [line for line in text.splitlines() if not line.startswith("#")] == []
