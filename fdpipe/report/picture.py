"""Quality against latency as pictures: SVG with real text, coloured by the page's own variables, so that it follows them.

A stage, because importing matplotlib costs a second: a run that found nothing new shows the pictures it has.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fdpipe.store import stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PIXELS = (320, 240)
VARIABLES = ("ink", "soft", "faint", "line", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8")
"""The page's variables that the pictures are coloured by."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One candidate in one panel: what it costs, with an interval, and quality; `number` is its turn. Only a finalist has
    the final benchmark's figures, and its number in the picture."""

    number: int
    low: float
    middle: float
    high: float
    quality: float
    is_finalist: bool = True


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture: quality over a cost, named with its unit by `axis`. `front` holds the numbers of those than which nothing
    is better in both; `reference` is the original's quality, `text` says the whole for who cannot see it."""

    title: str
    axis: str
    metric: str
    points: tuple[Point, ...]
    front: tuple[int, ...]
    reference: float | None
    text: str
    packages: ClassVar[tuple[str, ...]] = ("matplotlib",)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """An `<svg>` element for each panel."""

    svgs: tuple[str, ...]


@stage()
def draw(folder: Path, panels: tuple[Panel, ...]) -> Pictures:
    """Draw each panel."""
    from matplotlib import style

    svgs = []
    for panel in panels:
        # The salt makes the ids in a picture the same every time, and other ones in each picture of a page.
        settings = _style() | {"svg.hashsalt": f"fdpipe {panel.title}"}
        with style.context(settings, after_reset=True):
            svgs.append(_element(figure(panel), panel.text))
    return Pictures(svgs=tuple(svgs))


def figure(panel: Panel) -> "Figure":
    """The panel in matplotlib's hands, in whatever style is in force."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(PIXELS[0] / 72, PIXELS[1] / 72), dpi=72, layout="constrained", frameon=False)
    FigureCanvasSVG(drawing)
    drawing.suptitle(panel.title, x=0.01, ha="left")
    axes = drawing.add_subplot(xlabel=panel.axis, ylabel=panel.metric)
    axes.locator_params(nbins=5)
    axes.set_xlim(0, max(point.high for point in panel.points) * 1.08)
    axes.set_ylim(*_heights(panel))
    if panel.reference is not None:
        axes.axhline(panel.reference, color=_colour("faint"), linewidth=1, linestyle=(0, (3, 3)), label="original")
        drawing.legend(loc="upper right")
    _trace(axes, panel)
    for point in panel.points:
        _mark(axes, point)
    drawing.draw_without_rendering()
    _number(axes, [point for point in panel.points if point.is_finalist])
    for artist in drawing.findobj():
        artist.set_clip_on(False)
    return drawing


def _style() -> dict[str, Any]:
    """Matplotlib's settings: text stays text, and nothing is drawn that says nothing."""
    return {
        "svg.fonttype": "none",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10,
        "text.color": _colour("ink"),
        "figure.titlesize": 12,
        "figure.titleweight": "bold",
        "axes.labelcolor": _colour("soft"),
        "axes.edgecolor": _colour("faint"),
        "axes.facecolor": "none",
        "axes.formatter.useoffset": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "grid.color": _colour("line"),
        "xtick.bottom": False,
        "ytick.left": False,
        "xtick.labelcolor": _colour("faint"),
        "ytick.labelcolor": _colour("faint"),
        "lines.markeredgewidth": 1.5,
        "legend.frameon": False,
        "legend.labelcolor": _colour("soft"),
        "legend.borderpad": 0,
        "legend.borderaxespad": 0.3,
        "legend.handlelength": 1.5,
    }


def _heights(panel: Panel) -> tuple[float, float]:
    """The ends of the quality axis: every point and the original, with room above and below."""
    values = [point.quality for point in panel.points] + ([panel.reference] if panel.reference is not None else [])
    margin = max((max(values) - min(values)) * 0.25, abs(max(values)) * 0.004, 1e-6)
    return min(values) - margin, max(values) + margin


def _trace(axes: "Axes", panel: Panel) -> None:
    """The front, as the stairs below which nothing was found."""
    front = sorted((point.middle, point.quality) for point in panel.points if point.number in panel.front)
    if len(front) > 1:
        axes.step([x for x, _ in front], [y for _, y in front], where="post", color=_colour("line"), linewidth=2, zorder=0)


def _mark(axes: "Axes", point: Point) -> None:
    """The dot and its whiskers; a small and empty one for who was no finalist."""
    if not point.is_finalist:
        axes.plot(point.middle, point.quality, "o", color="none", markersize=4, markeredgecolor=_colour("faint"))
        return
    interval = [[point.middle - point.low], [point.high - point.middle]]
    if point.high > point.low:
        axes.errorbar(point.middle, point.quality, xerr=interval, fmt="none", color=_hue(point), elinewidth=1.5, capsize=4)
    axes.plot(point.middle, point.quality, "o", color=_hue(point), markersize=6, markeredgewidth=0)


def _number(axes: "Axes", points: Sequence[Point]) -> None:
    """Each point's number above it; one moves up until it covers no other."""
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (point.middle, point.number)):
        across, up = axes.transData.transform((point.middle, point.quality))
        rise = 7
        while any(abs(across - x) < 12 and abs(up + rise - y) < 12 for x, y in taken):
            rise += 3
        taken.append((across, up + rise))
        axes.annotate(
            str(point.number), (point.middle, point.quality), (0, rise), textcoords="offset points", ha="center", va="bottom",
            color=_hue(point), weight="bold",
        )  # fmt: skip


def _hue(point: Point) -> str:
    return _colour(f"c{(point.number - 1) % 8 + 1}")


def _colour(variable: str) -> str:
    """What stands for the page's variable while matplotlib draws: it takes no `var(…)`."""
    return f"#0000{VARIABLES.index(variable) + 1:02x}"


def _element(drawing: "Figure", text: str) -> str:
    """The figure as an element of the page: no prologue, no style sheet, fonts and colours the page's, no idle ids."""
    stream = io.StringIO()
    drawing.savefig(stream, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = stream.getvalue()
    used = set(re.findall(r'href="#([^"]+)"', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg[svg.index("<svg") :])
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*|font-family: [^;]*; ", "", svg, flags=re.DOTALL)
    for variable in VARIABLES:
        svg = svg.replace(_colour(variable), f"var(--{variable})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(text)}"', 1)
