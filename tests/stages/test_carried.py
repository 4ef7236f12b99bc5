"""Releases of models in their own libraries, and of several models: what they carry, and that this suffices to serve."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from fdpipe import shipment, workers
from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Answers, Artifact, Candidate, SourceModel
from fdpipe.content import from_json, tree_digest
from fdpipe.errors import ConfigError
from fdpipe.interfaces import Runtime
from fdpipe.parts import Parts
from fdpipe.processor.none import Plain
from fdpipe.runtime.by_rows import ByRows
from fdpipe.runtime.native import NativeLibrary
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.runtime.pyfunc import Pyfunc
from fdpipe.stages.carried import modules_of, packages_of
from fdpipe.stages.combine import Part, combine
from fdpipe.stages.original import original
from fdpipe.stages.package import SERVE_TIME
from fdpipe.store import LocalStore
from tests.native_models import converted, registered
from tests.serving import tiny
from tests.serving.conftest import Served, serving

xgboost = pytest.importorskip("xgboost")

LARGE = 16
"""From so many rows on, the library itself is asked."""

ONE = {"threads": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("carried")


@pytest.fixture(scope="module")
def baseline(folder: Path) -> tuple[SourceModel, Artifact]:
    """Trees that take the rows of `tiny.digits` and answer with its classes, and their export."""
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 4)).astype(np.float32)
    estimator = xgboost.XGBClassifier(n_estimators=20, n_jobs=1).fit(x, np.digitize(x[:, 0] * x[:, 1], [-0.3, 0.3]))
    model = registered(folder / "registered", estimator, x)
    artifact = converted(model, folder / "onnx")
    return model, artifact


@pytest.fixture(scope="module")
def native(folder: Path, baseline: tuple[SourceModel, Artifact]) -> Artifact:
    return original(LocalStore(folder / "store"), *baseline)


@pytest.fixture(scope="module")
def parts(folder: Path, baseline: tuple[SourceModel, Artifact], native: Artifact) -> Artifact:
    made = (
        Part(rows=1, runtime=OnnxRuntime(), session=ONE, artifact=baseline[1]),
        Part(rows=LARGE, runtime=NativeLibrary(), session=ONE, artifact=native),
    )
    return combine(LocalStore(folder / "store"), made, baseline[1])


def pieces_of(folder: Path, baseline: Artifact, artifact: Artifact, runtime: Runtime, name: str) -> tiny.Pieces:
    """What a release of the artifact is made of; its golden requests have its own answers."""
    pieces = tiny.digits(folder)
    given = {baseline.inputs[0].name: pieces.data.evaluation.load().features["x"]}
    answers = runtime.open(artifact, ONE).run(given)
    saved = Answers(path=folder / "own.npz", digest=save_arrays(folder / "own.npz", answers))
    model = replace(pieces.model, inputs=(replace(pieces.model.inputs[0], name=baseline.inputs[0].name),))
    processor = workers.spec("processor", Plain().bind(model, baseline.inputs, folder))
    assert pieces.trial.evaluation is not None
    return replace(
        pieces,
        order=replace(
            pieces.order,
            service=name,
            runtime=runtime,
            requirements=shipment.pinned([*SERVE_TIME, *packages_of(runtime, artifact)]),
        ),
        model=model,
        baseline=replace(pieces.baseline, artifact=baseline, processor=processor),
        trial=replace(
            pieces.trial,
            artifact=artifact,
            candidate=Candidate(runtime=name, recipe="none", session=ONE),
            evaluation=replace(pieces.trial.evaluation, answers=saved),
        ),
        data=replace(pieces.data, evaluation=tiny._rows(folder, "evaluation", given), calibration=None),
    )


@pytest.fixture(scope="module")
def served(folder: Path, baseline: tuple[SourceModel, Artifact], parts: Artifact) -> Iterator[Served]:
    """The release of the parts, where neither scikit-learn nor pandas can be imported."""
    made = pieces_of(folder / "pieces", baseline[1], parts, ByRows(), "parts-cpu")
    with serving(made, folder / "served") as found:
        yield found


def test_each_part_answers_for_its_rows_in_the_service(
    served: Served, baseline: tuple[SourceModel, Artifact], native: Artifact
) -> None:
    (given,) = baseline[1].inputs
    x = np.random.default_rng(3).normal(size=(40, 4)).astype(np.float32)
    engines = {1: OnnxRuntime().open(baseline[1], ONE), 40: NativeLibrary().open(native, ONE)}
    for rows, engine in engines.items():
        reply = httpx.post(f"{served.api}/predict", json={"inputs": {given.name: x[:rows].tolist()}}).json()
        wanted = engine.run({given.name: x[:rows]})
        assert reply["label"] == wanted["label"].tolist()
        np.testing.assert_allclose(reply["probabilities"], wanted["probabilities"], rtol=0, atol=1e-6)
    assert httpx.get(f"{served.oip}/v2/models/digits").json()["platform"] == "parts-cpu_parts"


def test_the_release_carries_the_code_of_each_part_and_of_no_other(served: Served) -> None:
    source = served.release.path / "src"
    carried = {file.relative_to(source).with_suffix("").as_posix() for file in (source / "fdpipe").rglob("*.py")}
    assert {f"fdpipe/runtime/{name}" for name in ("by_rows", "native", "onnxruntime")} <= carried
    assert {"fdpipe/parts", "fdpipe/libraries/xgboost"} <= carried
    assert not {"fdpipe/runtime/openvino", "fdpipe/runtime/pyfunc"} & carried
    assert not any((source / "fdpipe" / room).exists() for room in ("stages", "converter", "store", "config"))


def test_its_requirements_are_those_of_each_part_and_of_no_other(served: Served) -> None:
    lines = (served.release.path / "env" / "python" / "requirements.txt").read_text().split()
    names = {line.partition("==")[0] for line in lines}
    assert {"onnxruntime"} < names
    assert names & {"xgboost", "xgboost-cpu"}
    assert not names & {"lightgbm", "catboost", "scikit-learn", "skops", "openvino", "pandas"}


def test_its_manifest_names_the_runtime_and_its_model_is_whole(served: Served, parts: Artifact) -> None:
    release = served.release
    assert workers.build_spec(release.runtime) == ByRows()
    assert tree_digest(release.artifact.folder) == release.artifact.digest == parts.digest
    inside = from_json(release.artifact.path.read_bytes(), Parts, release.artifact.folder)
    assert [(one.rows, workers.build_spec(one.runtime)) for one in inside.parts] == [
        (1, OnnxRuntime()),
        (LARGE, NativeLibrary()),
    ]


def test_a_release_of_a_library_alone(folder: Path, baseline: tuple[SourceModel, Artifact], native: Artifact) -> None:
    made = pieces_of(folder / "native_pieces", baseline[1], native, NativeLibrary(), "native-cpu")
    with serving(made, folder / "native_served") as found:
        x = np.random.default_rng(4).normal(size=(3, 4)).astype(np.float32)
        reply = httpx.post(f"{found.api}/predict", json={"inputs": {baseline[1].inputs[0].name: x.tolist()}}).json()
    assert reply["label"] == NativeLibrary().open(native, ONE).run({baseline[1].inputs[0].name: x})["label"].tolist()
    lines = (found.release.path / "env" / "python" / "requirements.txt").read_text()
    assert "xgboost" in lines
    assert "onnxruntime" not in lines


def test_what_opens_a_model(native: Artifact, parts: Artifact, baseline: tuple[SourceModel, Artifact], tmp_path: Path) -> None:
    onnx = baseline[1]
    assert packages_of(OnnxRuntime(), onnx) == ["onnxruntime", "onnxruntime-gpu"]
    assert packages_of(NativeLibrary(), native) == ["xgboost", "xgboost-cpu"]
    assert packages_of(ByRows(), parts) == ["onnxruntime", "onnxruntime-gpu", "xgboost", "xgboost-cpu"]
    assert modules_of(ByRows(), parts) == [f"fdpipe.runtime.{name}" for name in ("by_rows", "onnxruntime", "native")]
    (tmp_path / "requirements.txt").write_text("scikit-learn==1.9.0\n# a comment\n")
    registered_model = replace(onnx, kind="mlflow", path=tmp_path)
    assert packages_of(Pyfunc(), registered_model) == [*Pyfunc.packages, "scikit-learn"]


def test_a_worker_of_another_room_is_none_of_a_parts(parts: Artifact, tmp_path: Path) -> None:
    """What stands in the file is made by `fdpipe.workers` alone: nothing else than a worker of the room can be named."""
    shutil.copytree(parts.folder, tmp_path / "model")
    path = tmp_path / "model" / "parts.json"
    path.write_text(path.read_text().replace("fdpipe.runtime.native.NativeLibrary", "subprocess.Popen"))
    with pytest.raises(ConfigError, match="is not allowed in runtime"):
        ByRows().open(replace(parts, path=path), {})
