"""The repro bundle: all that is needed to see a failure again, and the smallest part that still fails."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fdpipe import repro
from fdpipe.arrays import Batch, load_arrays, save_arrays
from fdpipe.artifacts import Artifact, SourceModel
from fdpipe.content import file_digest
from fdpipe.converter.onnx import Onnx
from fdpipe.errors import ConversionError, StageError
from fdpipe.interfaces import Engine, Session
from fdpipe.plan import Conversion, Isolation, Tolerance
from fdpipe.processor.none import Plain
from fdpipe.repro import Difference, Evidence, smallest
from fdpipe.repro.smallest import Smallest, names_in
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.convert import convert
from fdpipe.store import LocalStore
from tests.models import rows_of, saved_onnx

pytestmark = pytest.mark.usefixtures("home")


@dataclass(frozen=True, kw_only=True)
class Faulty(OnnxRuntime):
    """ONNX Runtime that computes one operator wrongly: its results are too large by a tenth."""

    operator: str

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        graph = onnx.load(model.path)
        nodes = []
        for node in graph.graph.node:
            nodes.append(node)
            if node.op_type == self.operator:
                name, node.output[0] = node.output[0], f"{node.output[0]}_right"
                nodes.append(helper.make_node("Mul", [node.output[0], "fault"], [name]))
        del graph.graph.node[:]
        graph.graph.node.extend(nodes)
        graph.graph.initializer.append(numpy_helper.from_array(np.array(1.1, np.float32), "fault"))
        onnx.save(graph, folder / "model.onnx")
        return replace(model, path=folder / "model.onnx")


@dataclass(frozen=True, kw_only=True)
class Refusing(OnnxRuntime):
    """ONNX Runtime that refuses graphs in which each of these operators stands."""

    operators: tuple[str, ...]

    def open(self, artifact: Artifact, session: Session) -> Engine:
        if set(self.operators) <= {node.op_type for node in onnx.load(artifact.path).graph.node}:
            raise StageError(f"it does not know {' with '.join(self.operators)}")
        return super().open(artifact, session)


def net() -> Any:  # noqa: ANN401 - a ModelProto
    """Two layers: y = softmax(gemm(relu(gemm(x)))); the middle one has a name."""
    random = np.random.default_rng(0)
    weights = {
        "w1": random.normal(size=(4, 8)), "b1": random.normal(size=8), "w2": random.normal(size=(8, 3)), "b2": np.zeros(3)
    }  # fmt: skip
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], name="first"),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "w2", "b2"], ["z"], name="second"),
            helper.make_node("Softmax", ["z"], ["y"], axis=1),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def artifact_of(folder: Path, model: Any) -> Artifact:  # noqa: ANN401 - a ModelProto
    (folder / "export").mkdir(exist_ok=True)
    path = folder / "export" / "model.onnx"
    onnx.save(model, path)
    return Artifact(kind="onnx", path=path, digest=file_digest(path), size_bytes=path.stat().st_size, inputs=(), outputs=())


X = {"x": np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)}


def found(folder: Path, runtime: OnnxRuntime, model: Any = None, tensors: Batch = X) -> Smallest:  # noqa: ANN401
    return smallest.find(runtime, artifact_of(folder, model or net()), tensors, Tolerance(), folder / "tried")


class TestSmallest:
    def test_the_first_node_that_is_computed_wrongly(self, tmp_path: Path) -> None:
        part = found(tmp_path, Faulty(operator="Gemm"))
        assert part.model is not None
        (node,) = onnx.load_from_string(part.model).graph.node
        assert (node.op_type, node.name) == ("Gemm", "first")
        assert re.fullmatch(r"Gemm 'first', whose h differs from the reference's by 0\.1\d* of the largest figure", part.told)
        assert list(part.inputs) == ["x"]
        assert not (tmp_path / "tried").exists()

    def test_it_still_fails_alone(self, tmp_path: Path) -> None:
        part = found(tmp_path, Faulty(operator="Softmax"))
        assert part.model is not None
        onnx.checker.check_model(onnx.load_from_string(part.model))
        (tmp_path / "again").mkdir()
        artifact = artifact_of(tmp_path / "again", onnx.load_from_string(part.model))
        right, wrong = (answers(one, artifact, part.inputs)["y"] for one in (OnnxRuntime(), Faulty(operator="Softmax")))
        np.testing.assert_allclose(right, part.expected["y"], atol=1e-6)
        assert np.abs(wrong - part.expected["y"]).max() > 1e-3

    def test_a_runtime_that_is_right_has_none(self, tmp_path: Path) -> None:
        part = found(tmp_path, OnnxRuntime())
        assert (part.model, part.told[:4]) == (None, "none")

    def test_the_node_that_is_refused(self, tmp_path: Path) -> None:
        part = found(tmp_path, Refusing(operators=("Relu",)))
        assert part.model is not None
        assert [node.op_type for node in onnx.load_from_string(part.model).graph.node] == ["Relu"]
        assert part.told == "Relu, which is refused: it does not know Relu"

    def test_the_shortest_beginning_that_is_refused_where_no_node_alone_is(self, tmp_path: Path) -> None:
        part = found(tmp_path, Refusing(operators=("Gemm", "Relu")))
        assert part.model is not None
        assert [node.op_type for node in onnx.load_from_string(part.model).graph.node] == ["Gemm", "Relu"]
        assert part.told.startswith("the first 2 of 4 nodes, which are refused: it does not know Gemm with Relu")
        assert list(part.inputs) == ["x"]

    def test_what_the_reference_does_not_know_is_taken_from_the_runtime(self, tmp_path: Path) -> None:
        model = net()
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        relu = model.graph.node[1]
        relu.op_type, relu.domain = "QuickGelu", "com.microsoft"
        part = found(tmp_path, Faulty(operator="Softmax"), model)
        assert part.model is not None
        assert [node.op_type for node in onnx.load_from_string(part.model).graph.node] == ["Softmax"]

    def test_texts(self, tmp_path: Path) -> None:
        graph = helper.make_graph(
            [
                helper.make_node("LabelEncoder", ["x"], ["n"], domain="ai.onnx.ml", keys_strings=["a"], values_floats=[3.0]),
                helper.make_node("Neg", ["n"], ["y"]),
            ],
            "texts",
            [helper.make_tensor_value_info("x", TensorProto.STRING, ["rows", 1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
        )
        sets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
        model = helper.make_model(graph, opset_imports=sets, ir_version=9)
        part = found(tmp_path, Faulty(operator="Neg"), model, {"x": np.array([["a"], ["b"]])})
        assert part.inputs["n"].tolist() == [[3.0], [0.0]]

    def test_what_is_no_onnx_is_not_searched(self, tmp_path: Path) -> None:
        artifact = artifact_of(tmp_path, net())
        for other, tensors in (
            (replace(artifact, kind="openvino"), X),
            (replace(artifact, size_bytes=2**31), X),
            (artifact, {}),
        ):
            assert smallest.find(OnnxRuntime(), other, tensors, Tolerance(), tmp_path / "tried").told.startswith("not searched")
        artifact.path.write_text("no graph")
        assert smallest.find(OnnxRuntime(), artifact, X, Tolerance(), tmp_path / "tried").model is None

    def test_a_graph_inside_a_node_takes_names_from_outside(self) -> None:
        inner = helper.make_graph(
            [helper.make_node("Add", ["outside", "own"], ["sum"]), helper.make_node("Neg", ["sum"], ["inner"])],
            "then", [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.ones(1, np.float32), "own")],
        )  # fmt: skip
        node = helper.make_node("If", ["condition"], ["y"], then_branch=inner, else_branch=inner)
        assert names_in(node) == ["condition", "outside"]


def answers(runtime: OnnxRuntime, artifact: Artifact, tensors: Batch) -> Mapping[str, np.ndarray]:
    folder = artifact.folder.parent / f"ready_{type(runtime).__name__}"
    folder.mkdir()
    return runtime.open(runtime.ready(artifact, folder), {}).run(tensors)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "store")
    (store.root / "given").mkdir()
    return store


@pytest.fixture
def model(store: LocalStore) -> SourceModel:
    return saved_onnx(store.root / "given" / "fetched", net())


def converted(store: LocalStore, model: SourceModel, runtime: OnnxRuntime, **settings: Any) -> None:  # noqa: ANN401
    features = {"x": np.random.default_rng(2).normal(size=(30, 4)).astype(np.float32)}
    convert(
        store, {"onnx": Onnx()}, {"none": Plain()}, {"o": runtime}, model,
        rows_of(store.root / "given" / "rows", features), Conversion(isolation=Isolation.IN_PROCESS, **settings), Tolerance(),
    )  # fmt: skip


def bundle_of(caught: pytest.ExceptionInfo[ConversionError]) -> Path:
    """Where the error's last words say that it lies."""
    return Path(str(caught.value).rpartition("; to see it again: ")[2])


class TestBundle:
    @pytest.fixture
    def bundle(self, store: LocalStore, model: SourceModel, home: Path) -> Path:
        with pytest.raises(ConversionError, match="the export answers otherwise") as caught:
            converted(store, model, Faulty(operator="Gemm"), seconds=60)
        found = bundle_of(caught)
        assert found == home / "repro" / f"tiny-1-{model.digest[:8]}"
        return found

    def test_everything_is_there(self, bundle: Path) -> None:
        assert {path.name for path in bundle.iterdir()} == {
            "what.txt", "versions.json", "inputs.npz", "original.npz", "exported.npz", "model.onnx", "run.py",
            "smallest.onnx", "smallest.npz",
        }  # fmt: skip
        assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]
        inputs, original, exported = (load_arrays(bundle / f"{name}.npz") for name in ("inputs", "original", "exported"))
        assert set(inputs) == {"records/x", "tensors/x"}
        assert len(inputs["records/x"]) == len(original["y"]) == len(exported["y"]) <= 8
        assert (np.abs(original["y"] - exported["y"]).max(axis=1) > 1e-4).all()

    def test_what_it_says(self, bundle: Path) -> None:
        said = (bundle / "what.txt").read_text()
        assert "the export answers otherwise: the largest relative difference" in said or "smallest cosine" in said
        assert "fdpipe run model=tiny/1 converter=onnx converter.isolation=in_process converter.seconds=60\n" in said
        assert "case 'evaluation'" in said
        assert "Gemm 'first', whose h differs from the reference's by 0.1" in said
        versions = json.loads((bundle / "versions.json").read_text())
        assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
        assert set(versions["beside the original"]) == {"onnx", "onnxruntime"}
        assert "numpy" in versions["packages"]

    def test_the_smallest_part_is_the_faulty_node_and_fails_again(self, bundle: Path, tmp_path: Path) -> None:
        part = onnx.load(bundle / "smallest.onnx")
        assert [node.name for node in part.graph.node] == ["first"]
        arrays = load_arrays(bundle / "smallest.npz")
        wrong = answers(Faulty(operator="Gemm"), artifact_of(tmp_path, part), {"x": arrays["inputs/x"]})
        assert np.abs(wrong["h"] / arrays["expected/h"] - 1.1).max() < 1e-4

    def test_it_runs_without_fdpipe(self, bundle: Path) -> None:
        """ONNX Runtime itself is right: the fault is the runtime's that wraps it."""
        done = subprocess.run(
            [sys.executable, "-I", bundle / "run.py"], capture_output=True, text=True, check=True, timeout=120, cwd="/"
        )
        assert re.search(r"^model.onnx: y differs by \S+ at most$", done.stdout, re.MULTILINE)
        assert re.search(r"^smallest.onnx: h differs by (0|\S+e-0[78]) at most$", done.stdout, re.MULTILINE)

    def test_the_next_failure_takes_its_place(self, bundle: Path, store: LocalStore, model: SourceModel) -> None:
        (bundle / "left over").touch()
        with pytest.raises(ConversionError, match="cannot be opened") as caught:
            converted(store, model, Refusing(operators=("Softmax",)))
        assert bundle_of(caught) == bundle
        assert not (bundle / "left over").exists()
        assert [node.op_type for node in onnx.load(bundle / "smallest.onnx").graph.node] == ["Softmax"]
        assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def evidence_of(model: SourceModel, **known: Any) -> Evidence:  # noqa: ANN401
    settings: dict[str, Any] = {"runtime": OnnxRuntime(), "tolerance": Tolerance(), "command": "fdpipe run", "records": X}
    return Evidence(model=model, **settings | known)


def test_before_there_is_an_export_the_rows_are_kept(model: SourceModel) -> None:
    with (
        pytest.raises(ConversionError, match=r"^it cannot be exported; to see it again: ") as caught,
        repro.kept(evidence_of(model)),
    ):
        raise ConversionError("it cannot be exported")
    bundle = bundle_of(caught)
    assert set(load_arrays(bundle / "inputs.npz")) == {"records/x"}
    assert "it cannot be exported" in (bundle / "what.txt").read_text()
    assert not (bundle / "model.onnx").exists()


def test_weights_beside_the_graph_come_along(model: SourceModel, tmp_path: Path) -> None:
    artifact = artifact_of(tmp_path, net())
    onnx.save_model(net(), artifact.path, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    told = Difference(told="it differs", case="evaluation", records=X, tensors=X)
    bundle = repro.write(evidence_of(model, artifact=artifact, difference=told), "it differs")
    assert bundle is not None
    assert (bundle / "model.onnx.data").stat().st_size > 0
    onnx.load(bundle / "model.onnx")


def test_a_bundle_that_cannot_be_written_is_no_error_of_its_own(
    model: SourceModel, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home.mkdir()
    (home / "repro").write_text("no folder")
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ConversionError, match=r"^it cannot be exported$"),
        repro.kept(evidence_of(model)),
    ):
        raise ConversionError("it cannot be exported")
    assert "the repro bundle of tiny cannot be written" in caplog.text


def test_other_errors_leave_none(model: SourceModel, home: Path) -> None:
    with pytest.raises(StageError), repro.kept(evidence_of(model)):
        raise StageError("the disk is full")
    assert not (home / "repro").exists()


def test_a_name_cannot_lead_out_of_the_folder(model: SourceModel, home: Path) -> None:
    evil = replace(model, ref=replace(model.ref, name="../../evil"))
    bundle = repro.write(evidence_of(evil), "it fails")
    assert bundle is not None
    assert bundle.parent == home / "repro"


def test_the_program_tells_other_labels_and_what_has_no_counterpart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fdpipe.repro import run

    graph = helper.make_graph(
        [helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0), helper.make_node("Neg", ["x"], ["other"])],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("other", TensorProto.FLOAT, ["rows", 4]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save_arrays(tmp_path / "inputs.npz", {"tensors/x": X["x"], "records/text": np.array(["a"])})
    archive = np.load(tmp_path / "inputs.npz")
    assert run.under(archive, "records")["text"].dtype == object
    run.compare(artifact_of(tmp_path, model).path, run.under(archive, "tensors"), {"label": np.array([9, 9])})
    said = capsys.readouterr().out
    assert "model.onnx: label differs in 2 places" in said
    assert "model.onnx: other is array(" in said
