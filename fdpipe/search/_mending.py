"""The third round: quantized candidates that answer wrongly or too slowly get nodes back in float, each with the reason."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from fdpipe.artifacts import Aspect, Candidate, Trial
from fdpipe.search._fallback import Ground, Seen, next_floats
from fdpipe.search._fitting import products
from fdpipe.search._standing import GAINS, against, best, excess, is_hopeless, is_lossy, is_right, ratio
from fdpipe.space import Proposal, Space

SLOW_ROUNDS = 4
"""The rounds for what is not faster even when it is quantized whole, but has nodes that do not pay."""
LITTLE = 0.1
"""A node that has less than this share of an average node's work does not pay in 8 bits."""
DOUBT = 2.0
"""What is enough for one recipe may be so many times too much for another."""
TOLD = 4
"""So many nodes are named in a reason."""


def mended(space: Space, trials: Sequence[Trial], rounds: int) -> list[Proposal]:
    """The next set of floats for the fastest recipe that was refused for its quality, at most `rounds` for each; then the
    same set with the nodes that do not pay, for the measurement to decide."""
    for base in sorted(_bases(space, trials), key=ratio):
        family = [trial for trial in trials if _of(trial.candidate) == _of(base.candidate) and trial.candidate.floats]
        passing = [trial for trial in family if is_right(trial)]
        gains, left = _expected(base, trials) < GAINS * best(trials), rounds - len(family)
        if passing:
            found = (_smaller(base, family, left - 1) if gains else None) or _fuller(base, family, left)
        elif gains:
            found = _larger(base, family, left, _elsewhere(base, trials))
        else:
            found = _larger(base, family, SLOW_ROUNDS - len(family)) if _unpaid(base) and best(trials) > GAINS else None
        if found:
            return [found]
    return []


def _elsewhere(base: Trial, trials: Sequence[Trial]) -> list[frozenset[str]]:
    """The sets of its nodes that were enough for another recipe or runtime, the fastest first."""
    nodes = set(_ground(base).order)
    found = [one for one in trials if one.candidate.floats and is_right(one) and nodes.issuperset(one.candidate.floats)]
    return [frozenset(one.candidate.floats) for one in sorted(found, key=ratio)]


def _expected(base: Trial, trials: Sequence[Trial]) -> float:
    """What can be hoped for: its own ratio or, where it is known how many nodes are enough elsewhere, that with as much of
    the work at the speed of the model as it is, in the same runtime."""
    one, ground = base.candidate, _ground(base)
    as_it_is = [trial for trial in trials[1:] if (trial.candidate.runtime, trial.candidate.recipe) == (one.runtime, "none")]
    whole = min((ratio(trial) for trial in as_it_is), default=1.0)
    others = [floats for floats in _elsewhere(base, trials) if not any(_is(base, floats, trial) for trial in trials)]
    share = min((ground.price(floats) for floats in others), default=0.0) / DOUBT
    return ratio(base) + share * max(whole - ratio(base), 0.0)


def _is(base: Trial, floats: frozenset[str], trial: Trial) -> bool:
    return _of(trial.candidate) == _of(base.candidate) and frozenset(trial.candidate.floats) == floats


def _larger(base: Trial, family: Sequence[Trial], left: int, first: Sequence[frozenset[str]] = ()) -> Proposal | None:
    """More nodes in float, but not all, none of those tried being enough; those that do not pay among them. A set that was
    enough elsewhere is the first."""
    if left < 1:
        return None
    floats = first[0] if first and not family else next_floats(_ground(base), _seen(base, family), _hint(base))
    if floats is None or floats.issuperset(_ground(base).order):
        return None
    last = family[-1] if family else base
    found = against(last, Aspect.QUALITY, Aspect.STABILITY)
    reason = found[0].reason if found else last.reason
    return _without(base, floats | _unpaid(base), f"{reason}: {_named(base, floats | _unpaid(base))} in float")


def _smaller(base: Trial, family: Sequence[Trial], left: int) -> Proposal | None:
    """Fewer or cheaper nodes in float, some of those tried being enough."""
    floats = next_floats(_ground(base), _seen(base, family)) if left > 0 else None
    if floats is None:
        return None
    enough = frozenset(min((trial for trial in family if is_right(trial)), key=ratio).candidate.floats)
    back, more = enough - floats, floats - enough
    told = [f"{_named(base, back)} in 8 bits again"] * bool(back) + [f"{_named(base, more)} in float"] * bool(more)
    return _without(base, floats, f"with {len(enough)} nodes in float it is right; {', '.join(told)}")


def _fuller(base: Trial, family: Sequence[Trial], left: int) -> Proposal | None:
    """The fastest set that is enough, and the nodes beside it that save nothing."""
    fastest = min((trial for trial in family if is_right(trial)), key=ratio)
    enough = frozenset(fastest.candidate.floats)
    idle = _idle(base) - enough
    if left < 1 or not idle or any(enough | idle == frozenset(trial.candidate.floats) for trial in family):
        return None
    return _without(base, enough | idle, f"they may not pay in 8 bits: {_named(base, idle)} in float as well")


def relieved(space: Space, trials: Sequence[Trial]) -> Iterator[Proposal]:
    """For each quantized candidate that answers rightly and is not faster: the nodes whose 8 bits do not pay, in float."""
    for trial in trials:
        choice = space.recipes.get(trial.candidate.recipe)
        unpaid = _unpaid(trial)
        some = 0 < len(unpaid) < products(space) or not space.operators
        if choice and choice.excludes and unpaid and some and is_right(trial) and not trial.candidate.floats:
            yield _without(trial, unpaid, f"{', '.join(sorted(unpaid)[:TOLD])} take longer in 8 bits than in float")


def mended_so_far(candidate: Candidate, trials: Sequence[Trial]) -> int:
    """How many sets of floats were tried for it."""
    return sum(_of(one.candidate) == _of(candidate) and bool(one.candidate.floats) for one in trials)


def _bases(space: Space, trials: Sequence[Trial]) -> Iterator[Trial]:
    """Of each runtime and recipe that was refused for its quality however it was calibrated, the calibrator that loses least,
    in the session that is fastest with it."""
    families: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        one = trial.candidate
        choice = space.recipes.get(one.recipe)
        if choice is not None and choice.excludes and not one.floats and not one.parts:
            families.setdefault((one.runtime, one.recipe), []).append(trial)
    for family in families.values():
        able = [trial for trial in family if not is_hopeless(trial) or _unpaid(trial)]
        lossy = [trial for trial in able if is_lossy(trial) and trial.sensitivity and trial.sensitivity.nodes]
        if not lossy or any(is_right(trial) for trial in family):
            continue
        least = min(lossy, key=excess).candidate.calibrator
        yield min((trial for trial in lossy if trial.candidate.calibrator == least), key=ratio)


def _of(one: Candidate) -> Candidate:
    return replace(one, floats=())


def _ground(base: Trial) -> Ground:
    return Ground(base.sensitivity.nodes if base.sensitivity else ())


def _without(base: Trial, floats: frozenset[str], why: str) -> Proposal:
    return Proposal(candidate=replace(base.candidate, floats=tuple(sorted(floats))), why=why)


def _seen(base: Trial, family: Sequence[Trial]) -> list[Seen]:
    """What could not be made counts as refused."""
    return [Seen(floats=frozenset(one.candidate.floats), passes=is_right(one)) for one in (base, *family)]


def _hint(base: Trial) -> float:
    """The share of the noise that may stay, if what is lost were in proportion to it."""
    found = [one for one in against(base, Aspect.QUALITY) if one.figure and one.limit and one.figure > one.limit > 0]
    return max(min((one.limit / one.figure for one in found if one.limit and one.figure), default=0.5), 1e-3)


def _idle(base: Trial) -> frozenset[str]:
    """The nodes whose 8 bits hardly save work, or none, as far as it is known."""
    nodes = base.sensitivity.nodes if base.sensitivity else ()
    average = math.fsum(one.work for one in nodes) / max(len(nodes), 1)
    return frozenset(one.node for one in nodes if one.work < LITTLE * average) | _unpaid(base)


def _unpaid(trial: Trial) -> frozenset[str]:
    return frozenset(trial.diagnosis.unpaid if trial.diagnosis else ())


def _named(base: Trial, floats: frozenset[str]) -> str:
    """The worst of the nodes, with what is known of each."""
    nodes = [one for one in base.sensitivity.nodes if one.node in floats] if base.sensitivity else []
    told = [
        f"{one.node} ({one.operator}, {one.snr_db:.0f} dB" + (f", divergence {one.divergence:.2g})" if one.divergence else ")")
        for one in nodes[:TOLD]
    ]
    more = len(floats) - len(told)
    return ", ".join(told or sorted(floats)[:TOLD]) + (f" and {more} more" if told and more > 0 else "")
