"""What the benchmark promised, beside what the started service does when it is asked one request after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from fdpipe.artifacts import Expected, LoadResult, Measured
from fdpipe.conformance.golden import infer_path
from fdpipe.errors import DeploymentError, StageError
from fdpipe.load.figures import BUSY
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
    """What is expected of a service: `promised_ms` is the benchmark's median for one row, None where there is none, `expected`
    what its sizes were derived for; `p99_ms` bounds one caller's p99, `requests_per_s` several callers' throughput; None asks
    for nothing."""

    promised_ms: float | None = None
    expected: Expected | None = None
    p99_ms: float | None = None
    requests_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Whether the promise was kept: the loads with one caller and with several, the median of a bare request, a `note` where
    the service is far slower than promised or was not measured, and what is `refused` by a limit; empty where nothing is. A
    sender that takes as much of a core as it can get measures bounds: latencies at most, answers a second at least."""

    loads: tuple[LoadResult, ...] = ()
    bare_ms: float | None = None
    note: str = ""
    refused: str = ""


def told(kept: Kept, wanted: Wanted) -> str:
    """What was expected beside what came of it, in words; empty without either."""
    if wanted.expected is None or not kept.loads:
        return ""
    alone, together = kept.loads[0], kept.loads[-1]
    p50_ms, p99_ms = alone.from_sent.p50_ms, alone.from_sent.p99_ms
    most = "at most " if alone.sending.busy > BUSY else ""
    least = "at least " if together.sending.busy > BUSY else ""
    return (
        f"the model alone allows {wanted.expected.p50_ms:.2f} ms (p99 {wanted.expected.p99_ms:.2f} ms) and "
        f"{wanted.expected.requests_per_s:,.0f} requests/s; one caller got {most}{_ms(p50_ms)} (p99 {_ms(p99_ms)}), "
        f"{CALLERS[-1]} callers {least}{together.requests_per_s:,.0f} requests/s"
    )


def _ms(value: float | None) -> str:
    return "no answer" if value is None else f"{value:.2f} ms"


FRESH = {"cache-control": "no-cache"}
"""The model's speed is asked, not that of answers that are kept."""


def promised_ms(measured: Measured, candidate: str) -> float | None:
    """The benchmark's median for one row as it is, if it was measured."""
    found = measured.of(candidate)
    timings = [one for one in found.timings if one.batch == 1 and one.length is None] if found else []
    return timings[0].p50_ms if timings else None


def ask(golden: Path, host: str, model: str, wanted: Wanted) -> Kept:
    """Ask the service at `host`, which speaks the Open Inference Protocol, with rows of the release's golden requests."""
    rows = [replace(one, headers=one.headers | FRESH) for one in from_golden(golden, infer_path(model))]
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
    """Far slower than the benchmark and the protocol explain, or nothing to say. The sender's own time is in both figures."""
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
    """Which limit is missed, by how much; or not shown to be kept, since a figure that is missing never passes one."""
    alone, together = told[0], told[-1]
    reasons = [too_slow(alone, wanted.p99_ms)] if wanted.p99_ms is not None else []
    if wanted.requests_per_s is not None:
        reasons.append(too_few(together, wanted.requests_per_s))
    return "; ".join(reason for reason in reasons if reason)


def too_slow(alone: LoadResult, limit_ms: float) -> str:
    """One caller and the service take turns, so that the caller sees its own time beside the service's: at most what it sees
    is the service's, and what is more than the limit in spite of that is surely too slow."""
    latency = alone.from_sent
    p99_ms = latency.p99_ms if latency.p99_ms is not None else latency.slowest_ms
    if p99_ms is None:
        return f"one caller's p99 was never answered, service.p99_ms allows {limit_ms:g} ms"
    if p99_ms <= limit_ms:
        return ""
    own_ms = _own_ms(alone)
    if p99_ms - own_ms > limit_ms:
        return f"one caller's p99 is {p99_ms:.2f} ms, service.p99_ms allows {limit_ms:g} ms"
    return (
        f"one caller's p99 is at most {p99_ms:.2f} ms, of which the sender itself takes {own_ms:.2f} ms: it is not shown that "
        f"the service keeps the {limit_ms:g} ms of service.p99_ms"
    )


def too_few(together: LoadResult, limit: float) -> str:
    """Callers in a closed loop get at least as many answers as they ask for; a sender that can ask no faster shows no more."""
    if together.requests_per_s >= limit:
        return ""
    found = (
        f"{CALLERS[-1]} callers get {together.requests_per_s:.1f} answers a second, service.requests_per_s asks for {limit:g}"
    )
    if together.sending.busy <= BUSY:
        return found
    return f"{found}, and the sender could ask for no more (it took {together.sending.busy:.0%} of a core): it is not shown"


def _own_ms(alone: LoadResult) -> float:
    """What the sender computes for a request, in the mean, where it is at its limit; less than that counts as nothing."""
    if alone.sending.busy <= BUSY:
        return 0.0
    return 1000 * alone.sending.busy * alone.seconds / max(1, alone.sent)


def _limited(wanted: Wanted) -> bool:
    return wanted.p99_ms is not None or wanted.requests_per_s is not None
