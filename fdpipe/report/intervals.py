"""Several figures of one kind with their intervals, one below the other, and the limit that they are held against."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdpipe.artifacts import Outcome
from fdpipe.report.ink import canvas, colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 330
ROW = 31
LONGEST = 44
COLOURS = {Outcome.PASS: "good", Outcome.FAIL: "bad", Outcome.INCONCLUSIVE: "warn", Outcome.ANOMALOUS: "warn"}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One figure, with its interval where it has one."""

    name: str
    figure: float
    low: float
    high: float
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """The figures of one candidate; `axis` says what they are, `text` the whole for who cannot see it."""

    title: str
    axis: str
    estimates: tuple[Estimate, ...]
    limit: float | None
    text: str


def plotted(picture: Intervals) -> "Figure":
    """A row each: its name above, its whiskers below; a line at nothing, a dashed one at the limit."""
    from matplotlib.transforms import blended_transform_factory

    count = len(picture.estimates)
    drawing = canvas(picture.title, WIDTH, 66 + ROW * count)
    axes = drawing.add_subplot(xlabel=picture.axis)
    axes.grid(visible=False)
    axes.locator_params(axis="x", nbins=5)
    axes.set_yticks([])
    axes.set_ylim(count - 0.3, -0.75)
    ends = [0.0, *[end for one in picture.estimates for end in (one.low, one.high)]]
    ends += [picture.limit] if picture.limit is not None else []
    room = (max(ends) - min(ends)) * 0.06 or 0.01
    axes.set_xlim(min(ends) - room, max(ends) + room)
    axes.axvline(0, color=colour("line"), linewidth=1, zorder=0)
    if picture.limit is not None:
        axes.axvline(picture.limit, color=colour("faint"), linewidth=1, linestyle=(0, (3, 3)), zorder=0, label="limit")
        drawing.legend(loc="upper right")
    names = blended_transform_factory(axes.transAxes, axes.transData)
    for row, one in enumerate(picture.estimates):
        ink = colour(COLOURS[one.outcome])
        whiskers = [[max(0.0, one.figure - one.low)], [max(0.0, one.high - one.figure)]]
        axes.errorbar(one.figure, row, xerr=whiskers, fmt="none", color=ink, elinewidth=1.5, capsize=3)
        axes.plot(one.figure, row, "o", color=ink, markersize=5, markeredgewidth=0)
        axes.text(0, row - 0.36, _short(one.name), transform=names, ha="left", va="center", color=colour("soft"), fontsize=9)
    return drawing


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
