"""The part of the page that shows every recipe: a table for each model, and in words below it what has no figures."""

from collections.abc import Iterable, Iterator, Sequence

from bench.optimize.models import SUBJECTS
from bench.optimize.recipes import NOT_MEASURED, SIZES, Line

FAILED = "failed"
"""How the verdict on what could not be made begins."""

HEAD = f"""Each model with every recipe that the target has, in each runtime's default session on one thread. Latencies are
medians of a first impression in milliseconds at batch {", ".join(map(str, SIZES))}; memory is the peak of a process that does
nothing else. What cannot be run on the machine of this page is *{NOT_MEASURED}*, for the reason below the table. There, too,
stands what could not be made, and where 8 bits are no faster than the baseline, what takes the time."""


def recipe_tables(lines: Sequence[Line]) -> Iterator[str]:
    """All of it; the models and targets in the order of their lines."""
    yield from ("## Every recipe", "", HEAD)
    for name in dict.fromkeys(line.model for line in lines):
        own = [line for line in lines if line.model == name]
        made = [line for line in own if line.size_mib is not None]
        yield from ("", f"### {name}", "")
        if made:
            yield from _table(made, ", ".join(SUBJECTS[name].metric) if name in SUBJECTS else "quality")
            yield ""
        yield from _words(own)


def _table(lines: Sequence[Line], quality: str) -> Iterator[str]:
    sizes = " | ".join(f"ms, batch {size}" for size in SIZES)
    yield f"| target | candidate | {quality} | {sizes} | size, MiB | memory, MiB | verdict |"
    yield "|---|---|---:|" + "---:|" * (len(SIZES) + 2) + "---|"
    for line in lines:
        figures = [_figure(one) for one in (*line.latencies_ms, line.size_mib, line.memory_mib)]
        verdict, _ = _parted(line.verdict)
        yield f"| {' | '.join([line.target, _shown(line.candidate), line.quality, *figures, verdict])} |"


def _words(lines: Sequence[Line]) -> Iterator[str]:
    """What stands below the table."""
    for line in lines:
        if line.diagnosis:
            yield f"- {line.target}, `{_shown(line.candidate)}`: 8 bits are no faster: {line.diagnosis}"
    for kind, said in ((FAILED, "not made"), (NOT_MEASURED, NOT_MEASURED)):
        reasons: dict[tuple[str, str], list[str]] = {}
        for line in lines:
            found, reason = _parted(line.verdict)
            if found == kind:
                reasons.setdefault((line.target, reason), []).append(line.candidate)
        for (target, reason), candidates in reasons.items():
            yield f"- {target}{_named(candidates, lines, target)}: {said}: {reason}"


def _named(candidates: Sequence[str], lines: Sequence[Line], target: str) -> str:
    """Which of the target's candidates; nothing is said where it is all of them."""
    every = {line.candidate for line in lines if line.target == target}
    return "" if every == set(candidates) else _listed(map(_shown, candidates))


def _listed(names: Iterable[str]) -> str:
    return ", " + ", ".join(f"`{name}`" for name in names)


def _parted(verdict: str) -> tuple[str, str]:
    """The verdict in a word or two, and the reason where it has one."""
    kind, _, reason = verdict.partition(": ")
    return kind, reason


def _shown(candidate: str) -> str:
    """Its name, without the one thread that all have."""
    return candidate.replace("[threads=1]", "").replace(",threads=1]", "]")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"
