"""The repro bundle: what is needed to see a failed conversion again, elsewhere and without fdpipe."""

import json
import logging
import platform
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from fdpipe.arrays import Batch, save_arrays
from fdpipe.artifacts import Artifact, SourceModel
from fdpipe.errors import ConversionError
from fdpipe.home import home
from fdpipe.interfaces import Runtime
from fdpipe.plan import Tolerance
from fdpipe.repro import smallest
from fdpipe.repro.smallest import Smallest

log = logging.getLogger(__name__)

RUN = Path(__file__).with_name("run.py")
"""The program that is part of each bundle."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Why an export is not taken: in one sentence, on which case's rows, and of the worst of them what both got and what
    both answered."""

    told: str
    case: str
    records: Batch = field(default_factory=dict)
    tensors: Batch = field(default_factory=dict)
    original: Batch = field(default_factory=dict)
    exported: Batch = field(default_factory=dict)


@dataclass(kw_only=True)
class Evidence:
    """What is known of a conversion so far; it grows. `records` are some rows of the data, `command` repeats the conversion,
    `versions` are those where the original is; `artifact` is the export, once there is one, and `difference` why it is not
    taken."""

    model: SourceModel
    runtime: Runtime
    tolerance: Tolerance
    command: str
    records: Batch
    versions: Mapping[str, str] = field(default_factory=dict)
    artifact: Artifact | None = None
    difference: Difference | None = None


@contextmanager
def kept(evidence: Evidence) -> Iterator[None]:
    """Write the bundle where a `ConversionError` comes, and say in the error where it lies."""
    try:
        yield
    except ConversionError as error:
        place = write(evidence, str(error))
        if place is None:
            raise
        raise type(error)(f"{error}; to see it again: {place}") from error


def write(evidence: Evidence, told: str) -> Path | None:
    """The bundle's folder, which takes the place of an earlier one. None where it cannot be written: that is in the log,
    and is no error of the run."""
    ref = evidence.model.ref
    name = re.sub(r"[^\w.-]", "_", f"{ref.name}-{ref.version}-{ref.digest[:8]}")
    place = home() / "repro" / name
    made = place.with_name(f".{name}.{uuid.uuid4().hex}")
    try:
        made.mkdir(parents=True)
        _fill(made, evidence, told)
        _replace(place, made)
    except Exception:
        log.warning("the repro bundle of %s cannot be written", ref.name, exc_info=True)
        return None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return place


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The installed versions of these distributions; one that is not installed is left out."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _fill(folder: Path, evidence: Evidence, told: str) -> None:
    difference = evidence.difference or Difference(told=told, case="evaluation", records=evidence.records)
    artifact = evidence.artifact if evidence.artifact and evidence.artifact.kind != "mlflow" else None
    found = Smallest(told="there is no export")
    if artifact is not None:
        found = smallest.find(evidence.runtime, artifact, difference.tensors, evidence.tolerance, folder / "tried")
        shutil.copytree(artifact.folder, folder, dirs_exist_ok=True)
    inputs = {f"records/{name}": array for name, array in difference.records.items()}
    save_arrays(folder / "inputs.npz", inputs | {f"tensors/{name}": array for name, array in difference.tensors.items()})
    save_arrays(folder / "original.npz", difference.original)
    save_arrays(folder / "exported.npz", difference.exported)
    if found.model is not None:
        (folder / "smallest.onnx").write_bytes(found.model)
        expected = {f"expected/{name}": array for name, array in found.expected.items()}
        save_arrays(folder / "smallest.npz", {f"inputs/{name}": array for name, array in found.inputs.items()} | expected)
    shutil.copyfile(RUN, folder / "run.py")
    (folder / "versions.json").write_text(json.dumps(_versions(evidence), indent=1))
    (folder / "what.txt").write_text(_what(evidence, told, difference.case, artifact, found))


def _what(evidence: Evidence, told: str, case: str, artifact: Artifact | None, found: Smallest) -> str:
    lines = {
        "What failed": told,
        "The command": evidence.command,
        "The rows": f"case {case!r}, the worst first: inputs.npz, with the answers in original.npz and exported.npz",
        "The export": f"{artifact.path.name}; python run.py runs it on them" if artifact else "none",
        "The smallest part that fails": found.told,
    }
    return "".join(f"{name}\n  {text}\n\n" for name, text in lines.items())


def _versions(evidence: Evidence) -> dict[str, object]:
    here = {found.name: found.version for found in distributions()}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "beside the original": dict(evidence.versions),
        "packages": dict(sorted(here.items(), key=lambda item: item[0].lower())),
    }


def _replace(place: Path, made: Path) -> None:
    """A folder cannot be renamed onto a full one: an earlier bundle steps aside first."""
    aside = made.with_name(f"{made.name}.old")
    if place.exists():
        place.rename(aside)
    made.rename(place)
    shutil.rmtree(aside, ignore_errors=True)
