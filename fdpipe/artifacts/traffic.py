"""How a service takes its traffic: what is computed together, how many at a time, and what may wait."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one call of the model takes for n rows, fitted to the benchmark: `call_ms + row_ms * n` milliseconds."""

    call_ms: float
    row_ms: float

    def ms(self, rows: int) -> float:
        """Milliseconds for so many rows."""
        return self.call_ms + self.row_ms * rows


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Part of a release. In each of `workers` processes at most `runs` calls of the model are under way, each of at most
    `max_batch` rows of requests that were waiting together; where that pays, a request waits up to `max_wait_ms` for others. At
    most `max_waiting` requests wait, and more are refused at once. `cache_mib` bounds the answers that are kept, 0 keeps none.
    `cost` is what the benchmark found, None where nothing was measured."""

    workers: int = 1
    runs: int = 1
    max_batch: int = 1
    max_wait_ms: float = 0.0
    max_waiting: int = 1024
    cache_mib: float = 0.0
    cost: Cost | None = None


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a service is expected to do by the benchmark of its model alone, before what a request costs beside it: median and
    p99 for one caller who asks for one row after the other, and at most so many such requests a second for all together."""

    p50_ms: float
    p99_ms: float
    requests_per_s: float
