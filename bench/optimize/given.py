"""Models as the line has them before its search: saved once into the store's folder, and converted by the real stages."""

from pathlib import Path

from fdpipe.arrays import save_arrays
from fdpipe.artifacts import LABELS, Baseline, Data, Examples, ModelRef, Rows
from fdpipe.content import tree_digest
from fdpipe.home import open_home
from fdpipe.mlmodel import describe
from fdpipe.plan import Plan, Tolerance
from fdpipe.stages.convert import chosen, convert
from fdpipe.standard import standard_plan
from fdpipe.store import LocalStore
from fdpipe.trials import Given


def folder() -> Path:
    """Where everything of this bench is kept, below the state folder."""
    found = open_home() / "bench" / "optimize"
    found.mkdir(parents=True, exist_ok=True)
    return found


def store() -> LocalStore:
    """Its own store."""
    return LocalStore(folder() / "store")


def given(name: str) -> Given:
    """The subject, its model and rows made where they are not there yet."""
    from bench.optimize.models import SUBJECTS

    place = store().root / "given" / name
    if not (place / "evaluation.npz").exists():
        place.mkdir(parents=True, exist_ok=True)
        if (place / "model").exists():
            raise FileExistsError(f"{place} was left half made: remove it")
        made = SUBJECTS[name].make(place / "model")
        if made.calibration is not None:
            _write(made.calibration, place / "calibration.npz")
        _write(made.evaluation, place / "evaluation.npz")
    evaluation, calibration = (_rows(role, place / f"{role}.npz") for role in ("evaluation", "calibration"))
    if evaluation is None:
        raise FileNotFoundError(place / "evaluation.npz")
    model = describe(_ref(name, place / "model"), place / "model")
    baseline = _convert(name, place / "model", evaluation)
    return Given(model=model, baseline=baseline, data=Data(evaluation=evaluation, calibration=calibration))


def converted(name: str, model: Path, rows: Examples) -> Baseline:
    """A model outside of the store."""
    place = store().root / "given" / name
    place.mkdir(parents=True, exist_ok=True)
    _write(rows, place / "evaluation.npz")
    found = _rows("evaluation", place / "evaluation.npz")
    if found is None:
        raise FileNotFoundError(place)
    return _convert(name, model, found)


def _convert(name: str, model: Path, rows: Rows) -> Baseline:
    plan: Plan = standard_plan(f"{name}/1")
    source = describe(_ref(name, model), model)
    choice = chosen(plan.converter, plan.processor, plan.runtime, source)
    return convert(store(), *choice, source, rows, plan.conversion, Tolerance())


def _ref(name: str, model: Path) -> ModelRef:
    return ModelRef(name=name, version="1", uri=f"models:/{name}/1", digest=tree_digest(model))


def _write(rows: Examples, path: Path) -> None:
    labels = {} if rows.labels is None else {LABELS: rows.labels}
    save_arrays(path, {**rows.features, **labels})


def _rows(role: str, path: Path) -> Rows | None:
    from fdpipe.arrays import array_digest, load_arrays

    if not path.exists():
        return None
    arrays = load_arrays(path)
    labelled = LABELS in arrays
    count = len(next(iter(arrays.values())))
    return Rows(role=role, path=path, digest=array_digest(arrays), count=count, labelled=labelled)
