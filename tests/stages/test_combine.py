"""Several models as one artifact."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from onnx import helper

from fdpipe import parts, workers
from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Answers, Artifact, Provenance, Task, TensorSpec
from fdpipe.content import tree_digest
from fdpipe.errors import NotApplicable, StageError
from fdpipe.processor.none import Plain
from fdpipe.runtime.by_rows import ByRows
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.combine import Part, combine
from fdpipe.stages.evaluate import evaluate
from fdpipe.store import LocalStore
from tests import onnx_models
from tests.models import rows_of


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def model(tmp_path: Path) -> Artifact:
    return onnx_models.artifact(onnx_models.mlp(tmp_path / "plain" / "model.onnx"))


@pytest.fixture
def other(tmp_path: Path) -> Artifact:
    """The same with its weights beside it."""
    return onnx_models.artifact(onnx_models.mlp(tmp_path / "other" / "model.onnx", external=True))


def part(rows: int, artifact: Artifact, runtime: Any = None, **session: Any) -> Part:  # noqa: ANN401 - any runtime
    """One of ONNX Runtime's."""
    return Part(rows=rows, runtime=runtime or OnnxRuntime(), session=session, artifact=artifact)


def test_the_models_lie_side_by_side_and_are_said_by_rows(store: LocalStore, model: Artifact, other: Artifact) -> None:
    made = combine(store, (part(1, model, threads=1), part(32, other, threads=2)), model)
    assert (made.kind, made.path.name) == ("parts", "parts.json")
    assert (made.inputs, made.outputs) == (model.inputs, model.outputs)
    assert made.digest == tree_digest(made.folder)
    found = parts.read(made.path).parts
    assert [(one.rows, dict(one.session)) for one in found] == [(1, {"threads": 1}), (32, {"threads": 2})]
    assert [workers.build_spec(one.runtime) for one in found] == [OnnxRuntime(), OnnxRuntime()]
    for one, wanted in zip(found, (model, other), strict=True):
        assert one.artifact.path.is_relative_to(made.folder)
        assert one.artifact.digest == wanted.digest
        assert tree_digest(one.artifact.folder) == tree_digest(wanted.folder)
    assert len(list(found[1].artifact.folder.iterdir())) == 2


def test_one_model_in_two_sessions_lies_there_once(store: LocalStore, model: Artifact) -> None:
    made = combine(store, (part(1, model, threads=1), part(8, model, threads=2)), model)
    assert sorted(path.name for path in made.folder.iterdir()) == ["model_1", "parts.json"]


def test_no_path_of_this_machine_is_inside(store: LocalStore, model: Artifact, tmp_path: Path) -> None:
    made = combine(store, (part(1, replace(model, provenance=Provenance(stage="s", key="k", settings="t"))),), model)
    text = made.path.read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["parts"][0]["artifact"]["path"] == "model_1/model.onnx"
    assert json.loads(text)["parts"][0]["artifact"]["provenance"] is None


@dataclass(frozen=True, kw_only=True)
class Other(OnnxRuntime):
    """A runtime whose library is another."""

    packages: ClassVar[tuple[str, ...]] = ("numpy", "msgspec")


def test_the_digest_covers_all_that_answers(tmp_path: Path, model: Artifact, other: Artifact) -> None:
    """Models, rows, sessions, settings of runtimes; and the code and the versions of these."""
    store = LocalStore(tmp_path / "store")
    tried = [
        (part(1, model), part(32, other)),
        (part(1, other), part(32, model)),
        (part(1, model), part(33, other)),
        (part(1, model), part(32, other, threads=1)),
        (part(1, model), part(32, other, OnnxRuntime(extra="gpu"))),
        (part(1, model), part(32, other, Other())),
    ]
    made = [combine(store, one, model) for one in tried]
    assert len({one.digest for one in made}) == len(tried)
    assert parts.read(made[0].path).versions["onnxruntime"]
    assert combine(LocalStore(tmp_path / "again"), tried[0], model).digest == made[0].digest


def test_a_part_that_cannot_stand_in_for_the_others_is_told(store: LocalStore, model: Artifact) -> None:
    (given,), (answer,) = model.inputs, model.outputs
    for made, told in (
        (replace(model, outputs=(replace(answer, name="z"),)), "it answers 'y' as nothing"),
        (
            replace(model, outputs=(replace(answer, dtype="float16"),)),
            "it answers 'y' as float16, the converted model as float32",
        ),
        (replace(model, inputs=(replace(given, dtype="float16"),)), "it takes 'x' as float16"),
        (
            replace(model, outputs=(*model.outputs, TensorSpec(name="z", dtype="int64", shape=("rows",)))),
            "it answers 'z' as int64, the converted model as nothing",
        ),
    ):
        with pytest.raises(NotApplicable, match=f"the part from 8 rows on is no stand-in: {told}"):
            combine(store, (part(1, model), part(8, made)), model)


@pytest.mark.parametrize("rows", [(), (2, 8), (1, 8, 8), (1, 8, 4)])
def test_the_parts_follow_each_other_from_one_row_on(store: LocalStore, model: Artifact, rows: tuple[int, ...]) -> None:
    with pytest.raises(NotApplicable, match="parts must be from 1 row on and each from more rows than the one before"):
        combine(store, tuple(part(one, model) for one in rows), model)


def test_a_part_is_not_made_of_parts(store: LocalStore, model: Artifact) -> None:
    inner = combine(store, (part(1, model),), model)
    with pytest.raises(NotApplicable, match="a part cannot be made of parts"):
        combine(store, (part(1, model), part(8, inner)), model)


@pytest.mark.parametrize("text", ["", "{}", '{"parts": [], "code": "", "versions": {}}', "[]"])
def test_files_that_do_not_say_what_the_parts_are(tmp_path: Path, text: str) -> None:
    path = tmp_path / "parts.json"
    path.write_text(text)
    with pytest.raises(StageError, match=r"parts\.json does not say what its parts are: ") as caught:
        parts.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("from_rows", "other", "changed"), [(200, 1.0, 40), (16, 1.0, 40), (200, 0.0, 0)])
def test_parts_that_answer_otherwise_are_found(
    store: LocalStore, tmp_path: Path, from_rows: int, other: float, changed: int
) -> None:
    """However many rows it takes until the other part is asked: more than are evaluated in one call."""
    one, two = (shifted(tmp_path / name, by) for name, by in (("one", 0.0), ("two", other)))
    made = combine(store, (part(1, one), part(from_rows, two)), one)
    x = np.linspace(1, 2, 40, dtype=np.float32).reshape(-1, 1)
    rows = rows_of(tmp_path / "rows", {"x": x})
    reference = Answers(path=tmp_path / "answers.npz", digest=save_arrays(tmp_path / "answers.npz", {"value": x}))
    processor = workers.spec("processor", Plain(inputs=one.inputs, names=("x",)))
    found = evaluate(store, ByRows(), {}, made, processor, Task.REGRESSION, rows, reference, {})
    assert (found.invariance.rows, found.invariance.changed) == (40, changed)
    if changed and from_rows > 40:
        assert found.invariance.worst_setting == f"in batches of {from_rows}"


def shifted(folder: Path, by: float) -> Artifact:
    """value = x + by."""
    nodes = [helper.make_node("Add", ["x", "by"], ["value"])]
    inputs = [onnx_models.value("x", onnx_models.FLOAT, "rows", 1)]
    outputs = [onnx_models.value("value", onnx_models.FLOAT, "rows", 1)]
    weights = {"by": np.array([by], np.float32)}
    return onnx_models.artifact(onnx_models.save(folder / "model.onnx", nodes, inputs, outputs, weights))
