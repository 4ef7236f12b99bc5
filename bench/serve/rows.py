"""What was found, as rows: each server's figures, and the ratios that are to be reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.gate.page import Row
from bench.serve.load import Shot
from bench.serve.servers import BINARY, GRPC, IN_PROCESS, MLSERVER, MLSERVER_GRPC, STOCK

MOST_P99 = 3.0
"""Times the median, of the tiny model over REST with binary tensors."""

GOODPUT, MEMORY = 0.8, 1.3
"""Under ten times the capacity: at least that share of it, at most so many times the memory before."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Answers a second of one, at least so many times those of the other."""

    one: str
    other: str
    least: float


TINY = (
    Ratio(one=BINARY, other=STOCK, least=15.0),
    Ratio(one=BINARY, other=MLSERVER, least=6.0),
    Ratio(one=GRPC, other=MLSERVER_GRPC, least=1.9),
)
IMAGE = (
    Ratio(one=BINARY, other=IN_PROCESS, least=0.9),
    Ratio(one=BINARY, other=STOCK, least=3.5),
    Ratio(one=BINARY, other=MLSERVER_GRPC, least=2.0),
)


@dataclass(frozen=True, kw_only=True)
class Round:
    """Each server in turn, by its row's name, and why others were not measured."""

    shots: Mapping[str, Shot]
    missing: Mapping[str, str]

    @classmethod
    def of(cls, shots: Mapping[str, Mapping[str, float]], missing: Mapping[str, str]) -> "Round":
        """As JSON has it."""
        return cls(shots={name: Shot(**fields) for name, fields in shots.items()}, missing=missing)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Overload:
    """Answers a second in a closed loop with 64 connections, and when ten times as many are asked; what these were answered
    with, by HTTP status; and the most memory of the service's processes, before and after, in MiB. The sender turned to
    its requests up to `late_ms` late (p99), and `waited` of them found all of its connections taken."""

    capacity: float
    goodput: float
    statuses: Mapping[str, int]
    idle_mib: float
    peak_mib: float
    late_ms: float
    waited: int


def ratios(rounds: Sequence[Round], wanted: Sequence[Ratio]) -> list[Row]:
    """The median of the rounds' ratios, each of two that were measured side by side."""
    return [_ratio(rounds, one) for one in wanted]


def _ratio(rounds: Sequence[Round], ratio: Ratio) -> Row:
    what, wanted = f"{ratio.one} ÷ {ratio.other}", f"≥ {ratio.least:g}"
    pairs = [(one.shots[ratio.one], one.shots[ratio.other]) for one in rounds if {ratio.one, ratio.other} <= one.shots.keys()]
    if not pairs:
        return Row(what=what, wanted=wanted, found=_why(rounds, ratio), holds=False)
    both = [one.requests_per_s / other.requests_per_s for one, other in pairs]
    spent = median(one.per_processor_s / other.per_processor_s for one, other in pairs)
    found = f"{median(both):.2f} ({min(both):.2f} to {max(both):.2f}); by processor time {spent:.2f}"
    return Row(what=what, wanted=wanted, found=found, holds=median(both) >= ratio.least)


def _why(rounds: Sequence[Round], ratio: Ratio) -> str:
    known = {name: reason for one in rounds for name, reason in one.missing.items()}
    absent = [name for name in (ratio.one, ratio.other) if name in known]
    return "; ".join(f"not measured: {name}: {known[name]}" for name in absent) or "not measured"


def tail(rounds: Sequence[Round], name: str) -> Row:
    """p99 beside the median."""
    shots = [one.shots[name] for one in rounds if name in one.shots]
    what, wanted = f"{name}: p99 ÷ p50", f"≤ {MOST_P99:g}"
    if not shots:
        return Row(what=what, wanted=wanted, found="not measured", holds=False)
    found = [shot.p99_ms / shot.p50_ms for shot in shots]
    return Row(
        what=what, wanted=wanted, found=f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})",
        holds=median(found) <= MOST_P99,
    )  # fmt: skip


def figures(rounds: Sequence[Round]) -> list[Row]:
    """Each server's medians over the rounds, and its share of what is possible in process; promised is nothing of it."""
    names = list(dict.fromkeys(name for one in rounds for name in (*one.shots, *one.missing)))
    return [_figures(rounds, name) for name in names]


def _figures(rounds: Sequence[Round], name: str) -> Row:
    shots = [one.shots[name] for one in rounds if name in one.shots]
    if not shots:
        return Row(what=name, wanted="", found=f"not measured: {rounds[0].missing[name]}")
    rate = median(shot.requests_per_s for shot in shots)
    failed = sum(shot.failed for shot in shots)
    limit = median(one.shots[IN_PROCESS].requests_per_s for one in rounds if IN_PROCESS in one.shots)
    p50_ms, p99_ms = median(shot.p50_ms for shot in shots), median(shot.p99_ms for shot in shots)
    text = f"{rate:,.0f}/s, p50 {p50_ms:.3g} ms, p99 {p99_ms:.3g} ms, {rate / limit:.0%} of in process"
    text += f", {median(shot.per_processor_s for shot in shots):,.0f} a processor second"
    return Row(what=name, wanted="", found=text + (f", {failed} failed" if failed else ""))


def overload(rounds: Sequence[Overload]) -> list[Row]:
    """Goodput and memory; without any round neither was reached."""
    what = ("goodput at ten times the capacity", f"≥ {GOODPUT:.0%} of it"), ("memory under it", f"≤ {MEMORY:g} × the idle peak")
    if not rounds:
        return [Row(what=one, wanted=wanted, found="not measured", holds=False) for one, wanted in what]
    goodput, memory = [one.goodput / one.capacity for one in rounds], [one.peak_mib / one.idle_mib for one in rounds]
    capacity = median(one.capacity for one in rounds)
    statuses: dict[str, int] = {}
    for one in rounds:
        for status, count in one.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    told = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
    return [
        Row(
            what=what[0][0], wanted=what[0][1],
            found=f"{median(goodput):.0%} ({min(goodput):.0%} to {max(goodput):.0%}) of {capacity:,.0f}/s",
            holds=median(goodput) >= GOODPUT,
        ),
        Row(
            what=what[1][0], wanted=what[1][1],
            found=f"{max(memory):.2f} × {median(one.idle_mib for one in rounds):,.0f} MiB", holds=max(memory) <= MEMORY,
        ),
        Row(what="what those asked for were answered with", wanted="", found=f"{told}; {_sender(rounds)}"),
    ]  # fmt: skip


def _sender(rounds: Sequence[Overload]) -> str:
    waited = sum(one.waited for one in rounds)
    return f"the sender was {max(one.late_ms for one in rounds):,.0f} ms late at most (p99), {waited:,} waited for a connection"
