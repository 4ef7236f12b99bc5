"""Rows from files."""

from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from fdpipe.artifacts import ModelRef
from fdpipe.dataset.files import Files
from fdpipe.errors import SourceError
from tests.contracts.dataset import FEATURES, LABELS, REF, DatasetContract
from tests.contracts.settings import built

FRAME = pd.DataFrame({**FEATURES, "label": LABELS})


def write(path: Path) -> Path:
    """The contract's rows in the format that the name says."""
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **FEATURES, label=LABELS)
    elif path.suffix == ".csv":
        FRAME.to_csv(path, index=False)
    else:
        FRAME.replace("", None).to_parquet(path)
    return path


class FilesContract(DatasetContract):
    ending: str

    @pytest.fixture
    def ref(self) -> ModelRef:
        return REF

    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Files:
        return Files(path=str(write(tmp_path / f"rows{self.ending}")))


class TestNpz(FilesContract):
    ending = ".npz"


class TestParquet(FilesContract):
    ending = ".parquet"


class TestCsv(FilesContract):
    ending = ".csv"


class TestUrl(FilesContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Files:
        with fsspec.open("memory://some/rows.parquet", "wb") as stream:
            stream.write(write(tmp_path / "rows.parquet").read_bytes())
        return Files(path="memory://some/rows.parquet")


def test_without_the_label_the_rows_are_unlabelled(tmp_path: Path) -> None:
    rows = Files(path=str(write(tmp_path / "rows.csv")), label="nosuch").read(REF)
    assert rows.labels is None
    assert "label" in rows.features


def test_another_content_is_another_identity(tmp_path: Path) -> None:
    dataset = Files(path=str(write(tmp_path / "rows.csv")))
    before = dataset.identity(REF)
    FRAME.iloc[1:].to_csv(tmp_path / "rows.csv", index=False)
    assert dataset.identity(REF) != before


def test_whole_numbers_and_truths_with_gaps_lose_none_of_their_meaning(tmp_path: Path) -> None:
    frame = pd.DataFrame({"count": pd.array([1, None], "Int64"), "size": pd.array([1, 2], "Int32")})
    frame.assign(kind=pd.Categorical(["a", None])).to_parquet(tmp_path / "rows.parquet")
    features = Files(path=str(tmp_path / "rows.parquet")).read(REF).features
    np.testing.assert_array_equal(features["count"], [1.0, np.nan])
    assert features["size"].dtype == np.dtype(np.int32)
    assert features["kind"].tolist() == ["a", ""]


def test_lists_of_one_length_are_a_tensor(tmp_path: Path) -> None:
    pd.DataFrame({"pixels": [[1.0, 2.0], [3.0, 4.0]]}).to_parquet(tmp_path / "rows.parquet")
    assert Files(path=str(tmp_path / "rows.parquet")).read(REF).features["pixels"].tolist() == [[1, 2], [3, 4]]


def pickled(path: Path) -> None:
    np.savez(path, x=np.array([{"a": 1}], dtype=object))


def one_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.ones(3))


def nonsense(path: Path) -> None:
    path.write_bytes(b"\x00\x01nonsense")


def times(path: Path) -> None:
    pd.DataFrame({"when": pd.to_datetime(["2026-01-01"])}).to_parquet(path)


def ragged(path: Path) -> None:
    pd.DataFrame({"x": [[1.0], [1.0, 2.0]]}).to_parquet(path)


@pytest.mark.parametrize(
    ("name", "make", "told"),
    [
        ("x.npz", pickled, "allow_pickle"),
        ("x.npz", one_array, "numpy.savez"),
        ("x.npz", nonsense, "x.npz cannot be read"),
        ("x.parquet", nonsense, "x.parquet cannot be read"),
        ("x.parquet", times, "'when' holds times"),
        ("x.parquet", ragged, "x.parquet cannot be read"),
        ("x.csv", Path.touch, "x.csv cannot be read"),
        ("x.json", Path.touch, r"must end in \.npz, \.parquet, \.csv"),
        ("x.npz", Path, "No such file"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path, name: str, make: object, told: str) -> None:
    assert callable(make)
    make(tmp_path / name)
    with pytest.raises(SourceError, match=told) as caught:
        Files(path=str(tmp_path / name)).read(REF)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["nosuch://bucket/x.npz", "memory://nosuch.npz"])
def test_an_url_that_cannot_be_read_is_one_clear_line(url: str) -> None:
    with pytest.raises(SourceError, match=url):
        Files(path=url).identity(REF)


def test_its_file_wants_a_path() -> None:
    assert built("dataset", "files").path == "???"
