"""The report's pictures.

A stage, because importing matplotlib costs a second: a run that found nothing new shows the pictures it has.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fdpipe.report import curves, ink, intervals, pareto
from fdpipe.store import stage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = pareto.Panel | curves.Distribution | intervals.Intervals


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """An `<svg>` element for each of them."""

    svgs: tuple[str, ...]


@stage(packages=("matplotlib",))
def draw(folder: Path, pictures: tuple[Picture, ...]) -> Pictures:
    """Draw each of them."""
    from matplotlib import style

    svgs = []
    for number, picture in enumerate(pictures):
        # The salt makes the ids in a picture the same every time, and other ones in each picture of a page.
        settings = ink.style() | {"svg.hashsalt": f"fdpipe {number} {picture.title}"}
        with style.context(settings, after_reset=True):
            svgs.append(ink.element(_plotted(picture), picture.text))
    return Pictures(svgs=tuple(svgs))


def _plotted(picture: Picture) -> "Figure":
    if isinstance(picture, pareto.Panel):
        return pareto.plotted(picture)
    return curves.plotted(picture) if isinstance(picture, curves.Distribution) else intervals.plotted(picture)
