"""Whether a request that has just come is let in. Refusing must cost little: who is overloaded does it most of the time."""

import time
from collections.abc import Callable

from fdpipe.serving.refusal import Refusal

Admit = Callable[[float], None]
"""Raises `Refusal` where a request that has just come would not be answered by its deadline."""

LONGEST_S = 0.01
SHARE = 0.05
"""For so long, and at most this share of the time after which asking again makes sense, everyone gets the same refusal."""


def everyone(deadline: float) -> None:
    """Admit every request."""


class Door:
    """Asks `admit`, but not again right after it has refused: the work that is in the way does not go away so soon."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self._refusal: Refusal | None = None
        self._until = 0.0

    def refusal(self, deadline: float) -> Refusal | None:
        """Of a request with this deadline, of `time.monotonic`; None where it is let in."""
        if self._refusal is not None and time.monotonic() < self._until:
            return self._refusal
        try:
            self._admit(deadline)
        except Refusal as refusal:
            self._refusal = refusal
            self._until = time.monotonic() + min(LONGEST_S, SHARE * (refusal.retry_after_s or 0.0))
            return refusal
        self._refusal = None
        return None
