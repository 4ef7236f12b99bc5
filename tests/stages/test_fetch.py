"""fetch: what is pinned is what comes, and no row has two roles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdpipe.artifacts import Data, ModelRef
from fdpipe.dataset.arrays import Arrays
from fdpipe.dataset.files import Files
from fdpipe.errors import SourceError
from fdpipe.plan import DataPlan
from fdpipe.stages.fetch import fetch, gather, identify, resolve
from fdpipe.store import LocalStore
from fdpipe.testing import FakeDataset, FakeSource

REF = ModelRef(name="tiny", version="1", uri="models:/tiny/1", digest="0" * 64)
X = np.arange(12.0).reshape(6, 2)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def gathered(store: LocalStore, data: DataPlan) -> Data:
    return gather(store, data, REF, identify(data, REF))


def arrays(x: np.ndarray, labels: np.ndarray | None = None, **more: np.ndarray) -> Arrays:
    return Arrays(features={"x": x, **more}, labels=labels)


def test_the_model_comes_as_it_was_pinned(store: LocalStore) -> None:
    source = FakeSource(versions=2)
    ref = resolve(source, "fake@candidate")
    model = fetch(store, source, ref)
    assert (model.ref, model.digest, model.path.is_dir()) == (ref, ref.digest, True)
    assert model.path.is_relative_to(store.root)
    assert fetch.is_stored(store, source, ref)


def test_a_model_that_changed_since_is_refused(store: LocalStore) -> None:
    ref = replace(resolve(FakeSource(), "fake@candidate"), digest="0" * 64)
    with pytest.raises(SourceError, match="fake version 1 has changed since it was pinned"):
        fetch(store, FakeSource(), ref)


def test_rows_by_role(store: LocalStore) -> None:
    data = gathered(store, DataPlan(evaluation=arrays(X[:3], np.array([1, 0, 1])), calibration=arrays(X[3:])))
    assert data.training is None
    assert (data.evaluation.count, data.evaluation.labelled, data.evaluation.role) == (3, True, "evaluation")
    assert data.calibration is not None
    assert (data.calibration.count, data.calibration.labelled) == (3, False)
    loaded = data.evaluation.load()
    np.testing.assert_array_equal(loaded.features["x"], X[:3])
    assert loaded.labels is not None
    assert loaded.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("role", ["calibration", "training"])
def test_a_row_with_two_roles_is_refused(store: LocalStore, role: str) -> None:
    data = DataPlan(**{"evaluation": arrays(X[:4]), role: arrays(X[3:])})
    with pytest.raises(SourceError, match=rf"row \d of the \w+ data is also in the (evaluation|{role}) data"):
        gathered(store, data)
    assert store.entries() == []


def test_the_same_row_in_another_type_is_the_same_row(store: LocalStore, tmp_path: Path) -> None:
    """A csv gives float64 and plain strings, an npz whatever was saved."""
    np.savez(tmp_path / "calibration.npz", x=np.array([1.5, 2.5], np.float32), town=np.array(["Ulm", "Köln-Deutz"]))
    (tmp_path / "evaluation.csv").write_text("x,town\n7.5,Ulm\n1.5,Ulm\n")
    data = DataPlan(
        evaluation=Files(path=str(tmp_path / "evaluation.csv")), calibration=Files(path=str(tmp_path / "calibration.npz"))
    )
    with pytest.raises(SourceError, match="they must share no row"):
        gathered(store, data)


def test_rows_that_repeat_within_a_role_are_fine(store: LocalStore) -> None:
    assert gathered(store, DataPlan(evaluation=arrays(np.ones((5, 2))))).evaluation.count == 5


def test_strings_and_several_columns(store: LocalStore) -> None:
    town = np.array(["Ulm", "", "Köln"])
    loaded = gathered(store, DataPlan(evaluation=arrays(X[:3], town=town))).evaluation.load()
    assert loaded.features["town"].tolist() == town.tolist()


@pytest.mark.parametrize(
    ("evaluation", "told"),
    [
        (arrays(X[:0]), "the evaluation data has no rows"),
        (Arrays(features={}), "the evaluation data has no rows"),
        (arrays(X, town=np.array(["Ulm"])), "columns of different lengths"),
        (arrays(X, np.array([1])), "columns of different lengths.*'the labels': 1"),
    ],
)
def test_rows_that_are_none_are_told(store: LocalStore, evaluation: Arrays, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        gathered(store, DataPlan(evaluation=evaluation))


def test_the_same_rows_are_not_read_again(store: LocalStore, tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, x=X)
    data = DataPlan(evaluation=Files(path=str(path)), calibration=FakeDataset())
    first = gathered(store, data)
    assert gather.is_stored(store, data, REF, identify(data, REF))
    np.savez(path, x=X + 1)
    assert not gather.is_stored(store, data, REF, identify(data, REF))
    assert gathered(store, data).evaluation.digest != first.evaluation.digest
