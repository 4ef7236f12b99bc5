"""A line of the issue's table, and what becomes of one that cannot be measured."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.optimize.remembered import remembered
from fdpipe.errors import FdpipeError

log = logging.getLogger(__name__)

LONGEST = 200
"""So many characters of a reason are told."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was asked, what came out, and whether that is enough; None where it could not be measured, or is not known well
    enough to say."""

    what: str
    wanted: str
    found: str
    holds: bool | None
    peers: str = ""


def measured(name: str, work: Callable[[], list[Row]]) -> list[Row]:
    """The rows of this name, remembered; or one that was missed, with the reason, to be tried anew the next time."""
    try:
        return [Row(**one) for one in remembered(f"rows-{name}", lambda: [asdict(one) for one in work()])]
    except (FdpipeError, RuntimeError, OSError, LookupError) as error:
        log.warning("%s could not be measured", name, exc_info=True)
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
        return [Row(what=name, wanted="to be measured", found=reason, holds=None)]
