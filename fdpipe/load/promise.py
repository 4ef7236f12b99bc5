"""What the benchmark promised, beside what the started service does when it is asked one request after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fdpipe.artifacts import LoadResult, Measured
from fdpipe.conformance.golden import infer_path
from fdpipe.errors import DeploymentError, StageError
from fdpipe.load.modes import Closed
from fdpipe.load.requests import from_golden
from fdpipe.load.sending import Address, Job, send
from fdpipe.load.wire import Request

CALLERS = (1, 4)
SECONDS = 0.5
BARE_SECONDS = 0.2
WARM_UP_S = 0.1
BARE = "/v2/health/ready"
"""What is asked of the service to see what a request costs without a model."""

FAR_WORSE = 2.0
"""A median is far worse where it is this many times the benchmark's and the bare request's together."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is expected of a service: `promised_ms` is the benchmark's median for one row, None where there is none; `p99_ms`
    bounds one caller's p99, `requests_per_s` several callers' throughput; None asks for nothing."""

    promised_ms: float | None = None
    p99_ms: float | None = None
    requests_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Whether the promise was kept: the loads with one caller and with several, the median of a bare request, a `note` where
    the service is far slower than promised or was not measured, and what is `refused` by a limit; empty where nothing is."""

    loads: tuple[LoadResult, ...] = ()
    bare_ms: float | None = None
    note: str = ""
    refused: str = ""


def promised_ms(measured: Measured, candidate: str) -> float | None:
    """The benchmark's median for one row as it is, if it was measured."""
    found = measured.of(candidate)
    timings = [one for one in found.timings if one.batch == 1 and one.length is None] if found else []
    return timings[0].p50_ms if timings else None


def ask(golden: Path, host: str, model: str, wanted: Wanted) -> Kept:
    """Ask the service at `host`, which speaks the Open Inference Protocol, with rows of the release's golden requests."""
    rows = from_golden(golden, infer_path(model))
    loads = [Job(load=Closed(concurrency=callers, seconds=SECONDS), requests=rows) for callers in CALLERS]
    bare = Job(load=Closed(seconds=BARE_SECONDS), requests=[Request(path=BARE, method="GET")])
    try:
        *told, nothing = send(Address(host=host), [*loads, bare], warm_up_s=WARM_UP_S)
    except (DeploymentError, StageError) as error:
        note = f"the service's speed is not measured: {error}"
        return Kept(note=note, refused=note if _limited(wanted) else "")
    bare_ms = nothing.from_sent.p50_ms
    return Kept(loads=tuple(told), bare_ms=bare_ms, note=_note(told[0], bare_ms, wanted), refused=_refusal(told, wanted))


def _note(alone: LoadResult, bare_ms: float | None, wanted: Wanted) -> str:
    """Far slower than the benchmark and the protocol explain, or nothing to say."""
    if alone.not_measured:
        return f"the service's speed: {alone.not_measured}"
    if alone.succeeded < alone.sent:
        return f"{alone.sent - alone.succeeded} of {alone.sent} requests failed that were asked one after the other"
    took_ms = alone.from_sent.p50_ms
    if wanted.promised_ms is None or bare_ms is None or took_ms is None:
        return ""
    if took_ms <= FAR_WORSE * (wanted.promised_ms + bare_ms):
        return ""
    return (
        f"a request to the service takes {took_ms:.2f} ms (median); the benchmark promised {wanted.promised_ms:.2f} ms for "
        f"the model, and a request without it takes {bare_ms:.2f} ms"
    )


def _refusal(told: Sequence[LoadResult], wanted: Wanted) -> str:
    """By how much a limit is missed; a figure that is missing never passes one."""
    alone, together = told[0], told[-1]
    reasons = [one.not_measured for one in (alone, together) if one.not_measured and _limited(wanted)]
    if wanted.p99_ms is not None:
        latency = alone.from_sent
        p99_ms = latency.p99_ms if latency.p99_ms is not None else latency.slowest_ms
        if p99_ms is None or p99_ms > wanted.p99_ms:
            found = "was never answered" if p99_ms is None else f"is {p99_ms:.2f} ms"
            reasons.append(f"one caller's p99 {found}, service.p99_ms allows {wanted.p99_ms:g} ms")
    if wanted.requests_per_s is not None and together.requests_per_s < wanted.requests_per_s:
        reasons.append(
            f"{CALLERS[-1]} callers get {together.requests_per_s:.1f} answers a second, service.requests_per_s asks for "
            f"{wanted.requests_per_s:g}"
        )
    return "; ".join(reasons)


def _limited(wanted: Wanted) -> bool:
    return wanted.p99_ms is not None or wanted.requests_per_s is not None
