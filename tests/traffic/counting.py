"""What the clients wrote down and what the app executed, counted per disturbance. No input, no output: only counting."""

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
# windows in which nothing is done: until all clients are there, and then to compare with
WARM_UP = "warm-up"
QUIET = "quiet"


@dataclass(frozen=True)
class Window:
    """A disturbance: from *began*, through the end of its action at *done*, to *ended*, when its effects are over.

    *before* and *after* are what served then; empty means that it does not matter. *visited*: something else served
    for a moment between.
    """

    name: str
    began: float
    done: float
    ended: float
    before: str = ""
    after: str = ""
    visited: bool = False

    def may_serve(self, serving: str, began: float) -> bool:
        """Whether *serving* may have answered what was asked at *began*: only the new one once the action is done."""
        if not self.after or self.visited:
            return True
        return serving == self.after or (serving == self.before and began <= self.done)


@dataclass(frozen=True)
class Request:
    """One request, as its client saw it; *fault* is empty if it was answered well."""

    id: str
    method: str
    began: float
    ended: float
    asked: float  # seconds that the app was asked to take
    fault: str
    serving: str

    @property
    def seconds(self) -> float:
        """How long it took beyond what was asked for."""
        return self.ended - self.began - self.asked


@dataclass
class Figures:
    """What a disturbance did to the traffic. Times are in milliseconds."""

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
    # how many requests took how long, by bucket(); figures of several windows can be pooled with it
    latencies: dict[int, int] = field(default_factory=dict)
    # [slowest answer, lost requests] of each SLICE_SECONDS from the beginning
    course: list[list[float]] = field(default_factory=list)
    # WebSockets: how many ended with which code, and echoes of the old release after the new one had answered a request
    closed: dict[str, int] = field(default_factory=dict)
    echoes_after_flip: int = 0
    # endless responses: how many ended, of these with their last event cut, and without the mark of an orderly end
    streams: int = 0
    streams_cut: int = 0
    streams_broken_off: int = 0

    @property
    def lost(self) -> int:
        return self.lost_get + self.lost_post

    @property
    def untrue(self) -> int:
        """How many requests came to something else than their client believes."""
        return self.executed_but_failed + self.answered_but_not_executed + self.duplicates


@dataclass
class Events:
    """What the clients wrote down, by kind."""

    requests: list[Request] = field(default_factory=list)
    echoes: list[Mapping[str, Any]] = field(default_factory=list)
    websockets: list[Mapping[str, Any]] = field(default_factory=list)
    streams: list[Mapping[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]]) -> Events:
        found: dict[str, list] = {"request": [], "echo": [], "websocket": [], "stream": []}
        names = [entry.name for entry in fields(Request)]
        for line in lines:
            kind = line["kind"]
            found[kind].append(Request(**{name: line[name] for name in names}) if kind == "request" else line)
        return cls(found["request"], found["echo"], found["websocket"], found["stream"])


def count(windows: Sequence[Window], events: Events, executed: Mapping[str, int]) -> list[Figures]:
    """Return the figures of each window.

    The windows follow one another without a gap. A request belongs to the one in which it ended: if it was cut, that
    is when its client learned of it.
    """
    begins = [window.began for window in windows]
    shares: list[list[Request]] = [[] for _window in windows]
    for request in events.requests:
        shares[max(bisect(begins, request.ended) - 1, 0)].append(request)

    found: list[Figures] = []
    for window, share in zip(windows, shares, strict=True):
        figures = count_requests(share, executed, window)
        _count_long_lived(figures, window, share, events)
        found.append(figures)
    return found


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
        # the last requests of a session may end after its last window
        part = slices[min(max(int((request.ended - window.began) / SLICE_SECONDS), 0), len(slices) - 1)]
        part[0] = max(part[0], round(max(request.seconds, 0) * 1000, 1))
        part[1] += bool(request.fault)
    return slices


def _count_long_lived(figures: Figures, window: Window, share: Sequence[Request], events: Events) -> None:
    """Add what became of the WebSockets and the streams that ended in *window*."""
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
    figures.streams_broken_off = sum(not stream["ended_well"] for stream in streams)


def _milliseconds(requests: Iterable[Request]) -> list[float]:
    return [max(request.seconds, 0) * 1000 for request in requests]


def bucket(milliseconds: float) -> int:
    """Return the number of the bucket that holds a latency; each is BUCKET_GROWTH times as wide as the one before."""
    return max(round(math.log(milliseconds / LEAST_MILLISECONDS, BUCKET_GROWTH)), 0) if milliseconds > 0 else 0


def pooled(tallies: Iterable[Mapping[int, int]], share: float) -> float:
    """Return the latency in milliseconds that *share* of all requests do not exceed, to BUCKET_GROWTH; 0 if there is none."""
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
    """Return the value that *share* of all values do not exceed, 0 if there is none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else 0.0
