"""The report of a meta-training, for notebooks."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Sequence

_WIDTH, _HEIGHT, _MARGIN = 600, 240, 44
_LEFT = 76  # room for labels of the losses, up to "-1.23e-308"


def curves_html(title: str, curves: dict[str, Sequence[tuple[int, float]]]) -> str:
    """Returns an HTML element: the curves, by name, of (episode, loss) with common axes. The axis of losses is
    logarithmic if all are above 0; non-finite losses are left out. Title and names are plain text."""
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in curves.items()
    }
    values = [y for points in finite.values() for _, y in points]
    episodes = [x for points in finite.values() for x, _ in points]
    if not values:
        return f"<p>{html.escape(title)}: no finite losses</p>"
    is_logarithmic = min(values) > 0
    scale = math.log10 if is_logarithmic else float
    low, high = scale(min(values)), scale(max(values))
    first, last = min(episodes), max(episodes)

    bottom, right = _HEIGHT - _MARGIN, _WIDTH - _MARGIN

    def place(x: int, y: float) -> tuple[float, float]:
        across = (x - first) / ((last - first) or 1)
        up = (scale(y) - low) / ((high - low) or 1)
        return _LEFT + across * (right - _LEFT), bottom - up * (bottom - _MARGIN)

    colors = itertools.cycle(("#4269d0", "#ff725c", "#3ca951"))
    parts, legend = [], []
    for color, (name, points) in zip(colors, finite.items()):
        places = [place(x, y) for x, y in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        if len(places) == 1:  # a line of one point is invisible
            x, y = places[0]
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>')
        legend.append(f'<span style="color:{color}">&#9644;</span> {html.escape(name)}')
    axes = f"M{_LEFT},{_MARGIN}V{bottom}H{right}"
    texts = (
        (_LEFT - 4, _MARGIN, "end", f"{max(values):.3g}"),
        (_LEFT - 4, bottom, "end", f"{min(values):.3g}"),
        (_LEFT, bottom + 16, "middle", first),
        (right, bottom + 16, "end", f"{last} episodes"),
    )
    labels = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11">{text}</text>'
        for x, y, anchor, text in texts
    )
    axis = "logarithmic" if is_logarithmic else "linear"
    return (
        f"<div><b>{html.escape(title)}</b><br>{' &nbsp; '.join(legend)} ({axis})<br>"
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif">'
        f'<path d="{axes}" fill="none" stroke="#888"/>{labels}{"".join(parts)}</svg></div>'
    )
