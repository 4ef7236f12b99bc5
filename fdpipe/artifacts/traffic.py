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
