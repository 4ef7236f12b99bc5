"""What all pictures have in common: SVG with real text, coloured by the page's own variables, so that it follows them."""

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

VARIABLES = ("ink", "soft", "faint", "line", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "wash", "good", "bad", "warn")
"""The page's variables that the pictures are coloured by."""


def colour(variable: str) -> str:
    """What stands for the page's variable while matplotlib draws: it takes no `var(…)`."""
    return f"#0000{VARIABLES.index(variable) + 1:02x}"


def hue(number: int) -> str:
    """The colour of the candidate of this number, counted from 1."""
    return colour(f"c{(number - 1) % 8 + 1}")


def canvas(title: str, width: float, height: float) -> "Figure":
    """An empty figure of so many pixels."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained", frameon=False)
    FigureCanvasSVG(drawing)
    drawing.suptitle(title, x=0.01, ha="left")
    return drawing


def logarithmic(axis: "Axis", low: float, high: float) -> None:
    """A few round numbers on an axis whose values lie so far apart, from low to high; figures as people write them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    far, near = high > 100 * low, high < 4 * low
    axis.set_major_locator(LogLocator(subs=(1.0,) if far else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if near else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def style() -> dict[str, Any]:
    """Matplotlib's settings: text stays text, and nothing is drawn that says nothing."""
    return {
        "svg.fonttype": "none",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10,
        "text.color": colour("ink"),
        "figure.titlesize": 12,
        "figure.titleweight": "bold",
        "axes.labelcolor": colour("soft"),
        "axes.edgecolor": colour("faint"),
        "axes.facecolor": "none",
        "axes.formatter.useoffset": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "grid.color": colour("line"),
        "xtick.bottom": False,
        "ytick.left": False,
        "xtick.labelcolor": colour("faint"),
        "ytick.labelcolor": colour("faint"),
        "lines.markeredgewidth": 1.5,
        "legend.frameon": False,
        "legend.labelcolor": colour("soft"),
        "legend.borderpad": 0,
        "legend.borderaxespad": 0.3,
        "legend.handlelength": 1.5,
    }


def element(drawing: "Figure", text: str) -> str:
    """The figure as an element of the page: no prologue, no style sheet, fonts and colours the page's, no idle ids; `text` is
    for who cannot see it."""
    for artist in drawing.findobj():
        artist.set_clip_on(False)
    stream = io.StringIO()
    drawing.savefig(stream, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = stream.getvalue()
    used = set(re.findall(r'href="#([^"]+)"', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg[svg.index("<svg") :])
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*|font-family: [^;]*; ", "", svg, flags=re.DOTALL)
    for variable in VARIABLES:
        svg = svg.replace(colour(variable), f"var(--{variable})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(text)}"', 1)
