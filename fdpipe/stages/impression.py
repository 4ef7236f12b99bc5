"""A candidate's first impression, taken again where it would be given up by one during which the machine was disturbed."""

from collections.abc import Callable

from fdpipe import progress
from fdpipe.artifacts import Measured

ATTEMPTS = 3
"""So many are taken at most. Where all were disturbed and say the same, they are believed."""
DISTURBED_SHARE = 0.25
"""From this share of disturbed blocks on there may be too few others to do without them."""
FAR_SLOWER = 1.5
"""What surely takes so many times as long as the baseline at every size is given up by any search."""


def impression(candidate: str, measure: Callable[[int], Measured], gives_up: Callable[[Measured], bool]) -> Measured:
    """The first that was quiet or leaves the candidate in the search; else the last.

    `measure` takes the attempt's number, from 0 on. Each attempt is a result of its own in the store, so that a search that
    was killed, or is asked again, decides by the same ones.
    """
    for attempt in range(ATTEMPTS - 1):
        found = measure(attempt)
        if not (is_disturbed(found) and (is_far_slower(found, candidate) or gives_up(found))):
            return found
        told = f"the machine was disturbed in {found.health.disturbed_share if found.health else 0:.0%} of the blocks"
        progress.note(f"its first impression is taken again: it is slow, and {told}")
    return measure(ATTEMPTS - 1)


def is_disturbed(measured: Measured) -> bool:
    """Whether too many blocks were, as far as it is known."""
    return measured.health is not None and measured.health.disturbed_share >= DISTURBED_SHARE


def is_far_slower(measured: Measured, candidate: str) -> bool:
    """Whether it surely takes `FAR_SLOWER` times as long as the baseline at every size that was measured."""
    found = measured.of(candidate)
    ratios = [timing.ratio for timing in found.timings if timing.ratio is not None] if found else []
    return bool(ratios) and all(ratio.low > FAR_SLOWER for ratio in ratios)
