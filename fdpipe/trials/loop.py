"""The search's loop, and its baseline."""

from collections.abc import Mapping

from fdpipe import progress
from fdpipe.artifacts import Candidate, Trial
from fdpipe.clock import Clock
from fdpipe.errors import StageError
from fdpipe.interfaces import Demanding, Foreseeing, Runtime
from fdpipe.plan import Plan
from fdpipe.space import Space
from fdpipe.stages.survey import survey
from fdpipe.store import Store
from fdpipe.trials.attempt import Attempt
from fdpipe.trials.given import Call, Given
from fdpipe.trials.space import BASELINE, space_of


def search(plan: Plan, runtimes: Mapping[str, Runtime], store: Store, given: Given, call: Call) -> list[Trial]:
    """The trials, the baseline's first: whatever the search proposes, asked again after each, within its budget."""
    space = space_of(plan, runtimes, given.baseline.artifact, survey(store, given.baseline.artifact))
    clock = Clock(budget=plan.budget)
    trials = baselines(plan, runtimes, space, store, given, call, clock)
    if foregone := out_of_reach(plan, trials[0]):
        progress.note(f"nothing else is tried: {foregone}")
        return trials
    while proposals := plan.search.propose(space, trials):
        proposal = clock.next_of(proposals)
        reason = clock.spent(len(trials), proposals)
        if proposal is None or reason:
            progress.note(f"the search ends: {reason}")
            break
        expected = plan.search.outlook(space, trials) if isinstance(plan.search, Foreseeing) else len(proposals)
        place = clock.place(len(trials), proposals, expected)
        trials.append(call(Attempt(proposal.candidate, proposal.why, place, clock), store, plan, given, trials))
    return trials


def out_of_reach(plan: Plan, baseline: Trial) -> str:
    """Why the gate refuses whatever the search may find; empty where it need not."""
    if baseline.evaluation is None:
        return ""
    demanding = [check for check in plan.gate.values() if isinstance(check, Demanding)]
    reasons = [check.out_of_reach(baseline.evaluation.reference, plan.metric) for check in demanding]
    return next((reason for reason in reasons if reason), "")


def baselines(
    plan: Plan, runtimes: Mapping[str, Runtime], space: Space, store: Store, given: Given, call: Call, clock: Clock
) -> list[Trial]:
    """The converted model as it is, on the first runtime that takes all of its nodes, those that can be run here before
    others; behind it those that do not, with the nodes. `StageError` where it fails otherwise."""
    trials: list[Trial] = []
    for runtime in sorted(space.recipes[BASELINE].runtimes, key=lambda name: runtimes[name].absent() is not None):
        candidate = Candidate(runtime=runtime, recipe=BASELINE, session=space.runtimes[runtime][0])
        trials.insert(0, call(Attempt(candidate, "the converted model as it is", clock=clock), store, plan, given, ()))
        if trials[0].artifact is not None:
            break
        if not trials[0].unsupported:
            raise StageError(f"the converted model cannot be run as it is: {trials[0].reason}")
    return trials
