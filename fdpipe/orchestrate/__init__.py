"""Runs as Prefect flows, started from this process. Only this package knows Prefect."""

from collections.abc import Sequence
from typing import cast

from fdpipe.execution import Execution
from fdpipe.orchestrate.flows import matrix, release
from fdpipe.orchestrate.server import server
from fdpipe.plan import Plan


def run_release(plan: Plan, *, trigger: str = "cli") -> Execution:
    """Run the plan as the flow `release`; what it raises comes out as it was raised."""
    with server():
        return cast(Execution, release(plan=plan.to_dict(), trigger=trigger))


def run_matrix(plans: Sequence[Plan], *, trigger: str = "cli") -> list[Execution | Exception]:
    """Run the plans as the flow `matrix`, on one server; what came of each."""
    with server():
        state = matrix(jobs=[{"plan": plan.to_dict()} for plan in plans], trigger=trigger, return_state=True)
        return cast(list[Execution | Exception], state.result(raise_on_failure=False))
