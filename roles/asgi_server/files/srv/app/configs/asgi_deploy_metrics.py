# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the workers of a slot count, with prometheus-client, into files that a program beside them reads.

A release with a configuration in a slot has a directory of its own below RUNTIME_DIRECTORY, and what was there before
goes when it starts. Its files are not a process's, as is usual, but a place's: each worker takes the lowest place that no
living one has, and goes on counting where its predecessor stopped, however that ended. So nothing is lost with a
worker, no number ever goes back, and there are never more files than there were workers at once. The app's own metrics
get the same, if it has any.

Counting must never be the reason that an app does not serve: what goes wrong here is logged, and then nothing is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from pathlib import Path
from time import perf_counter

import asgi_deploy_request

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT".split())
"""All others are counted as one: a client may call its method what it likes."""

ROUTES = 500
"""So many routes are told apart; of an app that makes them up as it goes, the rest are counted as one."""

OTHER = "other"

TELL_SECONDS = 0.2
"""How old the number of requests in flight may be. Writing it for each request would double what counting costs."""


def hooks(on_starting, child_exit, buckets: list[float]):
    """Return gunicorn's hooks ``on_starting``, ``pre_fork``, ``post_fork`` and ``child_exit``.

    The two that are given run first. *buckets* are the upper limits of the histogram, in seconds.
    """

    def starting(server) -> None:
        on_starting(server)
        try:
            os.environ[DIRECTORY] = str(provide_directory(Path(os.environ["RUNTIME_DIRECTORY"])))
        except (KeyError, OSError) as exc:
            server.log.warning("Nothing is measured: %r", exc)

    def pre_fork(server, worker) -> None:
        # a copy: gunicorn takes workers that have ended out of it in a signal's handler
        taken = {living.place for living in list(server.WORKERS.values())}
        worker.place = min(set(range(len(taken) + 1)) - taken)
        leave(worker.place)

    def post_fork(server, worker) -> None:
        if DIRECTORY in os.environ:
            try:
                measure_as(worker.place, buckets)
            except Exception as exc:  # noqa: BLE001 - the package is the app's choice, and files may be broken
                server.log.warning("Nothing is measured: %r", exc)

    def exited(server, worker) -> None:
        child_exit(server, worker)
        leave(worker.place)

    return starting, pre_fork, post_fork, exited


def provide_directory(runtime: Path) -> Path:
    """Return the directory for the release and the configuration that this process runs; remove those of others."""
    release = Path(sys.prefix).resolve().parent.name
    config = Path(__file__).resolve().parent.name
    ours = runtime / f"{release}.{config}"
    ours.mkdir(mode=0o750, exist_ok=True)
    for gauge in ours.glob("gauge_live*.db"):  # of workers that nobody has seen off: their master was killed with them
        gauge.unlink()
    for other in runtime.iterdir():
        if other != ours:
            shutil.rmtree(other)
    return ours


def leave(place: int) -> None:
    """Forget what a worker that has gone was doing; what it has counted stays."""
    if DIRECTORY in os.environ:
        for gauge in Path(os.environ[DIRECTORY]).glob(f"gauge_live*_{place}.db"):
            with contextlib.suppress(OSError):  # a number that is wrong is no reason to serve less
                gauge.unlink(missing_ok=True)


def measure_as(place: int, buckets: list[float]) -> None:
    """Have what this process counts written to the files of *place*. To be called before the app is imported."""
    from prometheus_client import CollectorRegistry, values

    values.ValueClass = values.MultiProcessValue(lambda: place)
    # a registry of our own: what an app shows of its own metrics stays its own
    metrics = Metrics(CollectorRegistry(), buckets)
    asgi_deploy_request.measure = metrics.around
    asgi_deploy_request.on_drain = metrics.drains.inc


def value(counter) -> float:
    """Return what a counter without labels has come to, in all who had this place."""
    return next(iter(counter.collect())).samples[0].value


class Metrics:
    """What is counted of the requests of one worker."""

    def __init__(self, registry, buckets: list[float]) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        def counter(name, text, labels=()):
            return Counter(name, text, labels, registry=registry)

        def gauge(name, text):
            return Gauge(name, text, registry=registry, multiprocess_mode="livesum")

        self.requests = counter(
            "asgi_requests", "Requests answered, by the status of the answer", ["method", "route", "status"]
        )
        self.seconds = Histogram(
            "asgi_request_duration_seconds",
            "Seconds from a request's arrival at the app to the head of its answer",
            ["method", "route"],
            buckets=buckets,
            registry=registry,
        )
        self.in_flight = gauge("asgi_requests_in_flight", "Requests that the app is working on")
        self.websockets = counter("asgi_websockets", "WebSockets opened")
        self.open_websockets = gauge("asgi_websockets_open", "WebSockets that are open")
        self.workers = gauge("asgi_workers", "Workers that run")
        self.starts = counter("asgi_worker_starts", "Workers that have loaded the app, to serve")
        self.drains = counter("asgi_worker_drains", "Workers that have stopped accepting, to leave in order")
        self.crashes = counter("asgi_worker_crashes", "Workers that ended without, and that another has replaced")
        self._flying = 0
        self._telling = False
        self._series: dict = {}
        self._routes: set = set()

    def around(self, app):
        """Return *app*, measured. Called once the app is loaded, so by a worker that is about to serve."""
        # of those who had this place, each that has not drained nor been noted by the one after it
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

            self._enters()
            try:
                await app(scope, receive, watched)
            finally:
                self._flying -= 1
                if not started:  # the server answers with this, if there is still somebody to answer to
                    self._count(scope, 500, perf_counter() - began)

        return measured

    def _enters(self) -> None:
        self._flying += 1
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell)

    def _tell(self) -> None:
        """Write how many requests are in flight, again and again until there are none."""
        self.in_flight.set(self._flying)
        self._telling = self._flying > 0
        if self._telling:
            asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell)

    def _count(self, scope, status: int, seconds: float) -> None:
        # the router leaves it there; without one, or for what has no route, there is none
        route = getattr(scope.get("route"), "path", "")
        key = scope["method"], route, status
        series = self._series.get(key)
        if series is None:
            series = self._series_of(*key)
        counter, histogram = series
        counter.inc()
        histogram.observe(seconds)

    def _series_of(self, method: str, route: str, status: int):
        """Return the counter and the histogram of one kind of answer. Kept, unless a client could make up ever more."""
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
