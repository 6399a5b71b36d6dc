"""Pure functions that count, for each disturbance, the events of the clients and the requests that the app executed."""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

STALL_SECONDS = 1.0
SLICE_SECONDS = 0.25
LEAST_MILLISECONDS = 0.05
BUCKET_GROWTH = 1.02
# Windows without a disturbance: until all clients are connected, and then for comparison.
WARM_UP = "warm-up"
QUIET = "quiet"


@dataclass(frozen=True)
class Window:
    """The time of a disturbance: its start *began*, the end of its action *done*, and the end of its effects *ended*.

    *before* and *after* identify the release that served before and after it, or are empty for a site with only one release. *visited* is true if
    another release served in between.
    """

    name: str
    began: float
    done: float
    ended: float
    before: str = ""
    after: str = ""
    visited: bool = False

    def may_serve(self, serving: str, began: float) -> bool:
        """Return whether release *serving* may answer a request sent at *began*: after the action, only the new one may."""
        if not self.after or self.visited:
            return True
        return serving == self.after or (serving == self.before and began <= self.done)


@dataclass(frozen=True)
class Request:
    """A request as its client observed it; *fault* is empty if the answer was correct."""

    id: str
    method: str
    began: float
    ended: float
    delay: float  # seconds for which the request makes the app wait
    fault: str
    serving: str

    @property
    def seconds(self) -> float:
        """Return the seconds that the answer took in addition to *delay*."""
        return self.ended - self.began - self.delay


@dataclass
class Figures:
    """The effects of a disturbance on the traffic. Times are in milliseconds."""

    requests: int = 0
    lost_get: int = 0
    lost_post: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    executed_but_failed: int = 0
    answered_but_not_executed: int = 0
    duplicates: int = 0
    stalls: int = 0
    wrong_release: int = 0
    p50: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    worst: float = 0.0
    # Number of requests by the bucket() of their latency; pooled() combines the numbers of several windows.
    latencies: dict[int, int] = field(default_factory=dict)
    # [slowest answer, lost requests] of each slice of SLICE_SECONDS
    course: list[list[float]] = field(default_factory=list)
    # WebSockets: number by close code, and echoes of the old release after the new one answered a request
    closed: dict[str, int] = field(default_factory=dict)
    echoes_after_flip: int = 0
    # event streams: number that ended, with an incomplete last event, and without the final chunk
    streams: int = 0
    streams_cut: int = 0
    streams_incomplete: int = 0

    @property
    def lost(self) -> int:
        return self.lost_get + self.lost_post

    @property
    def inconsistent(self) -> int:
        """Return the number of requests whose execution does not match the answer that the client received."""
        return self.executed_but_failed + self.answered_but_not_executed + self.duplicates


@dataclass
class Events:
    """The events of the clients, by kind."""

    requests: list[Request] = field(default_factory=list)
    echoes: list[Mapping[str, Any]] = field(default_factory=list)
    websockets: list[Mapping[str, Any]] = field(default_factory=list)
    streams: list[Mapping[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]]) -> Events:
        events: dict[str, list] = {"request": [], "echo": [], "websocket": [], "stream": []}
        names = [entry.name for entry in fields(Request)]
        for line in lines:
            kind = line["kind"]
            events[kind].append(Request(**{name: line[name] for name in names}) if kind == "request" else line)
        return cls(events["request"], events["echo"], events["websocket"], events["stream"])


def count(windows: Sequence[Window], events: Events, executed: Mapping[str, int]) -> list[Figures]:
    """Return the figures of each window.

    The windows follow each other without a gap. A request belongs to the window in which it ended.
    """
    begins = [window.began for window in windows]
    shares: list[list[Request]] = [[] for _window in windows]
    for request in events.requests:
        shares[max(bisect(begins, request.ended) - 1, 0)].append(request)

    all_figures: list[Figures] = []
    for window, share in zip(windows, shares, strict=True):
        figures = count_requests(share, executed, window)
        _count_long_lived(figures, window, share, events)
        all_figures.append(figures)
    return all_figures


def count_requests(requests: Sequence[Request], executed: Mapping[str, int], window: Window) -> Figures:
    lost = [request for request in requests if request.fault]
    answered = [request for request in requests if not request.fault]
    milliseconds = _milliseconds(requests)
    return Figures(
        requests=len(requests),
        lost_get=sum(request.method == "GET" for request in lost),
        lost_post=sum(request.method == "POST" for request in lost),
        faults=dict(Counter(request.fault for request in lost)),
        executed_but_failed=sum(executed.get(request.id, 0) > 0 for request in lost),
        answered_but_not_executed=sum(executed.get(request.id, 0) == 0 for request in answered),
        duplicates=sum(executed.get(request.id, 0) > 1 for request in requests),
        stalls=sum(request.seconds > STALL_SECONDS for request in requests),
        wrong_release=sum(not window.may_serve(request.serving, request.began) for request in answered),
        p50=quantile(milliseconds, 0.5),
        p99=quantile(milliseconds, 0.99),
        p999=quantile(milliseconds, 0.999),
        worst=quantile(milliseconds, 1),
        latencies=dict(Counter(bucket(value) for value in milliseconds)),
        course=_course(requests, window),
    )


def _course(requests: Iterable[Request], window: Window) -> list[list[float]]:
    slices = [[0.0, 0] for _number in range(int((window.ended - window.began) / SLICE_SECONDS) + 1)]
    for request in requests:
        # The last requests of a session may end after its last window.
        part = slices[min(max(int((request.ended - window.began) / SLICE_SECONDS), 0), len(slices) - 1)]
        part[0] = max(part[0], round(max(request.seconds, 0) * 1000, 1))
        part[1] += bool(request.fault)
    return slices


def _count_long_lived(figures: Figures, window: Window, share: Sequence[Request], events: Events) -> None:
    """Add the WebSockets and the event streams that ended in *window*."""
    ended = [socket for socket in events.websockets if window.began <= socket["ended"] <= window.ended]
    figures.closed = dict(Counter(str(socket["code"] or socket["fault"]) for socket in ended))
    flips = [r.ended for r in share if not r.fault and r.serving == window.after != window.before]
    if flips:
        figures.echoes_after_flip = sum(
            echo["serving"] == window.before and min(flips) < echo["at"] <= window.ended for echo in events.echoes
        )
    streams = [stream for stream in events.streams if window.began <= stream["ended"] <= window.ended]
    figures.streams = len(streams)
    figures.streams_cut = sum(not stream["whole"] for stream in streams)
    figures.streams_incomplete = sum(not stream["ended_well"] for stream in streams)


def _milliseconds(requests: Iterable[Request]) -> list[float]:
    return [max(request.seconds, 0) * 1000 for request in requests]


def bucket(milliseconds: float) -> int:
    """Return the number of the bucket for a latency; each bucket is BUCKET_GROWTH times as wide as the previous one."""
    return max(round(math.log(milliseconds / LEAST_MILLISECONDS, BUCKET_GROWTH)), 0) if milliseconds > 0 else 0


def pooled(tallies: Iterable[Mapping[int, int]], share: float) -> float:
    """Return the latency quantile *share* in milliseconds, within BUCKET_GROWTH; 0 without requests."""
    total: Counter[int] = Counter()
    for tally in tallies:
        total.update(tally)
    left = int(total.total() * share)
    for number, count in sorted(total.items()):
        left -= count
        if left < 0:
            return round(LEAST_MILLISECONDS * BUCKET_GROWTH**number, 1)
    return round(LEAST_MILLISECONDS * BUCKET_GROWTH ** max(total), 1) if total else 0.0


def quantile(values: Iterable[float], share: float) -> float:
    """Return the quantile *share* of the values, 0 without values."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else 0.0
