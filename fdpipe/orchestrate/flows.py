"""The flows: one release, several, and a training before one. Their parameters are JSON, and their settings are the plan's."""

from pathlib import Path
from typing import Any, cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from fdpipe import config, roster
from fdpipe.errors import ConfigError, Exit
from fdpipe.execution import Execution, execute, execute_all, gravest
from fdpipe.home import settle_environment
from fdpipe.orchestrate.evidence import events_logged, show
from fdpipe.orchestrate.tasks import as_task
from fdpipe.plan import Plan
from fdpipe.training import train

Job = dict[str, Any]
"""What one release is asked: `plan`, a resolved plan as JSON, or `overrides`, from which one is composed."""


def _name() -> str:
    """`<model> on <target>`, as far as it can be seen."""
    job = flow_run.parameters
    if plan := job.get("plan"):
        return f"{plan['model']} on {plan['target']['name']}"
    said = dict(one.lstrip("+").partition("=")[::2] for one in job.get("overrides") or [])
    return f"{said.get('model', 'the model')} on {said.get('target', 'cpu')}"


@flow(name="release", flow_run_name=_name, persist_result=False)
def release(
    plan: dict[str, Any] | None = None, overrides: list[str] | None = None, trigger: str = "prefect"
) -> Execution | State[Execution]:
    """Run the line for a plan or for what the overrides compose; a refusal completes as `Rejected`."""
    settle_environment()
    if (plan is None) == (overrides is None):
        raise ConfigError("a release takes either a plan or overrides")
    asked = Plan.from_dict(plan) if plan is not None else config.load(overrides or [])
    with events_logged():
        execution = execute(asked, call=as_task, trigger=trigger)
    show(asked, execution.record)
    return _ended(execution)


@flow(name="matrix", flow_run_name=lambda: f"{len(flow_run.parameters['jobs'])} releases", persist_result=False)
def matrix(jobs: list[Job], trigger: str = "prefect") -> State[list[Execution | Exception]]:
    """Run a release for each job, one after the other; fails if one of them did, after all have run."""
    results = execute_all(jobs, lambda job: cast(Execution, release(**job, trigger=trigger)))
    failed = [f"job {number}: {result}" for number, result in enumerate(results, start=1) if isinstance(result, Exception)]
    if failed:
        return Failed(message=f"{len(failed)} of {len(jobs)} failed: {'; '.join(failed)}", data=results)
    return Completed(name="Completed" if gravest(results) is Exit.DONE else "Rejected", data=results)


@flow(name="train_and_release", flow_run_name=lambda: f"{flow_run.parameters['name']}, trained", persist_result=False)
def train_and_release(name: str, overrides: list[str] | None = None) -> Execution | State[Execution]:
    """Train a model of the roster in the working directory's project, and release the version that came of it."""
    settle_environment()
    project = Path.cwd()
    roster.train_file(project, name)
    with events_logged():
        trained = as_task(train, name, project, roster.read(project)[name].alias)
    return _ended(cast(Execution, release(overrides=[f"model={name}/{trained.version}", *(overrides or [])])))


def _ended(execution: Execution) -> Execution | State[Execution]:
    """What a flow returns: a refusal is a state of its own, with the execution as its result."""
    refused = execution.record.rejection
    return execution if refused is None else Completed(name="Rejected", message=refused.reason, data=execution)
