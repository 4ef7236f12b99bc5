"""The smallest part of an export that still fails: the first operator that the runtime computes otherwise than ONNX's own
reference, or the first part of the graph that it refuses."""

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch, rows_in
from fdpipe.artifacts import Artifact
from fdpipe.content import file_digest
from fdpipe.errors import StageError
from fdpipe.interfaces import Runtime
from fdpipe.plan import Tolerance

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

NOT_ASKED = ("ImageDecoder", "RegexFullMatch", "StringNormalizer")
"""What the reference is not asked to compute: it decodes with Pillow, which starts programs; it may search for ever; and it
changes the locale of the process."""

LARGEST_BYTES = 2**30
SECONDS = 20.0
"""A graph with more bytes is not searched, and no search takes longer: the reference computes with numpy, in one process."""

ROUNDING = 1e-5
"""An operator's difference, relative to its largest figure, that rounding may make: no tolerance is smaller here."""


@dataclass(frozen=True, kw_only=True)
class Smallest:
    """What was found: the sentence and, where there is such a part, its ONNX model with its inputs and the reference's
    answers."""

    told: str
    model: bytes | None = None
    inputs: Batch = field(default_factory=dict)
    expected: Batch = field(default_factory=dict)


def find(runtime: Runtime, artifact: Artifact, tensors: Batch, tolerance: Tolerance, folder: Path) -> Smallest:
    """Search the graph, node by node in its order, with what the reference computes from the tensors; parts to be tried by
    the runtime are written into `folder`, which is made and removed."""
    if artifact.kind != "onnx" or artifact.size_bytes > LARGEST_BYTES or not rows_in(tensors):
        return Smallest(told="not searched: only in ONNX graphs of at most 1 GiB, with rows that reach them")
    try:
        model = graphs.read(artifact.path)
    except graphs.library_errors():
        return Smallest(told="not searched: the export cannot be read as ONNX")
    folder.mkdir()
    try:
        return _Search(runtime, model, _texts_as_objects(tensors), tolerance, folder).find()
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class _Part:
    """A part of the graph as a model, with its concrete inputs."""

    model: "ModelProto"
    inputs: Batch


class _Search:
    """`values` are the tensors inside the graph, as far as they are known."""

    def __init__(self, runtime: Runtime, model: "ModelProto", tensors: Batch, tolerance: Tolerance, folder: Path) -> None:
        from onnx import numpy_helper

        self._runtime, self._model, self._folder = runtime, model, folder
        self._allowed = max(ROUNDING, min(tolerance.probabilities, tolerance.values))
        self._weights = {weight.name: weight for weight in model.graph.initializer}
        self._values = {name: numpy_helper.to_array(weight) for name, weight in self._weights.items()} | dict(tensors)
        self._given = dict(tensors)
        self._until = time.monotonic() + SECONDS
        self._tried = 0

    def find(self) -> Smallest:
        whole = _Part(self._model, self._given)
        refusal = self._refusal(whole)
        for node in self._model.graph.node:
            if time.monotonic() > self._until:
                return Smallest(told=f"not found in {SECONDS:g} s: the operators before {_called(node)} are right")
            if found := self._failing(node, refused=bool(refusal)):
                return found
        if refusal:
            return self._shortest(refusal)
        return Smallest(told="none: the runtime computes every operator as ONNX's reference does, the graph itself differs")

    def _failing(self, node: "NodeProto", *, refused: bool) -> Smallest | None:
        """The node alone, if the runtime refuses it, where it refuses the whole, or else computes it otherwise than the
        reference. What the node gives is known from now on, as the reference has it or else the runtime."""
        if node.op_type.startswith("Random") or any(name not in self._values for name in names_in(node)):
            return None
        part = self._cut([node])
        expected = _by_reference(part)
        try:
            found = self._run(part)
        except StageError as error:
            self._values |= expected
            return self._told(part, expected, f"{_called(node)}, which is refused: {error}") if refused else None
        self._values |= {name: array for name, array in (found | expected).items() if isinstance(array, np.ndarray)}
        for name, array in expected.items():
            if name in found and (apart := _apart(array, found[name])) > self._allowed:
                told = f"{_called(node)}, whose {name} differs from the reference's by {apart:.3g} of the largest figure"
                return self._told(part, expected, told)
        return None

    def _shortest(self, refusal: str) -> Smallest:
        """The shortest beginning of the graph that the runtime refuses, by halving."""
        nodes = list(self._model.graph.node)
        taken, refused = 0, len(nodes)
        if not self._refusal(self._cut(nodes)):
            return Smallest(told=f"none: only the whole graph as it is, which is refused: {refusal}")
        while refused - taken > 1 and time.monotonic() < self._until:
            middle = (taken + refused) // 2
            taken, refused = (taken, middle) if self._refusal(self._cut(nodes[:middle])) else (middle, refused)
        part = self._cut(nodes[:refused])
        told = f"the first {refused} of {len(nodes)} nodes, which are refused: {self._refusal(part)}"
        return self._told(part, {}, told)

    def _told(self, part: _Part, expected: Batch, told: str) -> Smallest:
        for value in part.model.graph.output:
            if value.name in expected:
                array = expected[value.name]
                value.CopyFrom(_info(value.name, array, [None] * array.ndim))
        return Smallest(told=told, model=part.model.SerializeToString(), inputs=part.inputs, expected=expected)

    def _cut(self, nodes: Sequence["NodeProto"]) -> _Part:
        """These nodes as a model that answers what the last one gives; what they need is its inputs, or weights in it."""
        from onnx import helper

        made: set[str] = set()
        needed: dict[str, None] = {}
        for node in nodes:
            needed |= dict.fromkeys(name for name in names_in(node) if name not in made)
            made |= set(node.output)
        inputs = {name: self._values[name] for name in needed if name not in self._weights}
        graph = helper.make_graph(
            list(nodes),
            "part",
            [_info(name, array, list(array.shape)) for name, array in inputs.items()],
            [_output(name) for name in nodes[-1].output if name],
            [self._weights[name] for name in needed if name in self._weights],
        )
        sets, own = self._model.opset_import, self._model.functions
        made_of = helper.make_model(graph, opset_imports=sets, functions=own, ir_version=self._model.ir_version)
        return _Part(made_of, inputs)

    def _refusal(self, part: _Part) -> str:
        """The runtime's words, where it refuses to open or to run it."""
        try:
            self._run(part)
        except StageError as error:
            return str(error)
        return ""

    def _run(self, part: _Part) -> dict[str, np.ndarray]:
        """What the runtime computes."""
        self._tried += 1
        folder = self._folder / str(self._tried)
        (folder / "opened").mkdir(parents=True)
        (folder / "model").mkdir()
        path = folder / "model" / "model.onnx"
        path.write_bytes(part.model.SerializeToString())
        inputs, outputs = graphs.specs(path)
        artifact = Artifact(
            kind="onnx", path=path, digest=file_digest(path), size_bytes=path.stat().st_size, inputs=inputs, outputs=outputs
        )
        try:
            engine = self._runtime.open(self._runtime.ready(artifact, folder / "opened"), {})
            try:
                return engine.run(part.inputs)
            finally:
                engine.close()
        finally:
            shutil.rmtree(folder)


def names_in(node: "NodeProto") -> list[str]:
    """What a node needs: its inputs, and what the graphs inside it take from outside."""
    found = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            own = {one.name for one in (*graph.input, *graph.initializer)} | {
                one for inner in graph.node for one in inner.output
            }
            found += [name for inner in graph.node for name in names_in(inner) if name not in own]
            found += [one.name for one in graph.output if one.name and one.name not in own]
    return list(dict.fromkeys(found))


def _by_reference(part: _Part) -> dict[str, np.ndarray]:
    """The reference's answers; none for what it does not know."""
    from onnx.reference import ReferenceEvaluator

    if any(name in NOT_ASKED for name in _operators(_nodes(part.model))):
        return {}
    failures: tuple[type[Exception], ...] = (*graphs.library_errors(), ImportError)
    try:
        with np.errstate(all="ignore"):
            answers = ReferenceEvaluator(part.model).run(None, dict(part.inputs))
    except failures:
        return {}
    names = [value.name for value in part.model.graph.output]
    found = {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, np.ndarray)}
    return _texts_as_objects(found)


def _nodes(model: "ModelProto") -> Iterator["NodeProto"]:
    """Those of the graph and of its functions."""
    for part in (model.graph, *model.functions):
        yield from part.node


def _operators(nodes: Iterable["NodeProto"]) -> Iterator[str]:
    """Those of the nodes, and of the graphs in them."""
    for node in nodes:
        yield node.op_type
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _operators(graph.node)


def _apart(expected: np.ndarray, found: np.ndarray) -> float:
    """How far apart they are, as a share of the largest figure; infinitely where not both are missing or infinite."""
    if expected.shape != found.shape:
        return np.inf
    if expected.dtype.kind != "f":
        return 0.0 if (expected.astype(str) == found.astype(str)).all() else np.inf
    ours, theirs = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(ours) & np.isfinite(theirs)
    if not (finite | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))).all():
        return np.inf
    largest = np.abs(ours[finite]).max(initial=0.0)
    apart = float(np.abs(ours[finite] - theirs[finite]).max(initial=0.0))
    return apart / largest if largest else apart


def _texts_as_objects(batch: Batch) -> dict[str, np.ndarray]:
    return {name: array.astype(object) if array.dtype.kind in "US" else array for name, array in batch.items()}


def _info(name: str, array: np.ndarray, shape: Sequence[int | None]) -> "ValueInfoProto":
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), shape)


def _output(name: str) -> "ValueInfoProto":
    """Its type is for the runtime to infer."""
    from onnx import ValueInfoProto

    return ValueInfoProto(name=name)


def _called(node: "NodeProto") -> str:
    return f"{node.op_type} {node.name!r}" if node.name else node.op_type
