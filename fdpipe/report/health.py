"""How far the benchmark can be trusted: how quiet the machine was, what it could tell apart, and why it ended."""

from fdpipe.artifacts import Health, Interval, Measurement, Pace, Record
from fdpipe.report import words
from fdpipe.report.tables import Table, call_of, calls, state

RESTLESS_SHARE = 0.1
"""From this share of disturbed blocks on, the page says so in words."""


def remarks(record: Record) -> list[str]:
    """What a reader must know before trusting the times."""
    found = []
    unclear = [one.candidate for one in record.measured.measurements if undecided(record, one)]
    if unclear:
        found.append(f"Too noisy to tell whether these are faster than the baseline: {', '.join(unclear)}.")
    health = record.measured.health
    if health is None:
        return found
    if health.noise is not None and not health.noise.low <= 1 <= health.noise.high:
        seen = _interval(health.noise)
        found.append(f"The baseline took {seen} of its own time in a second process: this machine favours one of them.")
    if health.noise_unknown:
        found.append(f"By how much this machine's noise moves the times is not known: {health.noise_unknown}.")
    if health.disturbed_share >= RESTLESS_SHARE:
        share = f"{health.disturbed_share:.0%}"
        found.append(f"Others took a core from a candidate in {share} of all blocks; these count only where few are left.")
    return found


def undecided(record: Record, measurement: Measurement) -> bool:
    """Whether nothing can be said of a candidate's time, in any kind of call."""
    timings = [timing for timing in measurement.timings if timing.ratio is not None]
    is_baseline = measurement.candidate == record.measured.baseline
    return not is_baseline and bool(timings) and all(timing.pace is Pace.TOO_NOISY for timing in timings)


def figures(record: Record) -> list[tuple[str, str]]:
    """The benchmark as a whole."""
    measured = record.measured
    return [
        *(_of_machine(measured.health) if measured.health else []),
        *([("why it ended", measured.ended)] if measured.ended else []),
        ("threads", str(measured.threads)),
    ]


def paces(record: Record) -> Table | None:
    """Each finalist: what is said of its time in each kind of call, its cold start, and whether it left early; None where
    nothing was measured."""
    asked, measured = calls(record), record.measured
    if not asked:
        return None
    states = {trial.candidate.name: state(record, trial) for trial in record.trials}
    has_left = any(one.left for one in measured.measurements)
    return Table(
        columns=("candidate", *[str(call) for call in asked], "load", "first call", *["left"] * has_left),
        rows=tuple(_row(record, one, has_left=has_left) for one in measured.measurements),
        states=tuple(states[one.candidate] for one in measured.measurements),
    )


def _of_machine(health: Health) -> list[tuple[str, str]]:
    noise, unknown = health.noise, health.noise_unknown or "not measured"
    return [
        ("load before and after", f"{health.load_before:.2f}, {health.load_after:.2f}"),
        ("blocks disturbed", f"{health.disturbed_share:.1%}"),
        ("noise floor", unknown if noise is None else f"{_interval(noise)}: the baseline beside itself"),
    ]


def _interval(value: Interval) -> str:
    return f"{value.middle:.3f}× ({value.low:.3f}–{value.high:.3f})"


def _row(record: Record, one: Measurement, *, has_left: bool) -> tuple[str, ...]:
    own = {call_of(timing): timing for timing in one.timings}
    is_baseline = one.candidate == record.measured.baseline
    said = ["the baseline" if is_baseline else own[call].pace.value if call in own else words.DASH for call in calls(record)]
    left = [one.left or words.DASH] * has_left
    cold = [words.DASH if ms is None else words.milliseconds(ms) for ms in (one.load_ms, one.first_call_ms)]
    return one.candidate, *said, *cold, *left
