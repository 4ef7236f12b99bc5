"""Quality over a cost, every candidate a dot with the intervals of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdpipe.report.ink import canvas, colour, hue, logarithmic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PIXELS = (320, 240)

FAR = 12
"""From this many times the cheapest on, costs stand on a logarithmic axis."""

WIDEST = 1.6
"""No whisker reaches further than this many times the dearest: on a noisy machine, an interval may be endless."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One candidate in one panel: what it costs and how good it is, each with its interval; `number` is its turn. Only a
    finalist has the final benchmark's figures; its number is in the picture where `is_numbered`, since very many hide all."""

    number: int
    low: float
    middle: float
    high: float
    quality: float
    quality_low: float | None = None
    quality_high: float | None = None
    is_finalist: bool = True
    is_numbered: bool = True


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture: quality over a cost, named with its unit by `axis`. `front` holds the numbers of those than which nothing
    is better in both; `reference` is the original's quality, `noise` what the baseline seems to cost where only the machine
    differs, `text` says the whole for who cannot see it."""

    title: str
    axis: str
    metric: str
    points: tuple[Point, ...]
    front: tuple[int, ...]
    reference: float | None
    text: str
    noise: tuple[float, float] | None = None


def plotted(panel: Panel) -> "Figure":
    """The panel in matplotlib's hands, in whatever style is in force."""
    drawing = canvas(panel.title, *PIXELS)
    axes = drawing.add_subplot(xlabel=panel.axis, ylabel=panel.metric)
    axes.locator_params(axis="y", nbins=5)
    left, right = _across(axes, panel)
    axes.set_ylim(*_heights(panel))
    if panel.noise is not None:
        low, high = (min(max(end, left), right) for end in panel.noise)
        axes.axvspan(low, high, color=colour("line"), linewidth=0, zorder=-1, label="noise")
    if panel.reference is not None:
        axes.axhline(panel.reference, color=colour("faint"), linewidth=1, linestyle=(0, (3, 3)), label="original")
    if panel.reference is not None or panel.noise is not None:
        drawing.legend(loc="upper right", ncols=2, columnspacing=1.2)
    _trace(axes, panel)
    for point in panel.points:
        _mark(axes, point, left, right)
    drawing.draw_without_rendering()
    _number(axes, [point for point in panel.points if point.is_finalist and point.is_numbered])
    return drawing


def _across(axes: "Axes", panel: Panel) -> tuple[float, float]:
    """The ends of the cost axis: every point with its interval, unless that would leave no room for the others; logarithmic
    where the costs are far apart."""
    middles = [point.middle for point in panel.points]
    right = min(max(point.high for point in panel.points), max(middles) * WIDEST)
    if max(middles) < FAR * min(middles):
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlim(0, right * 1.08)
        return 0.0, right
    left = max(min(point.low for point in panel.points), min(middles) / WIDEST)
    axes.set_xscale("log")
    logarithmic(axes.xaxis, left, right)
    axes.set_xlim(left / 1.15, right * 1.15)
    return left, right


def _heights(panel: Panel) -> tuple[float, float]:
    """The ends of the quality axis: every point with its interval and the original, with room above and below."""
    values = [point.quality for point in panel.points] + ([panel.reference] if panel.reference is not None else [])
    values += [end for point in panel.points for end in (point.quality_low, point.quality_high) if end is not None]
    margin = max((max(values) - min(values)) * 0.25, abs(max(values)) * 0.004, 1e-6)
    return min(values) - margin, max(values) + margin


def _trace(axes: "Axes", panel: Panel) -> None:
    """The front, as the stairs below which nothing was found."""
    front = sorted((point.middle, point.quality) for point in panel.points if point.number in panel.front)
    if len(front) > 1:
        axes.step([x for x, _ in front], [y for _, y in front], where="post", color=colour("line"), linewidth=2, zorder=0)


def _mark(axes: "Axes", point: Point, left: float, right: float) -> None:
    """The dot and its whiskers, which end with the axis; a small and empty one for who was no finalist."""
    if not point.is_finalist:
        axes.plot(point.middle, point.quality, "o", color="none", markersize=4, markeredgecolor=colour("faint"))
        return
    across = up = None
    if point.high > point.low:
        across = [[max(0.0, point.middle - max(point.low, left))], [max(0.0, min(point.high, right) - point.middle)]]
    if point.quality_low is not None and point.quality_high is not None and point.quality_high > point.quality_low:
        up = [[max(0.0, point.quality - point.quality_low)], [max(0.0, point.quality_high - point.quality)]]
    for xerr, yerr in ((across, None), (None, up)):
        if xerr or yerr:
            axes.errorbar(
                point.middle,
                point.quality,
                xerr=xerr,
                yerr=yerr,
                fmt="none",
                color=hue(point.number),
                elinewidth=1.5,
                capsize=4,
            )
    axes.plot(point.middle, point.quality, "o", color=hue(point.number), markersize=6, markeredgewidth=0)


def _number(axes: "Axes", points: Sequence[Point]) -> None:
    """Each point's number above it and to the right of a whisker; one moves up until it covers no other."""
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (point.middle, point.number)):
        across, up = axes.transData.transform((point.middle, point.quality))
        aside = 7 if point.quality_high is not None and point.quality_high > point.quality else 0
        rise = 7
        while any(abs(across + aside - x) < 12 and abs(up + rise - y) < 12 for x, y in taken):
            rise += 3
        taken.append((across + aside, up + rise))
        axes.annotate(
            str(point.number), (point.middle, point.quality), (aside, rise), textcoords="offset points", ha="center",
            va="bottom", color=hue(point.number), weight="bold",
        )  # fmt: skip
