"""The second round: the promising candidates with other calibrators, and in the other sessions of their runtime."""

from collections.abc import Iterator, Sequence

from fdpipe.artifacts import Candidate, Trial
from fdpipe.interfaces import Session
from fdpipe.search._fitting import HALF, fits
from fdpipe.search._standing import GAINS, best, excess, is_hopeless, is_lossy, is_right, ratio
from fdpipe.space import Proposal, Space

TUNABLE = 1.4
"""Another session is not tried for what takes so many times as long as the best that passes."""
HALVED = 3.0
"""The same for a model in float and a session that computes in bfloat16: a processor with instructions for products of matrices
may be so many times as fast in it."""
FOLLOWS = 2.0
"""The same for a session that has proved itself with another candidate."""
BETTER = 0.99
"""A session has proved itself where it takes at most this share of the time."""


def other_calibrators(space: Space, trials: Sequence[Trial]) -> Iterator[Proposal]:
    """For each calibrated recipe that was refused for its quality, and is fast, its other calibrators, until one of them
    passes."""
    for trial in plain(space, trials):
        one = trial.candidate
        if one.calibrator or not is_lossy(trial) or is_hopeless(trial) or one.recipe not in space.recipes:
            continue
        if promise(trial, trials) > GAINS or any(is_right(other) for other in trials if _same(one, other.candidate)):
            continue
        for name in space.recipes[one.recipe].calibrators:
            candidate = Candidate(runtime=one.runtime, recipe=one.recipe, session=one.session, calibrator=name)
            yield Proposal(candidate=candidate, why=f"other ranges: with its own calibrator, {trial.refusals[0].reason}")


def other_sessions(space: Space, trials: Sequence[Trial]) -> Iterator[Proposal]:
    """For each runtime the other sessions: all of them for its fastest candidate in float and its fastest quantized one, a
    right one before one that is still to be mended, and for the others those that have proved themselves. Those of the
    fastest candidates come first."""
    found = sorted(_other_sessions(space, trials), key=lambda pair: promise(pair[0], trials))
    yield from (proposal for _, proposal in found)


def _other_sessions(space: Space, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Proposal]]:
    """Each with the trial that it is another session for."""
    for runtime, sessions in space.runtimes.items():
        others = [one for one in sessions[1:] if fits(space, one)]
        field = [trial for trial in _field(space, trials) if trial.candidate.runtime == runtime]
        for quantized in (False, True):
            kind = [trial for trial in field if _quantizes(space, trial) is quantized]
            kind = sorted(kind, key=lambda trial: not (is_right(trial) and promise(trial, trials) <= TUNABLE))
            for leader in kind[:1]:
                able = [one for one in others if promise(leader, trials) <= _reach(one, quantized)]
                yield from ((leader, _in(leader, one, "the runtime's fastest of its kind")) for one in able)
            for follower in kind[1:]:
                if promise(follower, trials) <= FOLLOWS:
                    proved = [one for one in others if _gain(kind[0], one, trials) <= BETTER]
                    yield from ((follower, _in(follower, one, f"it helped {kind[0].candidate.name}")) for one in proved)


def _reach(session: Session, quantized: bool) -> float:
    """How far behind the best a leader may be for this session to be tried with it."""
    return HALVED if HALF in session.values() and not quantized else TUNABLE


def is_tuned(space: Space, one: Candidate) -> bool:
    """Whether it is one of `other_sessions`."""
    return not one.floats and not one.parts and one.session != space.runtimes.get(one.runtime, ({},))[0]


def plain(space: Space, trials: Sequence[Trial]) -> Iterator[Trial]:
    """Those in their runtime's first session whose quantizer was left as it is."""
    for trial in trials:
        one = trial.candidate
        if trial.succeeded and not one.parts and not one.floats and one.session == space.runtimes.get(one.runtime, ({},))[0]:
            yield trial


def promise(trial: Trial, trials: Sequence[Trial]) -> float:
    """Its time divided by that of the best that passes."""
    return beside_baseline(trial, trials) / best(trials)


def beside_baseline(trial: Trial, trials: Sequence[Trial]) -> float:
    """Its ratio; the baseline's own is 1."""
    return 1.0 if trial is trials[0] else ratio(trial)


def _field(space: Space, trials: Sequence[Trial]) -> list[Trial]:
    """Of each recipe on each runtime, with the calibrator that loses least: what is right or may be mended; the fastest
    first."""
    found: dict[tuple[str, str], Trial] = {}
    for trial in plain(space, trials):
        mendable = is_lossy(trial) and _quantizes(space, trial)
        if (is_right(trial) or mendable) and not is_hopeless(trial) and not trial.unmeasured:
            key = (trial.candidate.runtime, trial.candidate.recipe)
            found[key] = min(found.get(key, trial), trial, key=excess)
    return sorted(found.values(), key=lambda trial: beside_baseline(trial, trials))


def _quantizes(space: Space, trial: Trial) -> bool:
    choice = space.recipes.get(trial.candidate.recipe)
    return choice is not None and choice.quantizes


def _in(trial: Trial, session: Session, why: str) -> Proposal:
    one = trial.candidate
    candidate = Candidate(runtime=one.runtime, recipe=one.recipe, calibrator=one.calibrator, session=session)
    return Proposal(candidate=candidate, why=f"another session: {why}")


def _gain(leader: Trial, session: Session, trials: Sequence[Trial]) -> float:
    """What the session made of the leader's time."""
    one = leader.candidate
    wanted = Candidate(runtime=one.runtime, recipe=one.recipe, calibrator=one.calibrator, session=session).name
    found = [trial for trial in trials if trial.candidate.name == wanted and (is_right(trial) or is_lossy(trial))]
    return min((ratio(trial) for trial in found), default=float("inf")) / beside_baseline(leader, trials)


def _same(one: Candidate, other: Candidate) -> bool:
    return (one.runtime, one.recipe, one.session) == (other.runtime, other.recipe, other.session) and not other.floats
