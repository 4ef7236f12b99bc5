"""How a candidate's time is distributed: its median, and how much longer the slowest calls take."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdpipe.report.ink import canvas, hue, logarithmic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PIXELS = (320, 240)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One candidate: its time in milliseconds by quantile, as 0.99."""

    number: int
    quantiles: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The candidates' times in one kind of call; `text` says the whole for who cannot see it."""

    title: str
    curves: tuple[Curve, ...]
    text: str


def plotted(picture: Distribution) -> "Figure":
    """Quantiles from left to right, each step to the right ten times as rare; times on a logarithmic axis."""
    drawing = canvas(picture.title, *PIXELS)
    axes = drawing.add_subplot(ylabel="ms a call")
    axes.set_yscale("log")
    known = sorted({share for curve in picture.curves for share, _ in curve.quantiles})
    axes.set_xticks([_place(share) for share in known], [f"p{share * 100:g}" for share in known])
    axes.set_xlim(_place(known[0]) - 0.15, _place(known[-1]) + 0.45)
    times = [ms for curve in picture.curves for _, ms in curve.quantiles]
    logarithmic(axes.yaxis, min(times), max(times))
    for curve in picture.curves:
        across, up = [_place(share) for share, _ in curve.quantiles], [ms for _, ms in curve.quantiles]
        axes.plot(across, up, "o-", color=hue(curve.number), linewidth=1.5, markersize=4, markeredgewidth=0)
    drawing.draw_without_rendering()
    _number(axes, picture)
    return drawing


def _place(share: float) -> float:
    return -math.log10(1 - share)


def _number(axes: "Axes", picture: Distribution) -> None:
    """Each curve's number at its right end, the lowest first; one moves up until it covers no other."""
    height = -math.inf
    for curve in sorted(picture.curves, key=lambda curve: curve.quantiles[-1][1]):
        share, ms = curve.quantiles[-1]
        _, up = axes.transData.transform((_place(share), ms))
        height = max(height + 11, up)
        axes.annotate(
            str(curve.number), (_place(share), ms), (7, height - up), textcoords="offset points", ha="left", va="center",
            color=hue(curve.number), weight="bold",
        )  # fmt: skip
