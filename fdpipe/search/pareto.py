"""Samples recipes × calibrators × sessions with optuna, for the front of quality, time and size."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from fdpipe import extras
from fdpipe.artifacts import Candidate, Trial
from fdpipe.artifacts.front import front, standing
from fdpipe.interfaces import Session
from fdpipe.search._fitting import fits, unusable
from fdpipe.search._standing import is_passing, ratio
from fdpipe.space import Proposal, Space

if TYPE_CHECKING:
    import optuna

REPEATS = 25
"""After so many samples in a row that were tried before, there is nothing left to find."""
OWN = "its own"
"""The calibrator that the recipe has."""


class Sampler(StrEnum):
    """How candidates are sampled: by estimating where the good ones are (Ozaki et al. 2022, "Multiobjective Tree-Structured
    Parzen Estimator"), or by crossing the best (Deb et al. 2002, NSGA-II)."""

    TPE = "tpe"
    NSGA2 = "nsga2"


@dataclass(frozen=True, kw_only=True)
class Pareto:
    """Goes on until all was tried, or the budget is used; `random` are drawn before the sampler knows anything. The study is
    replayed from the trials whenever it is asked, with the same `seed`; finalists are the front of those that the gate has
    nothing against, at most `max_finalists`, the fastest first."""

    locates: ClassVar[bool] = False

    sampler: Sampler = Sampler.TPE
    random: int = 8
    max_finalists: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        """Ranges."""
        if min(self.random, self.max_finalists) < 1:
            raise ValueError("random and max_finalists must be at least 1")

    def propose(self, space: Space, trials: Sequence[Trial]) -> Sequence[Proposal]:
        """The sampler's next candidate, after it has been told of every earlier one."""
        arms = list(_arms(space))
        if not arms:
            return []
        tried = {trial.candidate.name: trial for trial in trials}
        study, repeats = self._study(), 0
        while repeats < REPEATS:
            asked = study.ask()
            candidate = _sampled(space, arms, asked)
            known = tried.get(candidate.name)
            if known is None:
                number = sum(trial is not trials[0] for trial in trials) + 1
                return [Proposal(candidate=candidate, why=f"sample {number} of {self.sampler}, for the front")]
            repeats = repeats + 1 if candidate.name in {one.user_attrs.get("name") for one in study.trials} else 0
            asked.set_user_attr("name", candidate.name)
            _tell(study, asked, known, known is trials[0])
        return []

    def outlook(self, space: Space, trials: Sequence[Trial]) -> int:
        """All combinations that were not tried yet: it proposes one at a time."""
        tried = {trial.candidate.name for trial in trials}
        return len({candidate.name for arm in _arms(space) for candidate in _combined(space, arm)} - tried)

    def finalists(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """The front of those that pass; where none does, of all."""
        first, *others = trials
        passing = [trial for trial in others if is_passing(trial)] or others
        found = [trial for trial in front([first, *passing]) if trial is not first and trial.succeeded]
        return sorted(found, key=ratio)[: self.max_finalists]

    def _study(self) -> "optuna.Study":
        extras.require("optuna", extra="optimize")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = (
            optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=self.random)
            if self.sampler is Sampler.TPE
            else optuna.samplers.NSGAIISampler(seed=self.seed, population_size=max(self.random, 2))
        )
        return optuna.create_study(directions=["minimize"] * 3, sampler=sampler)


def _arms(space: Space) -> Iterator[str]:
    """Each recipe on each runtime that it fits, as one word."""
    for recipe, choice in space.recipes.items():
        for runtime in choice.runtimes:
            if runtime in space.runtimes and not unusable(space, choice):
                yield f"{runtime}/{recipe}"


def _sessions(space: Space, runtime: str) -> dict[str, Session]:
    """Those of which this machine can make use, by what they hold."""
    return {json.dumps(dict(one), sort_keys=True): one for one in space.runtimes[runtime] if fits(space, one)}


def _combined(space: Space, arm: str) -> Iterator[Candidate]:
    """Everything that can be sampled for it."""
    runtime, _, recipe = arm.partition("/")
    for session in _sessions(space, runtime).values() or [{}]:
        for calibrator in ("", *space.recipes[recipe].calibrators):
            yield Candidate(runtime=runtime, recipe=recipe, calibrator=calibrator, session=session)


def _sampled(space: Space, arms: Sequence[str], asked: "optuna.Trial") -> Candidate:
    runtime, _, recipe = asked.suggest_categorical("recipe", arms).partition("/")
    calibrator, calibrators = "", space.recipes[recipe].calibrators
    if calibrators:
        drawn = asked.suggest_categorical(f"calibrator of {recipe}", [OWN, *calibrators])
        calibrator = "" if drawn == OWN else drawn
    sessions = _sessions(space, runtime)
    session: Session = next(iter(sessions.values()), {})
    if len(sessions) > 1:
        session = sessions[asked.suggest_categorical(f"session of {runtime}", list(sessions))]
    return Candidate(runtime=runtime, recipe=recipe, calibrator=calibrator, session=session)


def _tell(study: "optuna.Study", asked: "optuna.Trial", trial: Trial, is_baseline: bool) -> None:
    """What came of a sample; one that failed has no figures."""
    import optuna

    stands = standing(trial, is_baseline)
    if stands is None or stands.loss == float("inf"):
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(asked, [stands.loss, stands.time, float(stands.size_bytes)])
