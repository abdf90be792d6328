"""Small charts as SVG that stands in a page: numbers in, markup out. Pure.

No colour is needed to read them: each has one series, its title and a description say what it shows, and the page keeps
the numbers in a table below. Colours are the style sheet's, so day and night are its business; without one, the text's.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 480, 120  # of the drawing; it is scaled to the room there is
_LEFT, _BOTTOM, _TOP = 38, 18, 8


def columns(name: str, title: str, about: str, values: Sequence[float], labels: Sequence[str], every: int = 1) -> str:
    """A column for each value; every so-many-th has its label below. `name` is unique in the page."""
    top = _round_up(max(values, default=0))
    room, high = WIDTH - _LEFT, HEIGHT - _TOP - _BOTTOM
    step = room / max(1, len(values))
    parts = []
    for number, value in enumerate(values):
        tall = max(high * value / top, 1.5 if value else 0.0)
        if tall:
            x, y = _LEFT + number * step + step * 0.1, _TOP + high - tall
            parts.append(f'<rect class="bar-of" x="{x:.1f}" y="{y:.1f}" width="{step * 0.8:.1f}" height="{tall:.1f}"/>')
    for number in range(0, len(labels), every):
        x = _LEFT + (number + 0.5) * step
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 4}" text-anchor="middle">{escape(labels[number])}</text>')
    for share in (0.0, 0.5, 1.0):
        y = _TOP + high * (1 - share)
        line = f'x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}"'
        parts.append(f'<line class="grid" stroke="currentColor" stroke-opacity=".25" {line}/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_short(top * share)}</text>')
    head = (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-t {name}-d"'
        ' fill="currentColor" font-size="10">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(about)}</desc>'
    )
    return head + "".join(parts) + "</svg>"


def _round_up(value: float) -> float:
    """The next of 2, 4, 10, 20, 40, 100 …: half of it is a number that one likes to read."""
    size = 1.0
    while size * 10 < value:
        size *= 10
    return next(size * digit for digit in (2, 4, 10) if size * digit >= value)


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
