"""What there is to choose from, what was run, what is stored."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fdpipe.cli.needs import NEEDY, Needs, needs_of
from fdpipe.cli.result import as_data
from fdpipe.cli.session import Session
from fdpipe.cli.tables import age, table
from fdpipe.config.catalog import GROUPS, Catalog, catalog
from fdpipe.errors import ConfigError, Exit, among
from fdpipe.home import home
from fdpipe.releases import Releases
from fdpipe.roster import read
from fdpipe.runs import Runs, RunState
from fdpipe.store import LocalStore
from fdpipe.store.prune import prune as prune_store

ROSTER = "registry"


def choices(session: Session, room: str | None, config_dirs: tuple[Path, ...]) -> int:
    """Every group with its names or, of one, each name with what it is; of those that need libraries, also which."""
    found = catalog(Path.cwd(), config_dirs)
    if room is not None and room not in (ROSTER, *GROUPS):
        raise ConfigError(f"there is no room {room!r}: {among(room, (ROSTER, *GROUPS))}")
    listed = {group: _about(found, group) for group in ([room] if room else [ROSTER, *GROUPS])}
    if session.as_json:
        session.give({group: _with_needs(found, group, names) for group, names in listed.items()})
    elif room is None:
        rows = [(group, ", ".join(names)) for group, names in listed.items() if names]
        session.console().print(table(("", "choices"), rows))
    elif room in NEEDY:
        needy = [(name, about, _needs(found, room, name).words) for name, about in listed[room].items()]
        session.console().print(table((room, "what it is", "what it needs"), needy))
    else:
        session.console().print(table((room, "what it is"), list(listed[room].items())))
    return Exit.DONE


def _needs(found: Catalog, group: str, name: str) -> Needs:
    return needs_of(group, found.choices(group)[name].path)


def _with_needs(found: Catalog, group: str, names: dict[str, str]) -> dict[str, Any]:
    """For machines, the packages too."""
    if group not in NEEDY:
        return dict(names)
    return {name: {"about": about, **asdict(_needs(found, group, name))} for name, about in names.items()}


def _about(found: Catalog, group: str) -> dict[str, str]:
    if group == ROSTER:
        return {name: entry.description for name, entry in read(Path.cwd()).items()}
    return {name: choice.about for name, choice in found.choices(group).items()}


def runs(session: Session, number: int) -> int:
    """The newest first; a run whose process is gone without a result was killed."""
    states = [folder.state() for folder in Runs(home()).all()[:number]]
    if session.as_json:
        session.give(states)
        return Exit.DONE
    rows = [(state.id, state.model, state.target, state.trigger, age(state.started), _result(state)) for state in states]
    if rows:
        session.console().print(table(("run", "model", "target", "by", "started", "result"), rows))
    else:
        session.say("there is no run yet")
    return Exit.DONE


def _result(state: RunState) -> str:
    if state.exit_code is not None:
        return f"{state.exit_code}: {state.summary}"
    return "running" if Path(f"/proc/{state.pid}").exists() else "killed"


def report(session: Session, name: str | None) -> int:
    """The path of its HTML; for machines its JSON, with a request to the service and the known answers to it."""
    folder = Runs(home()).get(name)
    if not folder.report.exists():
        raise ConfigError(f"the run {folder.id} has no report: {_result(folder.state())}")
    if session.as_json:
        session.give(as_data(folder))
    else:
        session.say(str(folder.report))
    return Exit.DONE


def prune(session: Session, max_gib: float | None, older_than_days: float | None, dry_run: bool) -> int:
    """What goes, by stage."""
    store = LocalStore(home() / "store")
    removed = prune_store(
        store,
        tuple(Releases(home() / "releases.sqlite", store.root).protected_paths()),
        max_bytes=None if max_gib is None else int(max_gib * 2**30),
        older_than_s=None if older_than_days is None else older_than_days * 24 * 3600,
        dry_run=dry_run,
    )
    freed = sum(entry.size_bytes for entry in removed)
    if session.as_json:
        session.give({"removed": removed, "bytes": freed, "dry_run": dry_run})
    else:
        verb = "would remove" if dry_run else "removed"
        session.say(f"{verb} {len(removed)} of the stored results, {freed / 2**20:.1f} MiB")
    return Exit.DONE
