"""How long a call of the model is going to take: by the benchmark's cost, corrected by what calls take here and now."""

from fdpipe.artifacts import Cost

UNKNOWN = Cost(call_ms=1.0, row_ms=0.0)
"""Where nothing was measured, until the first call has been made."""

NEWEST = 0.1
"""How much the newest call weighs in the correction."""

STRANGE = 4.0
"""A call that took so many times as long as expected, or longer, counts as so many: it was held up by something else."""


class Pace:
    """A cost, and the ratio of what calls took to what it said: an exponentially weighted mean."""

    def __init__(self, cost: Cost | None) -> None:
        self._cost = cost or UNKNOWN
        self.is_known = cost is not None
        self._ratio = 1.0

    def ms(self, rows: int, calls: int = 1) -> float:
        """Milliseconds for so many rows in so many calls."""
        return self._ratio * (self._cost.call_ms * calls + self._cost.row_ms * rows)

    def least_ms(self, rows: int) -> float:
        """What it takes when nothing else keeps the machine busy."""
        return min(1.0, self._ratio) * self._cost.ms(rows)

    def note(self, rows: int, took_ms: float) -> None:
        """A call of so many rows took so long."""
        ratio = took_ms / max(self._cost.ms(rows), 1e-6)
        if self.is_known:
            self._ratio += NEWEST * (min(ratio, STRANGE * self._ratio) - self._ratio)
        else:
            self._ratio, self.is_known = ratio, True

    def patience_ms(self, requests: int, rows: int) -> float:
        """How long it pays to wait for one more request like these before a call is made, 0 or less for not at all.

        One more that comes after g ms would find the call under way and wait for it, then for its own: joined, it is answered
        b - g ms earlier, where a call of n rows takes a·n + b ms. Each of those here is answered g ms later, for the waiting,
        and the other's rows, r of them, make that g + a·r. So it pays where b - g > requests·(g + a·r).
        """
        call_ms, more_ms = self._ratio * self._cost.call_ms, self._ratio * self._cost.row_ms * rows
        return (call_ms - more_ms) / (requests + 1)
