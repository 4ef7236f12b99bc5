"""What a run would do: the line walked over a store that only reads, up to the first result that is not there."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NoReturn, ParamSpec, TypeVar, cast

import msgspec

from fdpipe.artifacts import ModelRef, Provenance, Release, Trial
from fdpipe.errors import FdpipeError, MissingExtra
from fdpipe.home import settle_environment
from fdpipe.machine import describe_machine
from fdpipe.pipeline import run
from fdpipe.plan import Plan
from fdpipe.progress import name_of
from fdpipe.releases import Releases
from fdpipe.runs import Runs
from fdpipe.stages.deploy import deploy, publish
from fdpipe.stages.fetch import resolve
from fdpipe.store import VALUE, LocalStore
from fdpipe.trials import Attempt

P = ParamSpec("P")
T = TypeVar("T")

State = Literal["done", "stored", "would run", "depends"]

LINE = ("resolve", "fetch", "gather", "convert", "trial", "benchmark", "energy", "judge", "package", "prove", "deploy")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the line. `depends` means that its inputs are not known before the steps above it have run."""

    name: str
    state: State
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The plan with its model pinned, and its steps. `missing` says which libraries the run itself would stop for."""

    plan: Plan
    steps: tuple[Step, ...]
    missing: str | None = None


def forecast(plan: Plan) -> Forecast:
    """Walk the line without executing a stage; only the registry's own database is asked, for the model's version."""
    home = settle_environment()
    store = StoredOnly(LocalStore(home / "store"))
    walk = Walk(plan, Releases(home / "releases.sqlite", store.root), failures(home, plan))
    missing = None
    try:
        run(plan, store=store, releases=walk.releases, call=walk)
    except (Stop, NotStored):
        pass
    except MissingExtra as error:
        missing = str(error)
        walk(resolve, plan.source, plan.model)
    return Forecast(plan=walk.plan, steps=(*walk.steps, *walk.later()), missing=missing)


def failures(home: Path, plan: Plan) -> dict[str, Trial]:
    """The trials that failed in the last run for this model and target, by their candidates' names: a failure is not stored,
    and the next run comes to it again."""
    for folder in Runs(home).all():
        with suppress(FdpipeError, OSError, ValueError):
            record = folder.record()
            if record is not None and (record.model.name, record.target) == (plan.model_name, plan.target.name):
                return {one.candidate.name: one for one in record.trials if one.artifact is None}
    return {}


class NotStored(FdpipeError):
    """A stage would have to compute."""


class Stop(Exception):
    """Nothing more can be known."""


class Walk:
    """How the line's steps are called: what is stored is read, the rest is noted."""

    def __init__(self, plan: Plan, releases: Releases, failed: Mapping[str, Trial]) -> None:
        self.plan = plan
        self.releases = releases
        self.failed = failed
        self.steps: list[Step] = []
        self.untried = False

    def __call__(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        name = name_of(step)
        if step is deploy or step is publish:
            self._note(name, "would run", self._deployment(args) if step is deploy else "")
            raise Stop
        if self.untried and not isinstance(step, Attempt):
            raise Stop
        if isinstance(step, Attempt):
            step = cast(Callable[P, T], replace(step, silent=True))
        try:
            result = step(*args, **kwargs)
        except NotStored as error:
            if isinstance(step, Attempt) and (before := self.failed.get(step.candidate.name)):
                self._note(name, "would run", f"the last time: {before.reason}")
                return cast(T, replace(before, why=step.why))
            self._note(name, "would run", str(error).removeprefix(f"{name}: "))
            if isinstance(step, Attempt) and args[-1] is not None:
                self.untried = True
                return cast(T, Trial(candidate=step.candidate, reason="not tried yet"))
            raise Stop from error
        if isinstance(result, ModelRef):
            self.plan = self.plan.pin(result)
            self._note(name, "done", f"{result.name} version {result.version}, sha256 {result.digest[:12]}")
        else:
            self._note(name, "stored", (isinstance(result, Trial) and result.reason) or "")
        return result

    def later(self) -> list[Step]:
        """The steps after the last one that is known."""
        last = self.steps[-1].name.partition(" ")[0] if self.steps else "resolve"
        names = LINE[LINE.index(last) + 1 :] if last in LINE else ()
        return [Step(name="trials" if name == "trial" else name, state="depends") for name in names]

    def _note(self, name: str, state: State, reason: str) -> None:
        self.steps.append(Step(name=name, state=state, reason=reason))

    def _deployment(self, args: tuple[object, ...]) -> str:
        wanted = next(item for item in args if isinstance(item, Release))
        live = self.releases.live(self.plan.service_name)
        if live is None:
            return f"{wanted.service} is not deployed"
        return "this release is deployed" if live.digest == wanted.digest else f"in place of {live.digest[:12]}"


class StoredOnly:
    """A store that finds and never makes."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store
        self.root = store.root

    def find(self, stage: str, key: str) -> Path | None:
        """The entry, where the store has it."""
        return self.store.find(stage, key)

    def scratch(self, stage: str) -> Path:
        """Refused."""
        self._refuse(stage)

    def publish(self, stage: str, key: str, folder: Path, seconds: float) -> Path:
        """Refused."""
        self._refuse(stage)

    def locked(self, stage: str, key: str, waiting: Callable[[], None]) -> AbstractContextManager[None]:
        """Refused: what is not stored is not computed."""
        self._refuse(stage)

    def discard(self, stage: str, key: str) -> None:
        """Refused."""
        self._refuse(stage)

    def _refuse(self, stage: str) -> NoReturn:
        raise NotStored(f"{stage}: {why_not(self.store, stage)}")


def why_not(store: LocalStore, stage: str) -> str:
    """Why the store has no result for what is asked now, from the last used one that it has for the stage."""
    entries = [entry for entry in store.entries() if entry.stage == stage]
    if not entries:
        return "nothing stored yet"
    made = _provenance(store.folder(stage, entries[-1].key))
    if made is None:
        return "stored for other inputs only"
    if changed := [f"{name} {was} → {now}" for name, was in made.versions.items() if (now := _version(name)) != was]:
        return f"stored for other versions only ({', '.join(changed)})"
    if made.machine not in (None, describe_machine().fingerprint):
        return "stored for another machine only"
    return "stored for other inputs, settings or code only"


def _provenance(folder: Path) -> Provenance | None:
    with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
        value = msgspec.json.decode((folder / VALUE).read_bytes())
        return msgspec.convert(value.get("provenance"), Provenance | None)
    return None


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"
