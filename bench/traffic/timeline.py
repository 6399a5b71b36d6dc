"""Draw the slowest answers and the lost requests during each disturbance as a self-contained SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from traffic.counting import SLICE_SECONDS

# The slices of a window, as in counting.Figures.course.
Course = Sequence[Sequence[float]]

WIDTH, LEFT, RIGHT = 960, 280, 20
TRACK, GAP, TOP, BOTTOM = 44, 16, 10, 30
LEAST_MS, MOST_MS = 1, 10_000
GRID_MS = (1, 10, 100, 1000, 10_000)
SECONDS_STEP = 5
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #333 }
  .small { font-size: 9px; fill: #888 }
  .grid { stroke: #ddd; stroke-width: 1 }
  .course { fill: none; stroke: #2463a8; stroke-opacity: .45; stroke-width: 1 }
  .lost { stroke: #c0201c; stroke-width: 2 }
  .count { font-weight: bold; fill: #c0201c }
"""


@dataclass(frozen=True)
class Track:
    """All rounds of one disturbance."""

    label: str
    courses: Sequence[Course]

    @property
    def lost(self) -> int:
        return int(sum(lost for course in self.courses for _worst, lost in course))


def drawing(tracks: Sequence[Track]) -> str:
    """Return the tracks below each other, over the seconds since the start of each disturbance."""
    seconds = max((len(course) * SLICE_SECONDS for track in tracks for course in track.courses), default=1)
    height = TOP + len(tracks) * (TRACK + GAP) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Slowest answers and lost requests in the course of each disturbance</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for number, track in enumerate(tracks):
        parts += _track(track, TOP + number * (TRACK + GAP), seconds)
    axis = height - BOTTOM + 14
    for second in range(0, int(seconds) + 1, SECONDS_STEP):
        parts.append(f'<text class="small" x="{_x(second, seconds)}" y="{axis}" text-anchor="middle">{second} s</text>')
    return "\n".join([*parts, "</svg>", ""])


def _track(track: Track, top: float, seconds: float) -> list[str]:
    lost = f'<tspan class="count">  {track.lost} lost</tspan>' if track.lost else ""
    parts = [f'<text x="{LEFT - 40}" y="{top + TRACK / 2 + 4}" text-anchor="end">{escape(track.label)}{lost}</text>']
    for milliseconds in GRID_MS:
        y = _y(milliseconds, top)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        if milliseconds in (LEAST_MS, 100, MOST_MS):
            label = f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds // 1000} s"
            parts.append(f'<text class="small" x="{LEFT - 4}" y="{y + 3}" text-anchor="end">{label}</text>')
    for course in track.courses:
        points = " ".join(
            f"{_x(number * SLICE_SECONDS, seconds)},{_y(worst, top)}"
            for number, (worst, _lost) in enumerate(course)
            if worst
        )
        parts.append(f'<polyline class="course" points="{points}"/>')
    for course in track.courses:
        for number, (_worst, lost) in enumerate(course):
            if lost:
                x = _x(number * SLICE_SECONDS, seconds)
                parts.append(f'<line class="lost" x1="{x}" x2="{x}" y1="{top}" y2="{top + TRACK}"/>')
    return parts


def _x(second: float, seconds: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * second / seconds, 1)


def _y(milliseconds: float, top: float) -> float:
    share = math.log(min(max(milliseconds, LEAST_MS), MOST_MS) / LEAST_MS) / math.log(MOST_MS / LEAST_MS)
    return round(top + TRACK * (1 - share), 1)
