"""The report of a meta-training, as a page for notebooks."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

_WIDTH, _HEIGHT, _MARGIN = 560, 240, 44


def curves_html(title: str, curves: dict[str, Sequence[tuple[float, float]]]) -> str:
    """Curves of (episode, loss) with common axes, logarithmic if all losses are above 0; non-finite values
    are left out."""
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in curves.items()
    }
    values = [y for points in finite.values() for _, y in points]
    episodes = [x for points in finite.values() for x, _ in points]
    if not values:
        return f"<p>{html.escape(title)}: no losses yet</p>"
    is_logarithmic = min(values) > 0
    scale = math.log10 if is_logarithmic else float
    low, high = scale(min(values)), scale(max(values))
    first, last = min(episodes), max(episodes)

    def place(x: float, y: float) -> str:
        across = (x - first) / ((last - first) or 1)
        up = (scale(y) - low) / ((high - low) or 1)
        return (
            f"{_MARGIN + across * (_WIDTH - 2 * _MARGIN):.1f},"
            f"{_HEIGHT - _MARGIN - up * (_HEIGHT - 2 * _MARGIN):.1f}"
        )

    colors = ("#4269d0", "#ff725c", "#3ca951")
    parts, legend = [], []
    for color, (name, points) in zip(colors, finite.items()):
        line = " ".join(place(x, y) for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        legend.append(f'<span style="color:{color}">&#9644;</span> {html.escape(name)}')
    bottom, right = _HEIGHT - _MARGIN, _WIDTH - _MARGIN
    axes = f"M{_MARGIN},{_MARGIN}V{bottom}H{right}"
    texts = (
        (_MARGIN - 4, _MARGIN, "end", f"{max(values):.3g}"),
        (_MARGIN - 4, bottom, "end", f"{min(values):.3g}"),
        (_MARGIN, bottom + 16, "middle", f"{first:g}"),
        (right, bottom + 16, "middle", f"{last:g} episodes"),
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
