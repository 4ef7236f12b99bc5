"""The history of runs: a folder each, with the plan, the events, the record and the report."""

import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fdpipe.artifacts import Record
from fdpipe.content import from_json, to_json
from fdpipe.errors import ConfigError
from fdpipe.plan import Plan
from fdpipe.progress import Event


@dataclass(frozen=True, kw_only=True)
class RunState:
    """`state.json`: what `fdpipe runs` lists. Times are seconds since the epoch; `exit_code` is None while it runs."""

    id: str
    model: str
    target: str
    trigger: str
    pid: int
    started: float
    ended: float | None = None
    exit_code: int | None = None
    summary: str = ""


@dataclass(frozen=True)
class RunFolder:
    """One run's files."""

    path: Path
    store_root: Path

    @property
    def id(self) -> str:
        """The run's name, which sorts by time."""
        return self.path.name

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def report_data(self) -> Path:
        """The same for machines."""
        return self.path / "report.json"

    @property
    def junit(self) -> Path:
        """The verdict for CI systems."""
        return self.path / "verdict.junit.xml"

    @property
    def evidence(self) -> tuple[Path, ...]:
        """What a registry keeps of it: the report in all its forms, as far as they were written."""
        return tuple(path for path in (self.report, self.report_data, self.junit) if path.is_file())

    def state(self) -> RunState:
        """How it stands."""
        return msgspec.json.decode((self.path / "state.json").read_bytes(), type=RunState)

    def save_state(self, state: RunState) -> None:
        """Replace the state, atomically."""
        _replace(self.path / "state.json", msgspec.json.encode(state))

    def plan(self) -> Plan:
        """What was asked."""
        return Plan.from_json((self.path / "plan.json").read_bytes())

    def append(self, event: Event) -> None:
        """Add one event."""
        with (self.path / "events.jsonl").open("ab") as stream:
            stream.write(msgspec.json.encode(event) + b"\n")

    def events(self) -> list[Event]:
        """What happened, in order; a line that a kill has cut off is left out."""
        path = self.path / "events.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [msgspec.json.decode(line, type=Event) for line in lines]

    def save_record(self, record: Record) -> None:
        """Keep the result."""
        _replace(self.path / "record.json", to_json(record, self.store_root))

    def record(self) -> Record | None:
        """The result, if the run came to one."""
        path = self.path / "record.json"
        return from_json(path.read_bytes(), Record, self.store_root) if path.exists() else None


class Runs:
    """Every run below one state folder."""

    def __init__(self, home: Path) -> None:
        self.root = home / "runs"
        self.store_root = (home / "store").absolute()

    def start(self, plan: Plan, trigger: str, pid: int) -> RunFolder:
        """A new folder with the plan in it."""
        now = time.time()
        moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))  # UTC, which never goes back
        name = f"{moment}-{int(now % 1 * 1e6):06}{uuid.uuid4().hex[:2]}"
        folder = RunFolder(self.root / name, self.store_root)
        folder.path.mkdir(parents=True)
        (folder.path / "plan.json").write_text(plan.to_json())
        folder.save_state(RunState(id=name, model=plan.model, target=plan.target.name, trigger=trigger, pid=pid, started=now))
        return folder

    def all(self) -> list[RunFolder]:
        """The newest first."""
        folders = sorted(self.root.glob("*/state.json"), reverse=True) if self.root.exists() else []
        return [RunFolder(file.parent, self.store_root) for file in folders]

    def get(self, name: str | None) -> RunFolder:
        """The run of that name (or the start of it), the newest without one; `ConfigError` where there is none."""
        found = [folder for folder in self.all() if name is None or folder.id.startswith(name)]
        if not found:
            raise ConfigError(f"there is no run {name!r}: `fdpipe runs` lists them" if name else "there is no run yet")
        return found[0]


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(data)
    temporary.rename(path)
