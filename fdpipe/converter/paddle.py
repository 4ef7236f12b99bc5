"""PaddlePaddle's inference models, `.pdmodel` and the newer `.json`, exported with paddle2onnx."""

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe import extras
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter._exported import EXPORTER, OPSET, finished, given, in_parts, one_line, words
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_settings

PROGRAMS = (".json", ".pdmodel")

WEIGHTS = ".pdiparams"

PICKLED = ".pdparams"
"""What paddle.Model saves for training: weights without a network."""

NAMES = ("", "/inference", "/model", "/__model__")
"""What may follow the name that MLmodel has, which is a file's without its ending, or a folder."""

PADDLE2ONNX = (
    "import sys; sys.path[:] = {path!r}; import paddle2onnx; paddle2onnx.export({program!r}, {weights!r}, {target!r}, \
opset_version={opset}, optimize_tool='')"
)
"""Run in a process of its own: where an operator has no ONNX, paddle2onnx aborts the process that it is in."""


@dataclass(frozen=True, kw_only=True)
class Paddle:
    """No settings."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("paddlepaddle", "paddlepaddle-gpu", "paddle2onnx", "onnx")
    exporter: ClassVar[tuple[str, ...]] = ("paddle2onnx>=2.0.1,<2.1", "setuptools>=60,<90", *EXPORTER)
    extra: ClassVar[str] = "paddle"

    def accepts(self, model: SourceModel) -> bool:
        """The flavour `paddle`, MLflow's or a team's own, whose `pickled_model` names the files."""
        return model.flavour == "paddle"

    def risk(self, model: SourceModel) -> str | None:
        """A program is a graph, no code, and its weights are plain numbers; what is kept for training is a pickle."""
        return f"a pickle, {pickled.name}" if not _program(model) and (pickled := _beside(model, PICKLED)) else None

    def load(self, model: SourceModel) -> "Program":
        """The program, opened by Paddle's inference engine without any of its optimizations."""
        program = _program(model)
        if program is None and (pickled := _beside(model, PICKLED)):
            raise ConversionError(f"{pickled.name} holds weights and no program: save the model for inference (training=False)")
        if program is None:
            said = flavour_settings(model.path, model.flavour).get("pickled_model")
            raise ConversionError(f"MLmodel names {said!r}, where there is neither a .json nor a .pdmodel file")
        weights = program.with_suffix(WEIGHTS)
        if not weights.is_file():
            raise ConversionError(f"{program.name} has no {weights.name} beside it: both are needed")
        predictor = _opened(program, weights)
        graph = _exported(program, weights)
        inputs, outputs = predictor.get_input_names(), predictor.get_output_names()
        return Program(predictor, graph, tuple(inputs), *words(inputs, outputs))

    def export(self, model: SourceModel, original: "Program", folder: Path, precision: Precision) -> Export:
        """Names are the program's own."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("a Paddle program is exported in the floats that it has")
        graph = original.to_onnx()
        outputs = [value.name for value in graph.graph.output]
        if len(outputs) != len(original.outputs):
            raise ConversionError(f"paddle2onnx made {len(outputs)} outputs of {len(original.outputs)}")
        inputs = dict(zip(original.names, original.inputs, strict=True))
        return finished(graph, folder, inputs, dict(zip(outputs, original.outputs, strict=True)))

    def predict(self, model: SourceModel, original: "Program", features: Batch) -> dict[str, np.ndarray]:
        """The engine's answers."""
        arrays = given(model, features, original.inputs, original.dtypes())
        if not len(arrays[0]):
            raise ConversionError("the original cannot answer: Paddle takes no empty batch")
        try:
            return in_parts(dict(zip(original.inputs, arrays, strict=True)), original.ask)
        except _failures() as error:
            raise ConversionError(f"the original cannot answer: {one_line(error)}") from error


@dataclass(frozen=True)
class Program:
    """An inference model that is open, and its graph in ONNX; `names` are its inputs', `inputs` and `outputs` our words."""

    predictor: Any
    graph: bytes
    names: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def to_onnx(self) -> Any:  # noqa: ANN401 - a ModelProto
        """The graph as paddle2onnx made it."""
        import onnx

        return onnx.load_from_string(self.graph)

    def dtypes(self) -> list[str]:
        """What the inputs take, which the engine itself does not say."""
        from onnx import helper

        kinds = {value.name: value.type.tensor_type.elem_type for value in self.to_onnx().graph.input}
        if lacking := [name for name in self.names if name not in kinds]:
            raise ConversionError(f"paddle2onnx left out the input {lacking[0]!r}")
        return [np.dtype(helper.tensor_dtype_to_np_dtype(kinds[name])).name for name in self.names]

    def ask(self, batch: Batch) -> dict[str, np.ndarray]:
        """The answers to arrays by our names for the inputs."""
        for name, word in zip(self.names, self.inputs, strict=True):
            handle = self.predictor.get_input_handle(name)
            handle.reshape(batch[word].shape)
            handle.copy_from_cpu(np.ascontiguousarray(batch[word]))
        self.predictor.run()
        handles = [self.predictor.get_output_handle(name) for name in self.predictor.get_output_names()]
        return {word: np.array(handle.copy_to_cpu()) for word, handle in zip(self.outputs, handles, strict=True)}


def _failures() -> tuple[type[Exception], ...]:
    return (ValueError, TypeError, RuntimeError, LookupError, AttributeError, OSError, NotImplementedError)


def _beside(model: SourceModel, *endings: str) -> Path | None:
    """The first file with one of these endings where MLmodel says that the model is, inside its folder."""
    said = str(flavour_settings(model.path, model.flavour).get("pickled_model") or "model")
    root = model.path.resolve()
    files = [(root / f"{said}{name}{ending}").resolve() for name in NAMES for ending in endings]
    return next((file for file in files if file.is_relative_to(root) and file.is_file()), None)


def _program(model: SourceModel) -> Path | None:
    return _beside(model, *PROGRAMS)


def _opened(program: Path, weights: Path) -> Any:  # noqa: ANN401 - Paddle's own type
    inference = extras.require("paddle.inference", extra="paddle")
    try:
        config = inference.Config(str(program), str(weights))
        config.disable_gpu()
        config.disable_glog_info()
        config.switch_ir_optim(False)
        return inference.create_predictor(config)
    except _failures() as error:
        raise ConversionError(f"Paddle cannot load {program.name}: {one_line(error)}") from error


def _exported(program: Path, weights: Path) -> bytes:
    """The graph that paddle2onnx makes."""
    extras.require("paddle2onnx", extra="paddle")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "model.onnx")
        code = PADDLE2ONNX.format(
            path=sys.path, program=str(program), weights=str(weights), target=str(target), opset=OPSET
        )  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            cwd=folder, text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode == 0 and target.is_file():
            return target.read_bytes()
    raise ConversionError(f"paddle2onnx cannot export {program.name}: {_told(done.stdout, done.returncode)}")


def _told(output: str, code: int) -> str:
    """What it has said of the failure, in one line."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", output)
    errors = re.findall(r"\[ERROR\](?:\[Paddle2ONNX\])?\s*(.+)", plain) or re.findall(
        r"^\w*(?:Error|Exception): .+", plain, re.M
    )
    return " ".join(errors[0].split())[:400] if errors else f"it ended with exit code {code}"
