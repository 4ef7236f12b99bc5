"""Builds one TensorRT engine: `python -m fdpipe.runtime._engine_builder` reads the job from stdin and writes what came of it.

It is a process of its own because the library writes to stdout and stderr as it likes, and may crash where there is no GPU.
TensorRT and TensorRT for RTX have the same interface; precision comes from the ONNX file alone (strongly typed).
"""

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fdpipe.artifacts import Unsupported

Span = tuple[int, int, int]
"""The least, the usual and the most that an axis may have."""

KEPT_WORDS = 20

SENTENCES = (
    r'&& "([^"]+)"',
    r"Usage Error \([^:]+: (.+?)\.? In \w+ at ",
    r"Assertion failed: .+?\): (.+)",
)
"""Where, in a C++ assertion, the words are."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be built: `library` is the module, `axes` the words of each input's axes (a number for one that is fixed),
    `spans` what each word may stand for, `capabilities` the GPUs to build for (none: the one that is here); `tf32` lets
    products of float32 be computed in TF32."""

    library: str
    model: Path
    engine: Path
    outcome: Path
    axes: Mapping[str, tuple[int | str, ...]]
    spans: Mapping[str, Span]
    capabilities: tuple[str, ...] = ()
    tf32: bool = True


@dataclass(frozen=True, kw_only=True)
class Built:
    """What came of it: where `reason` is not empty there is no engine, and `nodes` are those that were refused. `shapes` are
    the least, usual and most shape of each input."""

    version: str = ""
    reason: str = ""
    nodes: tuple[Unsupported, ...] = ()
    shapes: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)


def main() -> None:
    """Read the job, build, write the outcome."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job, dec_hook=lambda kind, value: kind(value))
    job.outcome.write_bytes(msgspec.json.encode(build(job)))


def build(job: Job) -> Built:
    """Parse the model, set the profile, build, and write the engine."""
    library = importlib.import_module(job.library)
    heard: list[str] = []
    logger = listener(library, heard)
    builder = library.Builder(logger)
    network = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = library.OnnxParser(network, logger)
    if not parser.parse_from_file(str(job.model)):
        return _refused(library, [parser.get_error(number) for number in range(parser.num_errors)], job.model, heard)
    config = builder.create_builder_config()
    if not job.tf32:
        config.clear_flag(library.BuilderFlag.TF32)
    shapes = _profile(builder, config, network, job)
    if wrong := _aim(library, config, job.capabilities):
        return Built(version=library.__version__, reason=wrong)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        return _failed(library, job.model, heard)
    job.engine.write_bytes(memoryview(engine))
    return Built(version=library.__version__, shapes=shapes)


def listener(library: Any, heard: list[str]) -> Any:  # noqa: ANN401 - the library's own types
    """A logger that keeps errors and warnings, and writes nothing."""

    class Listener(library.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:  # noqa: ANN401 - the library's own
            if severity <= library.ILogger.ERROR:
                heard.append(" ".join(message.split()))

    return Listener()


def _profile(builder: Any, config: Any, network: Any, job: Job) -> dict[str, tuple[tuple[int, ...], ...]]:  # noqa: ANN401 - the library's own
    """One optimization profile over every axis that the graph leaves open."""
    inputs = [network.get_input(number) for number in range(network.num_inputs)]
    shapes = {one.name: _spanned(tuple(one.shape), job.axes.get(one.name, ()), job.spans) for one in inputs}
    if any(-1 in tuple(one.shape) for one in inputs):
        profile = builder.create_optimization_profile()
        for name, spanned in shapes.items():
            profile.set_shape(name, *spanned)
        config.add_optimization_profile(profile)
    return shapes


def _spanned(shape: tuple[int, ...], words: Sequence[int | str], spans: Mapping[str, Span]) -> tuple[tuple[int, ...], ...]:
    known = [spans.get(str(word), spans[""]) for word in words] or [spans[""]] * len(shape)
    return tuple(tuple(size if size >= 0 else span[end] for size, span in zip(shape, known, strict=True)) for end in range(3))


def _aim(library: Any, config: Any, capabilities: Sequence[str]) -> str:  # noqa: ANN401 - the library's own
    """Name the GPUs to build for; what is wrong with them, if anything."""
    if not capabilities:
        return ""
    known = [name for name in library.ComputeCapability.__members__ if name.startswith("SM")]
    if unknown := sorted(set(capabilities) - set(known)):
        return f"{library.__name__} {library.__version__} builds for {', '.join(known)}, and not for {unknown[0]}"
    config.num_compute_capabilities = len(capabilities)
    for number, name in enumerate(capabilities):
        config.set_compute_capability(library.ComputeCapability.__members__[name], number)
    return ""


# --- what was refused -------------------------------------------------------------------------------------------------


def _refused(library: Any, errors: Sequence[Any], model: Path, heard: Sequence[str]) -> Built:  # noqa: ANN401 - the library's own
    """The parser's words, node by node, each node called by its first output."""
    graph = _graph(model)
    nodes = tuple(
        Unsupported(node=_called(error, graph), operator=error.node_operator(), reason=_said(error)) for error in errors
    )
    reasons = "; ".join(dict.fromkeys(f"{one.operator or 'the graph'} {one.node}: {one.reason}" for one in nodes))
    reason = reasons or "; ".join(heard[-KEPT_WORDS:]) or "its parser gave no reason"
    return Built(version=library.__version__, reason=reason, nodes=tuple(one for one in nodes if one.operator))


def _called(error: Any, graph: Any) -> str:  # noqa: ANN401 - the libraries' own
    number = error.node()
    outputs = graph.node[number].output if 0 <= number < len(graph.node) else []
    return (outputs[0] if outputs else "") or error.node_name()


def _said(error: Any) -> str:  # noqa: ANN401 - the library's own
    """The sentence in what may be a C++ assertion."""
    text = " ".join(error.desc().split())
    if "Plugin not found" in text or text == "false":
        return "there is no such operator"
    found = next((match for pattern in SENTENCES if (match := re.search(pattern, text))), None)
    return found[1] if found else text


def _failed(library: Any, model: Path, heard: Sequence[str]) -> Built:  # noqa: ANN401 - the library's own
    """The builder's words; the node, where it names one."""
    text = "; ".join(heard[-KEPT_WORDS:]) or "its builder gave no reason"
    named = re.search(r"operation '([^']+)' for (.+?): (.+?)\.? In \w+ at ", text)
    if named is None:
        return Built(version=library.__version__, reason=re.sub(r" In \w+ at /[^\s)]+", "", text))
    node, operator = _layer(named[1], model)
    refused = Unsupported(node=node, operator=operator, reason=f"{named[3]} on {named[2]}")
    return Built(version=library.__version__, reason=f"{operator} {node}: {refused.reason}", nodes=(refused,))


def _layer(name: str, model: Path) -> tuple[str, str]:
    """The first output and the operator of the node that became this layer; nodes without a name are called by their output."""
    for node in _graph(model).node:
        if name in (node.name, f"node_of_{node.output[0]}"):
            return node.output[0], node.op_type
    return name, ""


def _graph(model: Path) -> Any:  # noqa: ANN401 - onnx's own
    """The graph, or an empty one where the file is none."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(model, load_external_data=False).graph
    except DecodeError:
        return onnx.GraphProto()


if __name__ == "__main__":
    main()
