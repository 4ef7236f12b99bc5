"""Which flow, for which models and targets of the roster, when, and on which work pool."""

from collections.abc import Iterable
from pathlib import Path

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from fdpipe import roster
from fdpipe.orchestrate.flows import matrix, release, train_and_release
from fdpipe.roster import Entry

ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
"""Runs that were late while nothing served all start together on return: one of them is enough."""


def deployments(project: Path) -> list[RunnerDeployment]:
    """Every deployment of a project, by its roster."""
    entries = list(roster.read(project).values())
    releases = [release_of(entry, target) for entry in entries for target in entry.targets]
    return [*releases, *(training_of(entry) for entry in entries), matrix_of(entries)]


def release_of(entry: Entry, target: str) -> RunnerDeployment:
    """`release/<model>-<target>`, on the model's schedule."""
    return RunnerDeployment.from_flow(
        release,
        name=f"{entry.name}-{target}",
        description=entry.description,
        parameters={"overrides": overrides_for(entry, target), "trigger": "schedule"},
        cron=entry.schedule,
        concurrency_limit=ONE_AT_A_TIME,
        entrypoint_type=EntrypointType.MODULE_PATH,
        tags=["fdpipe", target],
    )


def training_of(entry: Entry) -> RunnerDeployment:
    """`train_and_release/<model>`, when somebody asks for it."""
    return RunnerDeployment.from_flow(
        train_and_release,
        name=entry.name,
        description=f"train {entry.name}, then release it",
        parameters={"name": entry.name, "overrides": [f"+target={entry.targets[0]}"]},
        concurrency_limit=ONE_AT_A_TIME,
        entrypoint_type=EntrypointType.MODULE_PATH,
        tags=["fdpipe", entry.targets[0]],
    )


def matrix_of(entries: Iterable[Entry]) -> RunnerDeployment:
    """`matrix/roster`: every model on each of its targets, when somebody asks for it."""
    jobs = [{"overrides": overrides_for(entry, target)} for entry in entries for target in entry.targets]
    return RunnerDeployment.from_flow(
        matrix,
        name="roster",
        description="release every model of the roster on each of its targets",
        parameters={"jobs": jobs},
        concurrency_limit=ONE_AT_A_TIME,
        entrypoint_type=EntrypointType.MODULE_PATH,
        tags=["fdpipe"],
    )


def overrides_for(entry: Entry, target: str) -> list[str]:
    """What `fdpipe run` would be told; the roster's own overrides come before them."""
    return [f"model={entry.model}", f"+target={target}"]


def work_pool_of(deployment: RunnerDeployment) -> str:
    """The pool whose workers have the target's hardware; what is for several targets runs where there is a CPU."""
    return f"fdpipe-{next((tag for tag in deployment.tags if tag != 'fdpipe'), 'cpu')}"
