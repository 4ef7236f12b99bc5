"""What the sender tells, as figures; or why they are none."""

from collections import Counter

import numpy as np

from fdpipe.artifacts import Latency, LoadResult, Sending
from fdpipe.load.wire import Done

BUSY = 0.9
"""A sender that takes more of a core than this measures itself."""

LATE_SHARE = 0.25
LATE_MS = 1.0
"""The sender's own lateness at p99 may be this share of the p99 latency or, if that is more, this many milliseconds."""


def figures(offered: str, done: Done, load_averages: tuple[float, float]) -> LoadResult:
    """One task's figures."""
    intended, turned, sent, ended = (_floats(raw) for raw in (done.intended, done.turned, done.sent, done.ended))
    statuses = np.frombuffer(done.statuses, dtype=np.int32)
    right = (statuses >= 200) & (statuses < 300)
    ended = np.where(right, ended, np.inf)
    lateness_ms = (turned - intended) * 1000
    seconds = max(done.wall_s - float(intended.min(initial=0.0)), 1e-9)
    sending = Sending(
        late_p99_ms=float(np.quantile(lateness_ms, 0.99)) if len(lateness_ms) else 0.0,
        latest_ms=float(lateness_ms.max(initial=0.0)),
        busy=done.busy_s / max(done.wall_s, 1e-9),
        interrupted=done.interrupted,
        load_before=load_averages[0],
        load_after=load_averages[1],
    )
    from_intended = latency(ended - intended)
    return LoadResult(
        offered=offered,
        sent=len(statuses),
        succeeded=int(right.sum()),
        statuses=_counted(statuses, done.failures),
        seconds=seconds,
        requests_per_s=float(right.sum()) / seconds,
        from_intended=from_intended,
        from_sent=latency(ended - sent),
        waited=done.waited,
        sending=sending,
        not_measured=fault(sending, from_intended),
    )


def latency(seconds: np.ndarray) -> Latency:
    """Quantiles over all requests, in seconds; infinite is one that was never answered. Each is a latency that occurred, so
    that nothing is interpolated, and needs as many requests that one lies above it."""
    ordered = np.sort(seconds) * 1000

    def at(share: float) -> float | None:
        if len(ordered) * (1 - share) < 1 - 1e-9:
            return None
        found = float(np.quantile(ordered, share, method="inverted_cdf"))
        return found if np.isfinite(found) else None

    slowest = float(ordered[-1]) if len(ordered) and np.isfinite(ordered[-1]) else None
    return Latency(p50_ms=at(0.5), p90_ms=at(0.9), p99_ms=at(0.99), p999_ms=at(0.999), slowest_ms=slowest)


def fault(sending: Sending, from_intended: Latency) -> str:
    """Why the figures are the sender's and not the service's; empty where they are the service's."""
    if sending.busy > BUSY:
        return f"the sender itself took {sending.busy:.0%} of a core, and could send no faster: not measured"
    reference = from_intended.p99_ms if from_intended.p99_ms is not None else from_intended.slowest_ms
    allowed = max(LATE_MS, LATE_SHARE * reference) if reference is not None else None
    if allowed is not None and sending.late_p99_ms > allowed:
        remedy = "ask for a lower rate" if sending.busy > BUSY / 2 else "quieten the machine"
        late = f"the sender was late by {sending.late_p99_ms:.1f} ms (p99) where {allowed:.1f} ms are allowed"
        return f"{late}: not measured; {remedy}"
    return ""


def _counted(statuses: np.ndarray, failures: list[str]) -> dict[str, int]:
    counts = Counter(statuses.tolist())
    return {str(one) if one > 0 else failures[-1 - one]: counts[one] for one in sorted(counts, reverse=True)}


def _floats(raw: bytes) -> np.ndarray:
    return np.frombuffer(raw, dtype=np.float64)
