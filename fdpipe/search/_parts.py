"""The last round: one candidate for few rows and another for many, where none is the best for all."""

from collections.abc import Sequence

from fdpipe.artifacts import Candidate, Trial
from fdpipe.interfaces import Proposal, Space
from fdpipe.search._standing import best, by_batch, is_right

BETTER = 0.97
"""Together they must take at most this share of the time of the best alone, or be faster where that is slower than the
baseline; another part must take at most this share at the batch sizes that it is for."""


def by_rows(space: Space, trials: Sequence[Trial]) -> list[Proposal]:
    """The fastest at each batch size that was measured, as one candidate, where a runtime can open such a one."""
    able = [one for one in trials[1:] if is_right(one) and not one.candidate.parts and not one.unmeasured]
    times = {one.candidate.name: {batch: found.middle for batch, found in by_batch(one).items()} for one in able}
    times[trials[0].candidate.name] = dict.fromkeys(space.batch_sizes, 1.0)
    candidates = {one.candidate.name: one.candidate for one in (trials[0], *able)}
    if not space.by_rows or len(candidates) == 1:
        return []
    parts: list[tuple[int, str]] = []
    product = 1.0
    for batch in sorted(space.batch_sizes):
        last = times[parts[-1][1]].get(batch, float("inf")) if parts else float("inf")
        name = min(times, key=lambda name: times[name].get(batch, float("inf")))
        if not parts or times[name][batch] < BETTER * last:
            parts.append((batch if parts else 1, name))
        product *= times[parts[-1][1]][batch]
    together = product ** (1 / len(space.batch_sizes))
    if len(parts) == 1 or together > BETTER * best(trials):
        return []
    told = ", ".join(f"from {rows} rows on {name}" for rows, name in parts)
    session = space.runtimes.get(space.by_rows, ({},))[0]
    chosen = tuple((rows, candidates[name]) for rows, name in parts)
    candidate = Candidate(runtime=space.by_rows, recipe="none", session=session, parts=chosen)
    return [Proposal(candidate=candidate, why=f"none is the fastest for all: {told}")]
