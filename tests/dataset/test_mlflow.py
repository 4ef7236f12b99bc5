"""Rows that a training run logged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.artifacts import ModelRef
from fdpipe.dataset.mlflow import MlflowArtifact
from fdpipe.errors import SourceError
from fdpipe.source.mlflow import Mlflow
from tests.contracts.dataset import FEATURES, LABELS, DatasetContract
from tests.contracts.settings import built
from tests.models import logged_people, new_registry, register


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("registry")
    np.savez(folder / "evaluation.npz", allow_pickle=False, **FEATURES, label=LABELS)
    uri = new_registry(folder)
    register(uri, "tiny", logged_people, ("candidate",), (folder / "evaluation.npz",))
    return uri


@pytest.mark.usefixtures("home")
class TestMlflowArtifact(DatasetContract):
    @pytest.fixture
    def dataset(self, uri: str) -> MlflowArtifact:
        return MlflowArtifact(artifact="evaluation.npz", tracking_uri=uri)

    @pytest.fixture
    def ref(self, uri: str, home: Path) -> ModelRef:
        return Mlflow(tracking_uri=uri).resolve("tiny@candidate")

    def test_an_artifact_written_again_is_another_one(self, dataset: MlflowArtifact, ref: ModelRef, uri: str) -> None:
        before = dataset.identity(ref)
        folder = Path(uri.removeprefix("sqlite:///")).parent
        (stored,) = (folder / "artifacts").rglob("evaluation.npz")
        kept = stored.read_bytes()
        try:
            np.savez(stored, x=np.ones(2))
            assert dataset.identity(ref) != before
        finally:
            stored.write_bytes(kept)

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"artifact": "nosuch.npz"}, "logged no nosuch.npz; its artifacts: evaluation.npz"),
            ({"artifact": "some/nosuch.npz"}, "logged no some/nosuch.npz; its artifacts: none"),
            ({"artifact": "../evaluation.npz"}, "evaluation.npz"),
        ],
    )
    def test_a_missing_artifact_is_told(self, dataset: MlflowArtifact, ref: ModelRef, changes: Any, told: str) -> None:  # noqa: ANN401
        with pytest.raises(SourceError, match=told):
            replace(dataset, **changes).identity(ref)

    def test_a_version_without_a_run_is_told(self, dataset: MlflowArtifact, ref: ModelRef) -> None:
        with pytest.raises(SourceError, match="has no training run"):
            dataset.read(replace(ref, run_id=None))

    def test_an_unknown_run_is_told(self, dataset: MlflowArtifact, ref: ModelRef) -> None:
        with pytest.raises(SourceError, match="training run of tiny version 1 cannot be read"):
            dataset.read(replace(ref, run_id="0" * 32))

    @pytest.mark.parametrize("role", ["evaluation", "calibration", "training"])
    def test_its_files_name_an_artifact_each(self, role: str) -> None:
        assert built("dataset", f"mlflow_{role}") == MlflowArtifact(artifact=f"{role}.npz")
