"""What can be typed. Each command imports what it needs when it is called, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from fdpipe import __version__
from fdpipe.cli.session import Session
from fdpipe.errors import ConfigError, Exit

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
ABOVE_NOTHING = click.FloatRange(min=0, min_open=True)
OVERRIDES = {"ignore_unknown_options": True}

in_session = click.make_pass_decorator(Session, ensure=True)


def _as_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.ensure_object(Session).as_json = value


json_option = click.option(
    "--json", is_flag=True, expose_value=False, callback=_as_json, help="One JSON object on standard output."
)
conf_option = click.option(
    "--config-dir",
    "config_dirs",
    multiple=True,
    type=FOLDER,
    help="A conf/ folder in front of the packaged one; may be repeated.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="fdpipe %(version)s")
def cli() -> None:
    """From a registered model to a running, monitored service: optimized, measured and gated on the hardware it will
    serve on."""


# --- the line ---------------------------------------------------------------------------------------------------------


@cli.command(context_settings=OVERRIDES)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
@click.option("--plan", "plan_file", type=FILE, help="Run the plan that `fdpipe plan --json` printed.")
@click.option("--cfg", type=click.Choice(["job"]), help="Show what the overrides make, and run nothing.")
@conf_option
@click.option("-m", "--multirun", is_flag=True, help="One run for each combination of comma-separated overrides.")
@click.option("--trigger", default="cli", hidden=True)
@json_option
@in_session
def run(
    session: Session,
    overrides: tuple[str, ...],
    plan_file: Path | None,
    cfg: str | None,
    config_dirs: tuple[Path, ...],
    multirun: bool,
    trigger: str,
) -> int:
    """Run the line for a model.

    fdpipe run model=digits@candidate +target=cpu gate.max_drop=0.005
    """
    session.begin()
    from fdpipe.cli import running

    if plan_file and (cfg or multirun):
        raise ConfigError("--plan repeats one plan as it is: leave --multirun and --cfg out")
    if cfg:
        return running.show_config(session, overrides, config_dirs)
    if multirun:
        return running.sweep(session, overrides, config_dirs, trigger)
    return running.run(session, overrides, config_dirs, plan_file, trigger)


@cli.command(context_settings=OVERRIDES)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
@conf_option
@json_option
@in_session
def plan(session: Session, overrides: tuple[str, ...], config_dirs: tuple[Path, ...]) -> int:
    """Show what would run.

    And what is stored, and why not; nothing is executed. With --json: the plan, for `fdpipe run --plan`.
    """
    session.begin()
    from fdpipe.cli import running

    return running.forecast(session, overrides, config_dirs)


@cli.command()
@click.argument("name")
@click.option("--if-missing", is_flag=True, help="Do nothing where a version with its alias is registered already.")
@json_option
@in_session
def train(session: Session, name: str, if_missing: bool) -> int:
    """Train and register a model.

    Runs registry/NAME/train.py, registers what it logged, and sets the alias that the roster names.
    """
    session.begin()
    from fdpipe.cli import running

    return running.train(session, name, if_missing)


@cli.command(context_settings=OVERRIDES)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
@conf_option
@json_option
@in_session
def compare(session: Session, overrides: tuple[str, ...], config_dirs: tuple[Path, ...]) -> int:
    """Compare targets and runtimes for a model.

    fdpipe compare model=digits@candidate +target=cpu,gpu aim=cost

    The line up to the verdict for each target, of which nothing is deployed; then one table, and what it recommends for the
    aim: latency (the default), throughput, cost, energy or size.
    """
    session.begin()
    from fdpipe.cli import comparing

    return comparing.compare(session, overrides, config_dirs)


@cli.command(context_settings=OVERRIDES)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@json_option
@in_session
def trend(session: Session, words: tuple[str, ...]) -> int:
    """Show a model's benchmarks over time.

    fdpipe trend model=digits +target=cpu

    What each run chose, by machine. Exits with 10 where the newest is slower, beside its own baseline, than the last release on
    the same machine: the intervals do not meet and the difference is above 5 %, or above=SHARE.
    """
    session.begin()
    from fdpipe.cli import trending

    return trending.trend(session, words)


# --- services ---------------------------------------------------------------------------------------------------------


@cli.command()
@json_option
@in_session
def status(session: Session) -> int:
    """Show the services."""
    session.begin()
    from fdpipe.cli import services

    return services.status(session)


@cli.command()
@click.argument("service")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=50, show_default=True, help="How many of the last lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@in_session
def logs(session: Session, service: str, lines: int, follow: bool) -> int:
    """Show what a service writes."""
    session.begin()
    from fdpipe.cli import services

    return services.logs(session, service, lines, follow)


@cli.command()
@click.argument("service", required=False)
@json_option
@in_session
def start(session: Session, service: str | None) -> int:
    """Start a service again, or all."""
    session.begin()
    from fdpipe.cli import services

    return services.start(session, service)


@cli.command()
@click.argument("service", required=False)
@json_option
@in_session
def stop(session: Session, service: str | None) -> int:
    """Stop a service, or all.

    What is deployed stays known: `fdpipe start` brings it back.
    """
    session.begin()
    from fdpipe.cli import services

    return services.stop(session, service)


# --- a service under load ---------------------------------------------------------------------------------------------


def _typed() -> frozenset[str]:
    """The options of this command that were typed, and not left at their defaults, by their parameters' names."""
    context = click.get_current_context()
    return frozenset(
        name for name in context.params if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    )


def _destined(command: Callable[..., int]) -> Callable[..., int]:
    """What `load` and `slo` have in common: where the requests go and what they are."""
    for option in (
        click.option(
            "--timeout",
            "timeout_s",
            type=click.FloatRange(min=0.01),
            default=10.0,
            show_default=True,
            help="Seconds to an answer.",
        ),
        click.option("--rows", type=click.IntRange(min=1), default=1, show_default=True, help="Rows in each request."),
        click.option(
            "--form", type=click.Choice(["json", "binary"]), default="json", show_default=True, help="Of the tensors."
        ),
        click.option("--requests", type=FILE, help="Golden rows (.npz), or bodies, one a line; default: the service's own."),
        click.argument("target", metavar="SERVICE|URL"),
    ):
        command = option(command)
    return command


@cli.command()
@_destined
@click.option("-c", "--concurrency", type=click.IntRange(min=1), help="Closed loop: callers who wait for their answers.")
@click.option("-r", "--rate", type=ABOVE_NOTHING, help="Open loop: requests a second, Poisson.")
@click.option("--replay", type=FILE, help='Recorded requests, one a line: {"time": SECONDS, "body": …}.')
@click.option("--speed", type=ABOVE_NOTHING, default=1.0, show_default=True, help="Replay so many times as fast.")
@click.option("--seconds", type=ABOVE_NOTHING, default=5.0, show_default=True, help="For how long.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws arrivals and the order of the rows."
)
@click.option("--p99-ms", type=ABOVE_NOTHING, help="Exit with 10 where the p99 is above this.")
@json_option
@in_session
def load(
    session: Session,
    target: str,
    requests: Path | None,
    form: str,
    rows: int,
    timeout_s: float,
    concurrency: int | None,
    rate: float | None,
    replay: Path | None,
    speed: float,
    seconds: float,
    seed: int,
    p99_ms: float | None,
) -> int:
    """Put a running service under load.

    fdpipe load digits-cpu --rate 200

    With real rows of the release's evaluation data. Latency is counted from when a request should have been sent, so that
    waiting is not hidden.
    """
    session.begin()
    from fdpipe.cli import loading

    to = loading.Destination(target=target, requests=requests, form=form, rows=rows, timeout_s=timeout_s)
    offered = loading.Offered(concurrency=concurrency, rate=rate, replay=replay, speed=speed, seconds=seconds, seed=seed)
    return loading.load(session, to, offered, p99_ms, _typed())


@cli.command()
@_destined
@click.option("--p99-ms", type=ABOVE_NOTHING, required=True, help="What 99 of 100 requests must keep.")
@click.option("--at-least", type=ABOVE_NOTHING, help="Exit with 10 where the rate found is lower.")
@click.option("--budget", "budget_s", type=click.FloatRange(min=1), default=90.0, show_default=True, help="Seconds in all.")
@click.option("--precision", type=click.FloatRange(min=0.01, max=1), default=0.1, show_default=True, help="How close.")
@json_option
@in_session
def slo(
    session: Session,
    target: str,
    requests: Path | None,
    form: str,
    rows: int,
    timeout_s: float,
    p99_ms: float,
    at_least: float | None,
    budget_s: float,
    precision: float,
) -> int:
    """Find the highest rate that a service holds.

    fdpipe slo digits-cpu --p99-ms 20

    The rate at which 99 of 100 requests are answered in time, in an open loop, with the rates that failed.
    """
    session.begin()
    from fdpipe.cli import loading
    from fdpipe.load.objective import Objective

    to = loading.Destination(target=target, requests=requests, form=form, rows=rows, timeout_s=timeout_s)
    objective = Objective(p99_ms=p99_ms, budget_s=budget_s, precision=precision)
    return loading.slo(session, to, objective, at_least, _typed())


@cli.command()
@click.argument("url", metavar="URL")
@click.option("--grpc", default="", metavar="HOST:PORT", help="Where gRPC is; default: looked for on the next two ports.")
@click.option("--model", default="", metavar="NAME", help="Which model; default: the only one that the service names.")
@click.option("--golden", type=FILE, help="A release's golden.npz: its rows, with answers known to be right.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="With every request; may be repeated.")
@click.option("--max-body-mib", type=ABOVE_NOTHING, help="The service's own limit of a body, to see that it holds.")
@click.option("--seconds", type=click.FloatRange(min=0), default=2.0, show_default=True, help="Of load; 0 for none.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0.01), default=10.0, show_default=True, help="For an answer.")
@json_option
@in_session
def conformance(
    session: Session,
    url: str,
    grpc: str,
    model: str,
    golden: Path | None,
    headers: tuple[str, ...],
    max_body_mib: float | None,
    seconds: float,
    timeout_s: float,
) -> int:
    """Check a running service, ours or another's.

    fdpipe conformance http://127.0.0.1:3000

    Whether it keeps to the Open Inference Protocol and answers each row the same, whatever is asked beside it; whether it
    refuses what is wrong. Exits with 0 where something was shown and nothing violated, else with 10; with 4 where nobody
    answers.
    """
    session.begin()
    from fdpipe.cli import conforming

    wanted = conforming.place(url, headers, grpc=grpc, model=model, golden=golden, mib=max_body_mib, timeout_s=timeout_s)
    return conforming.conformance(session, wanted, seconds)


# --- what there is, and what there was --------------------------------------------------------------------------------


@cli.command("list")
@click.argument("room", required=False)
@conf_option
@json_option
@in_session
def list_(session: Session, room: str | None, config_dirs: tuple[Path, ...]) -> int:
    """List what there is to choose from.

    Models, targets and workers; of one ROOM, each choice with what it is.
    """
    from fdpipe.cli import lists

    return lists.choices(session, room, config_dirs)


@cli.command()
@click.option("-n", "--number", type=click.IntRange(min=1), default=20, show_default=True, help="How many of the last runs.")
@json_option
@in_session
def runs(session: Session, number: int) -> int:
    """List the runs."""
    from fdpipe.cli import lists

    return lists.runs(session, number)


@cli.command()
@click.argument("run", required=False)
@json_option
@in_session
def report(session: Session, run: str | None) -> int:
    """Show where a run's report is.

    Without RUN, the newest one's. With --json: the report itself, with a request to the service and its known answers.
    """
    from fdpipe.cli import lists

    return lists.report(session, run)


@cli.command()
@click.option("--max-gib", type=click.FloatRange(min=0), help="Remove the longest unused results above this size of the store.")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Remove what was not used for so many days.")
@click.option("--dry-run", is_flag=True, help="Remove nothing, show what would go.")
@json_option
@in_session
def prune(session: Session, max_gib: float | None, older_than: float | None, dry_run: bool) -> int:
    """Bound the store.

    Never removed: what is live, the release before it, and what a run under way uses.
    """
    if max_gib is None and older_than is None:
        raise ConfigError("say what to remove: --max-gib N, --older-than DAYS, or both")
    session.begin()
    from fdpipe.cli import lists

    return lists.prune(session, max_gib, older_than, dry_run)


# --- the installation -------------------------------------------------------------------------------------------------


@cli.command()
@json_option
@in_session
def doctor(session: Session) -> int:
    """Look at the installation.

    What is installed, what each missing extra would give, places, disk, servers and ports.
    """
    from fdpipe.cli.doctor import examine

    findings = examine()
    if session.as_json:
        session.give(findings)
    else:
        marks = {"ok": "✓", "note": "·", "missing": "✗"}
        width = max(len(item.subject) for item in findings)
        for item in findings:
            session.say(f"{marks[item.level]} {item.subject:<{width}}  {item.text}")
    return Exit.MISSING_EXTRA if any(item.level == "missing" for item in findings) else Exit.DONE


@cli.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@json_option
@in_session
def init(session: Session, folder: Path) -> int:
    """Write a project of your own.

    Into DIR, ready to install: configuration, a worker with its test, a model, flows.
    """
    from fdpipe.scaffold import create

    files = [path.relative_to(folder).as_posix() for path in create(folder)]
    if session.as_json:
        session.give({"folder": str(folder), "files": files})
        return Exit.DONE
    session.say("\n".join(f"  {name}" for name in files))
    session.say(f"next: cd {folder} && pip install -e . && make run")
    return Exit.DONE


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@in_session
def completion(session: Session, shell: str) -> int:
    """Print a shell's completion.

    eval "$(fdpipe completion bash)"
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise ConfigError(f"there is no completion for {shell}")
    session.say(found(cli, {}, "fdpipe", "_FDPIPE_COMPLETE").source())
    return Exit.DONE
