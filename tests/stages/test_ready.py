"""What a runtime opens."""

from pathlib import Path

from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.ready import ready
from fdpipe.store import LocalStore
from tests import onnx_models


def test_onnx_is_the_same_artifact_for_this_machine(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    model = onnx_models.artifact(onnx_models.mlp(store.root / "source" / "model.onnx"))
    found = ready(store, OnnxRuntime(), model)
    assert (found.path, found.digest) == (model.path, model.digest)
    assert found.provenance is not None
    assert found.provenance.machine is not None
