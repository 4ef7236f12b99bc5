"""What a running service did under load."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Latencies of all requests, in milliseconds; one that failed counts as never answered, so that a service which refuses
    is not fast. A figure is None where it is so (too many were never answered), and where there were too few requests for it:
    p99 needs 100, p99.9 needs 1000."""

    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    slowest_ms: float | None


@dataclass(frozen=True, kw_only=True)
class Sending:
    """How well the sender did its own part. `late_p99_ms` and `latest_ms` are how long after the intended time it turned to a
    request; `busy` is its share of one core; `interrupted` how often the kernel took that core away from it; the load averages
    are the machine's."""

    late_p99_ms: float
    latest_ms: float
    busy: float
    interrupted: int
    load_before: float
    load_after: float


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """One load and what came of it. `offered` says which load it was; `statuses` counts what came back, by HTTP status or by
    the kind of failure; `seconds` is from the first intended time to the last answer.

    `from_intended` counts from when a request should have been sent, so that waiting is not hidden; `from_sent` from when it
    was. `waited` is how many found all connections taken. `not_measured` says why the figures are none: empty, where they are.
    """

    offered: str
    sent: int
    succeeded: int
    statuses: Mapping[str, int]
    seconds: float
    requests_per_s: float
    from_intended: Latency
    from_sent: Latency
    waited: int
    sending: Sending
    not_measured: str = ""
