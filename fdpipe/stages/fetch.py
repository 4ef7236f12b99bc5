"""fetch: the registered model and its data, pinned and brought here."""

from pathlib import Path

import numpy as np

from fdpipe import progress
from fdpipe.arrays import row_digests, save_arrays
from fdpipe.artifacts import LABELS, Data, Examples, ModelRef, Rows, SourceModel
from fdpipe.content import tree_digest
from fdpipe.errors import SourceError
from fdpipe.interfaces import Dataset, Source
from fdpipe.plan import DataPlan
from fdpipe.quarantine import refuse_archives
from fdpipe.store import stage


def resolve(source: Source, reference: str) -> ModelRef:
    """Pin the reference to a version and the digest of its files."""
    with progress.step("resolve") as step:
        ref = source.resolve(reference)
        step.detail = f"{ref.name} version {ref.version}, sha256 {ref.digest[:12]}"
        return ref


def identify(data: DataPlan, ref: ModelRef) -> dict[str, str]:
    """What each role's rows are identified by, for `gather`'s key."""
    return {role: dataset.identity(ref) for role, dataset in _roles(data).items()}


@stage()
def fetch(folder: Path, source: Source, ref: ModelRef) -> SourceModel:
    """The version's files, which must have the digest that was pinned."""
    model = source.download(ref, folder / "model")
    if tree_digest(model.path) != ref.digest:
        raise SourceError(f"{ref.name} version {ref.version} has changed since it was pinned: run again")
    refuse_archives(model.path)
    return model


@stage()
def gather(folder: Path, data: DataPlan, ref: ModelRef, identities: dict[str, str]) -> Data:
    """The rows of each role; `SourceError` where one row has two roles."""
    found = {role: _checked(role, dataset.read(ref)) for role, dataset in _roles(data).items()}
    _refuse_overlap(found)
    rows = {role: _save(folder, role, examples) for role, examples in found.items()}
    return Data(evaluation=rows["evaluation"], calibration=rows.get("calibration"), training=rows.get("training"))


def _roles(data: DataPlan) -> dict[str, Dataset]:
    roles = {"training": data.training, "calibration": data.calibration, "evaluation": data.evaluation}
    return {role: dataset for role, dataset in roles.items() if dataset is not None}


def _checked(role: str, examples: Examples) -> Examples:
    lengths = {name: len(array) for name, array in examples.features.items()}
    if examples.labels is not None:
        lengths["the labels"] = len(examples.labels)
    if not lengths or min(lengths.values()) == 0:
        raise SourceError(f"the {role} data has no rows")
    if len(set(lengths.values())) > 1:
        raise SourceError(f"the {role} data has columns of different lengths: {lengths}")
    return examples


def _refuse_overlap(found: dict[str, Examples]) -> None:
    seen: dict[bytes, str] = {}
    for role, examples in found.items():
        for number, digest in enumerate(row_digests(examples.features)):
            other = seen.setdefault(digest, role)
            if other != role:
                raise SourceError(f"row {number} of the {role} data is also in the {other} data: they must share no row")


def _save(folder: Path, role: str, examples: Examples) -> Rows:
    labels = {} if examples.labels is None else {LABELS: np.asarray(examples.labels)}
    path = folder / f"{role}.npz"
    digest = save_arrays(path, {**examples.features, **labels})
    return Rows(role=role, path=path, digest=digest, count=len(examples), labelled=bool(labels))
