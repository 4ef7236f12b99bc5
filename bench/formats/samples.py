"""A sample: a model as its library's users register it, and rows to ask it with. Needs no more than numpy and MLflow, since
each family's samples are made in its own environment."""

import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]

Make = Callable[[Path], Arrays]
"""Saves the model in the folder, which is not there yet; the rows by name."""

ROWS = "rows.npz"

ABOUT = "sample.json"

MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One row of the table. `serialization` is how it is registered, `packages` those whose versions count; `trusted` says
    that its user lets it run its code, `runtime` what it is for, `settings` what its converter must be told."""

    format: str
    serialization: str
    packages: tuple[str, ...]
    make: Make
    trusted: bool = False
    runtime: str = "onnxruntime"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The function that makes it."""
        return self.make.__name__


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the main environment has to know of a sample; `failure` is why there is no model."""

    name: str
    format: str
    serialization: str
    versions: Mapping[str, str]
    trusted: bool
    runtime: str
    settings: Mapping[str, Any]
    failure: str = ""


class Samples:
    """The samples of a family, in order."""

    def __init__(self) -> None:
        self.all: list[Sample] = []

    def add(self, format_: str, serialization: str, *packages: str, **settings: Any) -> Callable[[Make], Make]:  # noqa: ANN401
        """Decorate the function that makes one."""

        def added(make: Make) -> Make:
            self.all.append(Sample(format=format_, serialization=serialization, packages=packages, make=make, **settings))
            return make

        return added

    def main(self, words: Sequence[str]) -> int:
        """Make all, or those named, below the folder that is the first word."""
        folder, wanted = Path(words[0]), words[1:]
        for sample in self.all:
            if not wanted or sample.name in wanted:
                made = _make(sample, folder / sample.name)
                print(f"{made.name}: {made.failure or 'made'}", file=sys.stderr, flush=True)
        return 0


def _make(sample: Sample, folder: Path) -> Made:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started, failure = time.perf_counter(), ""
    try:
        rows = sample.make(folder / MODEL)
        np.savez(folder / ROWS, allow_pickle=False, **{name: _plain(array) for name, array in rows.items()})
    except Exception as error:
        traceback.print_exc()
        failure = f"could not be made: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    print(f"{sample.name}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
    made = Made(
        name=sample.name,
        format=sample.format,
        serialization=sample.serialization,
        versions=versions(sample.packages),
        trusted=sample.trusted,
        runtime=sample.runtime,
        settings=sample.settings,
        failure=failure,
    )
    (folder / ABOUT).write_text(json.dumps(asdict(made), indent=1))
    return made


def _plain(array: np.ndarray) -> np.ndarray:
    return array.astype(str) if array.dtype.kind in "OS" else array


def read(folder: Path) -> Made:
    """What was made there."""
    return Made(**json.loads((folder / ABOUT).read_text()))


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Those that are installed, with their versions."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def pinned(*packages: str) -> list[str]:
    """The model's requirements, as MLflow would find them: these versions."""
    return [f"{name}=={number.partition('+')[0]}" for name, number in versions(packages).items()]


def tensors(features: Arrays) -> Any:  # noqa: ANN401 - MLflow's own
    """A signature of tensors with these names and any number of rows."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    kinds = {name: np.dtype(str) if array.dtype.kind in "OU" else array.dtype for name, array in features.items()}
    specs = [TensorSpec(kinds[name], (-1, *array.shape[1:]), name) for name, array in features.items()]
    return ModelSignature(inputs=Schema(specs))


def described(folder: Path, flavour: str, features: Arrays, requirements: Sequence[str], **settings: Any) -> None:  # noqa: ANN401
    """The MLmodel file of a flavour that MLflow itself does not have, as a team writes it, beside files that are there."""
    from mlflow.models import Model

    made = Model()
    made.add_flavor(flavour, **settings)
    made.signature = tensors(features)
    made.save(str(folder / "MLmodel"))
    (folder / "requirements.txt").write_text("\n".join([*requirements, ""]))


def columns(frame: Any) -> dict[str, np.ndarray]:  # noqa: ANN401 - a data frame
    """The frame as rows by column."""
    return {str(name): frame[name].to_numpy() for name in frame}


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The bundled digits as pictures (rows, 8, 8) from 0 to 1, and their labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.images / 16).astype(np.float32), bunch.target
