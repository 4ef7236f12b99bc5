"""Three tiny models and all that a release of them needs: a classifier of tensors, a regressor of named columns, and one that
answers what it is given, in every datatype."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model
from onnx.helper import make_tensor_value_info as value

from fdpipe import shipment, workers
from fdpipe.arrays import Batch, save_arrays
from fdpipe.artifacts import (
    Answers,
    Artifact,
    Baseline,
    Candidate,
    Data,
    Evaluation,
    Invariance,
    Measured,
    Measurement,
    ModelRef,
    Outcome,
    Parity,
    Release,
    Rows,
    SourceModel,
    Task,
    TensorSpec,
    Trial,
    Verdict,
)
from fdpipe.content import tree_digest
from fdpipe.interfaces import Processor
from fdpipe.machine import describe_machine
from fdpipe.monitor.host import Host
from fdpipe.monitor.model import Model
from fdpipe.monitor.service import Service
from fdpipe.processor.image import Image
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from fdpipe.processor.text import Text
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.sizing import Wishes
from fdpipe.stages.package import SERVE_TIME, SERVING, ReleaseOrder, package
from fdpipe.store import LocalStore

CITIES = ("Bern", "Chur", "Zug")
AGE, CITY, HEIGHT = "age", "city", "height (cm)"

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "string",
)  # fmt: skip
AXES: dict[int, tuple[int | str, ...]] = {1: ("rows",), 2: ("rows", 2), 3: ("rows", 2, "any"), 4: ("rows", 1, 2, 3)}
"""By rank."""


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """What the package stage is given."""

    order: ReleaseOrder
    model: SourceModel
    baseline: Baseline
    trial: Trial
    data: Data
    measured: Measured
    verdict: Verdict

    def packaged(self, store: LocalStore) -> Release:
        """The release."""
        return package(store, self.order, self.model, self.baseline, self.trial, self.data, self.measured, self.verdict)


def digits(folder: Path, *, seed: int = 0, bias: float = 0.0) -> Pieces:
    """`x` of four numbers → a label of three and its probabilities."""
    rng = np.random.default_rng(seed)
    weights = numpy_helper.from_array(rng.normal(size=(4, 3)).astype(np.float32), "weights")
    shift = numpy_helper.from_array(np.array([bias, 0, 0], np.float32), "shift")
    nodes = [
        helper.make_node("Gemm", ["x", "weights", "shift"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [value("label", TensorProto.INT64, ["rows"]), value("probabilities", TensorProto.FLOAT, ["rows", 3])]
    graph = helper.make_graph(nodes, "digits", [value("x", TensorProto.FLOAT, ["rows", 4])], outputs, [weights, shift])
    inputs = (TensorSpec(name="x", dtype="float32", shape=("rows", 4)),)
    rows = {"x": rng.normal(size=(40, 4)).astype(np.float32)}
    artifact = saved(folder, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), inputs)
    return pieces_of(folder, "digits", artifact, inputs, rows, Plain(), Task.CLASSIFICATION)


def prices(folder: Path) -> Pieces:
    """The columns age (missing: 0), city and height (missing: the answer is no number) → a value."""
    pairs = {"keys_strings": list(CITIES), "values_floats": [10.0, 20.0, 30.0], "default_float": 0.0}
    zero = numpy_helper.from_array(np.zeros((1,), np.float32), "zero")
    nodes = [
        helper.make_node("IsNaN", [AGE], ["missing"]),
        helper.make_node("Where", ["missing", "zero", AGE], ["known"]),
        helper.make_node("LabelEncoder", [CITY], ["code"], domain="ai.onnx.ml", **pairs),
        helper.make_node("Sum", ["known", "code", HEIGHT], ["sum"]),
        helper.make_node("Reshape", ["sum", "flat"], ["value"]),
    ]
    flat = numpy_helper.from_array(np.array([-1], np.int64), "flat")
    types = {AGE: TensorProto.FLOAT, CITY: TensorProto.STRING, HEIGHT: TensorProto.FLOAT}
    graph_inputs = [value(name, kind, ["rows", 1]) for name, kind in types.items()]
    graph = helper.make_graph(nodes, "prices", graph_inputs, [value("value", TensorProto.FLOAT, ["rows"])], [zero, flat])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    dtypes = {AGE: "float32", CITY: "string", HEIGHT: "float32"}
    specs = tuple(TensorSpec(name=name, dtype=dtype, shape=("rows", 1)) for name, dtype in dtypes.items())
    columns = {AGE: "float64", CITY: "string", HEIGHT: "float64"}
    inputs = tuple(TensorSpec(name=name, dtype=dtype, shape=("rows",)) for name, dtype in columns.items())
    rng = np.random.default_rng(1)
    rows = {AGE: rng.integers(20, 60, 40).astype(float), CITY: rng.choice(CITIES, 40), HEIGHT: rng.uniform(150, 190, 40)}
    rows[AGE][3] = np.nan
    artifact = saved(folder, helper.make_model(graph, opset_imports=opsets), specs)
    return pieces_of(folder, "prices", artifact, inputs, rows, Tabular(), Task.REGRESSION)


def echo(folder: Path) -> Pieces:
    """`<dtype>_<rank>` → `<dtype>_<rank>_out`, the same again, for all of `DTYPES` and `AXES`."""
    inputs = tuple(
        TensorSpec(name=f"{dtype}_{rank}", dtype=dtype, shape=shape) for dtype in DTYPES for rank, shape in AXES.items()
    )
    kinds = {dtype: helper.np_dtype_to_tensor_dtype(np.dtype(dtype)) for dtype in DTYPES if dtype != "string"}
    kinds["string"] = TensorProto.STRING
    nodes = [helper.make_node("Identity", [spec.name], [f"{spec.name}_out"]) for spec in inputs]
    given = [value(spec.name, kinds[spec.dtype], spec.shape) for spec in inputs]
    answered = [value(f"{spec.name}_out", kinds[spec.dtype], spec.shape) for spec in inputs]
    model = helper.make_model(helper.make_graph(nodes, "echo", given, answered), opset_imports=[helper.make_opsetid("", 17)])
    rng = np.random.default_rng(2)
    rows = {spec.name: anything(rng, spec, 40) for spec in inputs}
    return pieces_of(folder, "echo", saved(folder, model, inputs), inputs, rows, Plain(), Task.TENSORS)


def anything(rng: np.random.Generator, spec: TensorSpec, rows: int) -> np.ndarray:
    """An array of the spec with so many rows (symbolic axes have 3): all that its dtype can say, but for what is not finite."""
    shape = (rows, *(axis if isinstance(axis, int) else 3 for axis in spec.shape[1:]))
    if spec.dtype == "string":
        return rng.choice(np.array(["", "a", "ß漢\0", "line\nline", '"\\', "z" * 300], dtype=object), shape)
    if spec.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        array = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
        array.flat[:2] = [limits.min, limits.max]
        return array
    array = rng.normal(size=shape).astype(dtype)
    array.flat[:2] = [np.finfo(dtype).max, np.finfo(dtype).tiny]
    return array


def asked_directly(pieces: Pieces, records: Batch) -> dict[str, np.ndarray]:
    """What the model answers in this process."""
    processor: Processor = workers.build_spec(pieces.baseline.processor)
    artifact = pieces.baseline.artifact
    engine = OnnxRuntime().open(artifact, {})
    return processor.finish(engine.run(processor.prepare(records)))


def saved(folder: Path, model: object, inputs: tuple[TensorSpec, ...]) -> Artifact:
    """The ONNX model as a file."""
    path = folder / "model" / "model.onnx"
    path.parent.mkdir(parents=True)
    model.ir_version = 10  # type: ignore[attr-defined]
    save_model(model, path)
    return Artifact(
        kind="onnx", path=path, digest=tree_digest(path.parent), size_bytes=path.stat().st_size, inputs=inputs, outputs=()
    )


def pieces_of(
    folder: Path,
    name: str,
    artifact: Artifact,
    inputs: tuple[TensorSpec, ...],
    rows: Batch,
    processor: Plain | Tabular | Text | Image,
    task: Task,
) -> Pieces:
    """What the package stage is given of this model, whose rows are `rows`."""
    ref = ModelRef(name=name, version="7", uri=f"models:/{name}/7", digest="0" * 64)
    model = SourceModel(
        ref=ref, flavour="onnx", serialization="onnx", inputs=inputs, outputs=(), columns=isinstance(processor, Tabular),
        path=folder, digest="0" * 64,
    )  # fmt: skip
    files = folder / "processor"
    files.mkdir()
    bound = processor.bind(model, artifact.inputs, files)
    answers = bound.finish(OnnxRuntime().open(artifact, {}).run(bound.prepare(rows)))
    reference = Answers(path=folder / "answers.npz", digest=save_arrays(folder / "answers.npz", answers))
    parity = Parity(rows=40, flips=0, largest_difference=0.0, worst_row=None, tolerance=1e-5)
    candidate = Candidate(runtime="onnxruntime", recipe="none", session={"threads": 1})
    evaluation = Evaluation(
        rows=40, quality={}, reference={}, agreement=1.0, answers=reference,
        invariance=Invariance(rows=40, changed=0, largest_difference=0.0, worst_setting=""),
    )  # fmt: skip
    measurement = Measurement(
        candidate=candidate.name, timings=(), load_ms=1.0, first_call_ms=1.0, peak_rss_mib=None, size_bytes=1
    )
    return Pieces(
        order=ReleaseOrder(
            service=f"{name}-cpu",
            target="cpu",
            runtime=OnnxRuntime(),
            monitors={"service": Service(), "host": Host(interval_s=0.2), "model": Model()},
            sizes=Wishes(timeout_s=10.0),
            max_body_mib=1.0,
            golden_requests=8,
            code=shipment.source_digest(shipment.reached([SERVING])),
            requirements=shipment.pinned([*SERVE_TIME, *OnnxRuntime.packages, *getattr(processor, "packages", ())]),
        ),
        model=model,
        baseline=Baseline(
            artifact=artifact,
            task=task,
            processor=workers.spec("processor", bound, files if any(files.iterdir()) else None),
            parity=parity,
            reference=reference,
        ),
        trial=Trial(candidate=candidate, artifact=artifact, evaluation=evaluation),
        data=Data(evaluation=_rows(folder, "evaluation", rows), calibration=_rows(folder, "calibration", rows)),
        measured=Measured(measurements=(measurement,), baseline=candidate.name, threads=1, machine=describe_machine()),
        verdict=Verdict(outcome=Outcome.PASS, passed=(candidate.name,), results=(), reason="all checks passed"),
    )


def _rows(folder: Path, role: str, rows: Batch) -> Rows:
    path = folder / f"{role}.npz"
    return Rows(role=role, path=path, digest=save_arrays(path, rows), count=40, labelled=False)
