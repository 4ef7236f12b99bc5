"""`run`, `plan` and `train`: overrides → plan → line → exit code."""

from collections.abc import Sequence
from pathlib import Path

from fdpipe import config
from fdpipe.cli import result
from fdpipe.cli.console import notes_shown, steps_shown
from fdpipe.cli.session import Session
from fdpipe.cli.tables import table
from fdpipe.errors import ConfigError, Exit, SourceError
from fdpipe.execution import Execution, execute, execute_all, gravest
from fdpipe.plan import Orchestrator, Plan


def run(session: Session, overrides: Sequence[str], config_dirs: Sequence[Path], plan_file: Path | None, trigger: str) -> int:
    """Run one plan and show its result."""
    with notes_shown(session.console()):
        plan = _read(plan_file, overrides) if plan_file else config.load(overrides, config_dirs=config_dirs)
    with steps_shown(session.console()):
        execution = _execute(plan, trigger)
    if session.as_json:
        session.give(result.as_data(execution.folder))
    else:
        result.show(session, execution)
    return execution.exit_code


def show_config(session: Session, overrides: Sequence[str], config_dirs: Sequence[Path]) -> int:
    """What the overrides make, before anything is built from it."""
    session.say(config.show(overrides, config_dirs=config_dirs).rstrip())
    return Exit.DONE


def _read(path: Path, overrides: Sequence[str]) -> Plan:
    if overrides:
        raise ConfigError(f"--plan repeats a plan as it is: {overrides[0]} cannot change it")
    try:
        return Plan.from_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"--plan {path}: {error.strerror}") from error


def _execute(plan: Plan, trigger: str) -> Execution:
    if plan.orchestrator is Orchestrator.NONE:
        return execute(plan, trigger=trigger)
    from fdpipe.orchestrate import run_release

    return run_release(plan, trigger=trigger)


def sweep(session: Session, overrides: Sequence[str], config_dirs: Sequence[Path], trigger: str) -> int:
    """Run every combination, show one table that compares them, and exit with the gravest of their codes."""
    jobs = config.expand(overrides)
    plans = [_composed(job, config_dirs) for job in jobs]
    with steps_shown(session.console()):
        results = _executed(plans, trigger)
    found = [result.SweepJob(overrides=name, came_of=one) for name, one in zip(_differences(jobs), results, strict=True)]
    code = gravest(results)
    if session.as_json:
        session.give({"exit_code": int(code), "jobs": [job.as_data() for job in found]})
    else:
        session.console().print(result.comparison(found))
    return code


def _differences(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Each job by those of its overrides that are not every job's."""
    shared = set.intersection(*map(set, jobs))
    return [" ".join(text for text in job if text not in shared) or " ".join(job) for job in jobs]


def _composed(job: Sequence[str], config_dirs: Sequence[Path]) -> Plan | ConfigError:
    try:
        return config.load(job, config_dirs=config_dirs)
    except ConfigError as error:
        return error


def _executed(plans: Sequence[Plan | ConfigError], trigger: str) -> list[Execution | Exception]:
    """What came of each; one that could not be composed is its own result."""
    good = [plan for plan in plans if isinstance(plan, Plan)]
    if all(plan.orchestrator is Orchestrator.NONE for plan in good):
        done = execute_all(good, lambda plan: execute(plan, trigger=trigger))
    else:
        from fdpipe.orchestrate import run_matrix

        done = run_matrix(good, trigger=trigger)
    rest = iter(done)
    return [next(rest) if isinstance(plan, Plan) else plan for plan in plans]


def forecast(session: Session, overrides: Sequence[str], config_dirs: Sequence[Path]) -> int:
    """What would run, or the plan with its model pinned."""
    from fdpipe.forecast import forecast as look

    with notes_shown(session.console()):
        found = look(config.load(overrides, config_dirs=config_dirs))
    if session.as_json:
        session.say(found.plan.to_json())
        return Exit.DONE
    rows = [(step.name, step.state, step.reason) for step in found.steps]
    session.say(f"plan {found.plan.digest[:12]}: {found.plan.model} for {found.plan.target.name}, as {found.plan.service_name}")
    session.console().print(table(("step", "state", ""), rows))
    if found.missing:
        session.remark(f"the run itself would stop here: {found.missing}")
    return Exit.DONE


def train(session: Session, name: str, if_missing: bool) -> int:
    """Train and register a model of the roster, or leave the version that has its alias."""
    from fdpipe import roster
    from fdpipe.training import train as train_model

    project = Path.cwd()
    roster.train_file(project, name)
    entry = roster.read(project)[name]
    version = _registered(entry.model) if if_missing else None
    if version is None:
        with steps_shown(session.console()):
            version = train_model(name, project, entry.alias).version
    elif not session.as_json:
        session.say(f"{entry.model} is registered: version {version}")
    if session.as_json:
        session.give({"name": name, "version": version, "alias": entry.alias})
    return Exit.DONE


def _registered(reference: str) -> str | None:
    from fdpipe.source.mlflow import Mlflow

    try:
        return Mlflow().resolve(reference).version
    except SourceError:
        return None
