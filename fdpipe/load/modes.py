"""The loads: how many at a time, how many a second, or as it was once recorded."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Closed:
    """A closed loop: `concurrency` callers, each of whom asks again as soon as it has its answer, for so many `seconds`.

    It finds the throughput, and hides queueing: a slow service is asked less.
    """

    concurrency: int = 1
    seconds: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Ranges."""
        _require_finite("seconds", self.seconds)
        if not 1 <= self.concurrency <= MOST_CONNECTIONS:
            raise ValueError(f"concurrency must be from 1 to {MOST_CONNECTIONS}, not {self.concurrency}")

    @property
    def text(self) -> str:
        """In words."""
        return f"closed loop, {self.concurrency} at a time, for {self.seconds:g} s"

    @property
    def times(self) -> None:
        """No request has a time of its own."""
        return

    @property
    def connections(self) -> int:
        """How many requests may be under way at once."""
        return self.concurrency


@dataclass(frozen=True, kw_only=True)
class Open:
    """An open loop: `rate` requests a second arrive whatever becomes of them, as a Poisson process: independent callers."""

    rate: float
    seconds: float = 5.0
    seed: int = 0
    connections: int = 256

    def __post_init__(self) -> None:
        """Ranges."""
        _require_finite("rate", self.rate)
        _require_finite("seconds", self.seconds)
        if not 1 <= self.connections <= MOST_CONNECTIONS:
            raise ValueError(f"connections must be from 1 to {MOST_CONNECTIONS}, not {self.connections}")
        if not 1 <= self.rate * self.seconds <= MOST_REQUESTS:
            count = self.rate * self.seconds
            raise ValueError(f"rate × seconds must be from 1 to {MOST_REQUESTS} requests, not {count:g}")

    @property
    def text(self) -> str:
        """In words."""
        return f"open loop, {self.rate:g} a second (Poisson), for {self.seconds:g} s"

    @property
    def times(self) -> np.ndarray:
        """The intended times in seconds from the start, ascending. Exactly `rate × seconds` of them, rounded, spread at random:
        a Poisson process of which the number is known, so that two runs at one rate offer equally much."""
        generator = np.random.default_rng(self.seed)
        return np.sort(generator.uniform(0.0, self.seconds, size=max(1, round(self.rate * self.seconds))))


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What was recorded, at its own times: `offsets` in seconds, ascending from the first request's, which is 0; `speed` 2 is
    twice as fast."""

    offsets: tuple[float, ...]
    speed: float = 1.0
    connections: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        """Ranges."""
        _require_finite("speed", self.speed)
        if not 1 <= self.connections <= MOST_CONNECTIONS:
            raise ValueError(f"connections must be from 1 to {MOST_CONNECTIONS}, not {self.connections}")
        if not 1 <= len(self.offsets) <= MOST_REQUESTS:
            raise ValueError(f"offsets must be from 1 to {MOST_REQUESTS} times, not {len(self.offsets)}")
        if self.offsets[0] != 0 or not np.all(np.diff(self.offsets) >= 0) or not np.isfinite(self.offsets[-1]):
            raise ValueError("offsets must be seconds, ascending from 0")

    @property
    def text(self) -> str:
        """In words."""
        speed = "" if self.speed == 1 else f", {self.speed:g} times as fast"
        return f"replay of {len(self.offsets)} recorded requests over {self.offsets[-1] / self.speed:g} s{speed}"

    @property
    def times(self) -> np.ndarray:
        """The intended times in seconds from the start."""
        return np.asarray(self.offsets, dtype=np.float64) / self.speed


Load = Closed | Open | Replay

MOST_CONNECTIONS = 900
"""The sender waits with select(2), which is exact to microseconds and takes no more than 1024 files."""

MOST_REQUESTS = 2_000_000
"""In one load: their times are kept in memory, all of them."""


def _require_finite(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be above 0, not {value:g}")
