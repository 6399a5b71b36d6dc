# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Metrics of the workers of a slot. prometheus-client writes them to files, which the exporter reads.

Each release with its configuration has its own directory below ASGI_METRICS_DIRECTORY, and removes all others of the slot when it
starts. A file belongs to a place instead of a process: each worker takes the lowest free place and continues the counters of its
predecessor, however that ended. So a worker's death loses no counts, counters never decrease, and the number of files is limited by
the number of workers. The same applies to the app's own metrics.

An error here must never prevent the app from serving: it is logged, and the worker serves without metrics. The file system of the
directory is small. When it is full, existing series continue, and new series are not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import shutil
import sys
from pathlib import Path
from time import perf_counter

import asgi_deploy_request

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT".split())
"""All other methods are counted as one, because clients can send any method."""

ROUTES = 500
"""Maximum number of routes. Further routes of an app that creates them dynamically are counted as one."""

OTHER = "other"

UPDATE_SECONDS = 0.2
"""Update interval of the requests in flight. An update for each request would double the cost of the metrics."""


def hooks(on_starting, child_exit, buckets: list[float]):
    """Return gunicorn's hooks ``on_starting``, ``pre_fork``, ``post_fork`` and ``child_exit``.

    The hooks in the arguments run first. *buckets* are the upper limits of the histogram in seconds.
    """

    def starting(server) -> None:
        on_starting(server)
        try:
            os.environ[DIRECTORY] = str(provide_directory(Path(os.environ["ASGI_METRICS_DIRECTORY"])))
        except (KeyError, OSError) as exc:
            server.log.warning("The workers serve without metrics: %r", exc)

    def pre_fork(server, worker) -> None:
        # a copy, because gunicorn removes ended workers in a signal handler
        taken = {living.place for living in list(server.WORKERS.values())}
        worker.place = min(set(range(len(taken) + 1)) - taken)
        leave(worker.place)

    def post_fork(server, worker) -> None:
        if DIRECTORY in os.environ:
            try:
                measure_as(worker.place, buckets)
            except Exception as exc:  # noqa: BLE001 - any version of the package, or corrupt files
                measure_nothing()
                server.log.warning("This worker serves without metrics: %r", exc)

    def exited(server, worker) -> None:
        child_exit(server, worker)
        leave(worker.place)

    return starting, pre_fork, post_fork, exited


def provide_directory(slot: Path) -> Path:
    """Return the directory for the release and configuration of this process; remove all other directories of the *slot*."""
    release = Path(sys.prefix).resolve().parent.name
    config = Path(__file__).resolve().parent.name
    ours = slot / f"{release}.{config}"
    slot.mkdir(mode=0o750, exist_ok=True)
    for other in slot.iterdir():
        if other != ours:
            remove(other)
    ours.mkdir(mode=0o750, exist_ok=True)
    for gauge in ours.glob("gauge_live*.db"):  # left by workers that were killed together with their master
        remove(gauge)
    return ours


def remove(path: Path) -> None:
    """Remove a file or directory of any kind, because the app can write here."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def leave(place: int) -> None:
    """Remove the gauges of an ended worker; its counters stay."""
    if DIRECTORY in os.environ:
        for gauge in Path(os.environ[DIRECTORY]).glob(f"gauge_live*_{place}.db"):
            with contextlib.suppress(OSError):  # a wrong gauge must not affect the app
                gauge.unlink(missing_ok=True)


def measure_as(place: int, buckets: list[float]) -> None:
    """Write the metrics of this process to the files of *place*. Must be called before the app is imported."""
    from prometheus_client import CollectorRegistry, values

    values.MmapedDict = bounded(values.MmapedDict)
    values.ValueClass = values.MultiProcessValue(lambda: place)
    # a separate registry, so that the app's own exposition does not include these metrics
    metrics = Metrics(CollectorRegistry(), buckets)
    asgi_deploy_request.measure = metrics.around
    asgi_deploy_request.on_drain = metrics.drains.inc
    asgi_deploy_request.on_reject = metrics.rejected.inc


def measure_nothing() -> None:
    """Keep the app's own metrics in memory instead of files."""
    os.environ.pop(DIRECTORY, None)
    values = sys.modules.get("prometheus_client.values")
    if values is not None:
        values.ValueClass = values.MutexValue


def bounded(mmaped_dict: type) -> type:
    """Return a subclass of prometheus-client's *mmaped_dict* that drops new series if the file system is full.

    The kernel kills a process that writes to a mapped page that it cannot allocate. So the subclass allocates each page before it
    uses the page. Writing to an existing series is as fast as before.
    """

    class Bounded(mmaped_dict):
        _full = False

        def __init__(self, filename: str) -> None:
            try:
                with open(filename, "ab") as file:
                    os.posix_fallocate(file.fileno(), 0, mmap.PAGESIZE)
                super().__init__(filename)
            except Exception as exc:  # noqa: BLE001 - the file system is full, or the file is corrupt
                self._f = self._m = None
                self._positions = {}
                self._refuse(filename, exc)

        def _init_value(self, key: str) -> None:
            if self._full:
                return
            try:
                # The key, and at most 32 bytes for its length, padding and two numbers.
                os.posix_fallocate(self._f.fileno(), self._used, len(key.encode()) + 32)
                super()._init_value(key)
            except OSError as exc:
                self._refuse(self._fname, exc)

        def _refuse(self, filename: str, exc: Exception) -> None:
            """Stop adding series."""
            self._full = True
            self.write_value = self._write_known
            logging.getLogger(__name__).warning("Cannot add series to %s: %r", filename, exc)

        def read_value(self, key: str) -> tuple[float, float]:
            if key not in self._positions:
                self._init_value(key)
            return super().read_value(key) if key in self._positions else (0.0, 0.0)

        def _write_known(self, key: str, value: float, timestamp: float) -> None:
            if key in self._positions:
                super().write_value(key, value, timestamp)

    return Bounded


def value(counter) -> float:
    """Return the value of a counter without labels, over all workers of this place."""
    return next(iter(counter.collect())).samples[0].value


class Metrics:
    """The metrics of one worker."""

    def __init__(self, registry, buckets: list[float]) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        def counter(name, text, labels=()):
            return Counter(name, text, labels, registry=registry)

        def gauge(name, text):
            return Gauge(name, text, registry=registry, multiprocess_mode="livesum")

        self.requests = counter("asgi_requests", "Responses, by status", ["method", "route", "status"])
        self.seconds = Histogram(
            "asgi_request_duration_seconds",
            "Seconds from the arrival of a request at the app to the head of its response",
            ["method", "route"],
            buckets=buckets,
            registry=registry,
        )
        self.rejected = counter("asgi_requests_rejected", "Requests and WebSockets rejected at limit_concurrency")
        self.in_flight = gauge("asgi_requests_in_flight", "Requests in progress")
        self.websockets = counter("asgi_websockets", "WebSockets accepted")
        self.open_websockets = gauge("asgi_websockets_open", "Open WebSockets")
        self.workers = gauge("asgi_workers", "Running workers")
        self.starts = counter("asgi_worker_starts", "Workers that have started")
        self.drains = counter("asgi_worker_drains", "Workers that have exited in a reload, recycling or deploy")
        self.crashes = counter("asgi_worker_crashes", "Workers that have exited in any other way")
        self._in_flight = 0
        self._updating = False
        self._series: dict = {}
        self._routes: set = set()

    def around(self, app):
        """Return *app* with metrics. Called when the app is loaded, in a worker that is about to serve."""
        # Count the previous workers of this place that started but did not drain, unless an earlier successor has counted them.
        self.crashes.inc(max(0, value(self.starts) - value(self.drains) - value(self.crashes)))
        self.starts.inc()
        self.workers.inc()

        async def measured(scope, receive, send):
            kind = scope["type"]
            if kind == "websocket":
                await self._websocket(app, scope, receive, send)
                return
            if kind != "http":
                await app(scope, receive, send)
                return
            began = perf_counter()
            started = False

            def watched(message):
                nonlocal started
                if not started and message["type"] == "http.response.start":
                    started = True
                    self._count(scope, message["status"], perf_counter() - began)
                return send(message)

            self._count_in_flight()
            try:
                await app(scope, receive, watched)
            finally:
                self._in_flight -= 1
                if not started:  # the server then responds with 500
                    self._count(scope, 500, perf_counter() - began)

        return measured

    def _count_in_flight(self) -> None:
        self._in_flight += 1
        if not self._updating:
            self._updating = True
            asyncio.get_running_loop().call_later(UPDATE_SECONDS, self._update)

    def _update(self) -> None:
        """Write the number of requests in flight, repeatedly until it is 0."""
        self.in_flight.set(self._in_flight)
        self._updating = self._in_flight > 0
        if self._updating:
            asyncio.get_running_loop().call_later(UPDATE_SECONDS, self._update)

    def _count(self, scope, status: int, seconds: float) -> None:
        # set by the router of the framework, if it has one and the request has a route
        route = getattr(scope.get("route"), "path", "")
        key = scope["method"], route, status
        series = self._series.get(key)
        if series is None:
            series = self._series_of(*key)
        counter, histogram = series
        counter.inc()
        histogram.observe(seconds)

    def _series_of(self, method: str, route: str, status: int):
        """Return the counter and the histogram of a series, cached unless clients can create any number of them."""
        if route not in self._routes and len(self._routes) >= ROUTES:
            route = OTHER
        self._routes.add(route)
        known = method if method in METHODS else OTHER
        series = self.requests.labels(known, route, status), self.seconds.labels(known, route)
        if known == method and route != OTHER:
            self._series[method, route, status] = series
        return series

    async def _websocket(self, app, scope, receive, send) -> None:
        accepted = False

        def watched(message):
            nonlocal accepted
            if not accepted and message["type"] == "websocket.accept":
                accepted = True
                self.websockets.inc()
                self.open_websockets.inc()
            return send(message)

        try:
            await app(scope, receive, watched)
        finally:
            if accepted:
                self.open_websockets.dec()
