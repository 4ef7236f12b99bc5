"""Where the time of a call goes in ONNX Runtime: its own profile, read."""

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import NodeTime

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto
    from onnxruntime import SessionOptions

WARMUP_CALLS = 2
CALLS = 16

ENDING = "_kernel_time"
"""How the event of a node's execution ends; it begins with the node's name."""

ADDED = re.compile(r"(_token_\d+|_nchwc|/\w+Fusion)+$")
"""What ONNX Runtime appends to the name of a node, or of its output, that it replaces."""


def measured(path: Path, options: Callable[[], "SessionOptions"], provider: str, batch: Batch) -> tuple[NodeTime, ...]:
    """Every node of the model as ONNX Runtime runs it. A node's name is that of its first output in the model's file or,
    where it has taken the place of a node there, of that one's; its time is the mean of the middle half of all calls, for
    ONNX Runtime counts in whole microseconds."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as scratch:
        given, final = onnx.load(path, load_external_data=False), Path(scratch, "model.onnx")
        settings = options()
        settings.optimized_model_filepath = str(final)
        if any(tensor.external_data for tensor in given.graph.initializer):
            settings.add_session_config_entry("session.optimized_model_external_initializers_file_name", "model.data")
        onnxruntime.InferenceSession(str(path), settings, providers=[provider])
        model = onnx.load(final, load_external_data=False)
        for number, node in enumerate(model.graph.node):
            node.name = f"{number}/{node.name}"
        onnx.save_model(model, final)
        spent = _spent(final, options(), provider, batch)
    names = _names(model, given)
    made_by = {output: name for node, name in zip(model.graph.node, names, strict=True) for output in node.output if output}
    return tuple(
        NodeTime(
            node=names[number],
            operator=node.op_type,
            ms=_typical(spent[node.name]),
            inputs=tuple(dict.fromkeys(_makers(node, made_by, names[number]))),
        )
        for number, node in enumerate(model.graph.node)
        if node.name in spent
    )


def _spent(path: Path, options: "SessionOptions", provider: str, batch: Batch) -> Mapping[str, list[float]]:
    """The microseconds of every node in every call, by its name; the model is optimized no more."""
    import onnxruntime

    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling, options.profile_file_prefix = True, str(path.with_name("profile"))
    session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    for _ in range(WARMUP_CALLS + CALLS):
        session.run(None, dict(batch))
    events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text())
    spent = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(ENDING):
            spent[event["name"].removesuffix(ENDING)].append(float(event["dur"]))
    return spent


def _typical(microseconds: list[float]) -> float:
    """The mean of the middle half, in milliseconds, without the calls that warm up."""
    found = np.sort(microseconds[len(microseconds) * WARMUP_CALLS // (WARMUP_CALLS + CALLS) :])
    quarter = len(found) // 4
    return float(np.mean(found[quarter : len(found) - quarter])) / 1e3


def _names(model: "ModelProto", given: "ModelProto") -> list[str]:
    """What each node is called in the model that was given."""
    outputs = {name for node in given.graph.node for name in node.output}
    named = {node.name: node.output[0] for node in given.graph.node if node.name}
    return [_name(node, outputs, named) for node in model.graph.node]


def _name(node: "NodeProto", outputs: set[str], named: Mapping[str, str]) -> str:
    first = str(node.output[0])
    if first in outputs:
        return first
    own = node.name.partition("/")[2]
    for name in (own, ADDED.sub("", own)):
        if name in named:
            return named[name]
    bare = ADDED.sub("", own)
    return bare if bare in outputs else first


def _makers(node: "NodeProto", made_by: Mapping[str, str], own: str) -> list[str]:
    """The nodes whose outputs it takes, but for those that bear its own name: parts of one node of the model's."""
    return [made_by[name] for name in node.input if made_by.get(name, own) != own]
