"""Which nodes of an ONNX graph the devices of a phone take, by ONNX Runtime's own lists of their operators."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdpipe.artifacts import Unsupported
from fdpipe.errors import StageError

if TYPE_CHECKING:
    from onnx import NodeProto

LISTED = ("nnapi", "coreml")
"""The devices of which ONNX Runtime's package brings a list; of XNNPACK and QNN it has none."""


def left_over(model: Path, devices: Iterable[str]) -> dict[str, tuple[Unsupported, ...]]:
    """For each device the nodes that stay on the processor, each called by its first output, with the reason.

    ONNX Runtime's usability check decides by the operator, open axes and the number of axes; what else a device wants of a
    node, as constant weights, it does not look at.
    """
    from onnxruntime.tools.onnx_model_utils import ModelProtoWithShapeInfo

    try:
        shaped = ModelProtoWithShapeInfo(model).model_with_shape_info
        return {device: _of_one(device, shaped) for device in devices}
    except (ValueError, TypeError, LookupError, RuntimeError) as error:
        raise StageError(f"the devices' operators cannot be compared with the model's: {error}") from error


def _of_one(device: str, model: Any) -> tuple[Unsupported, ...]:  # noqa: ANN401 - onnx's own
    """As the model is, and as it would be with fixed sizes: what only the latter takes waits for these."""
    taken, if_fixed = (_taken(device, model, fixed=fixed) for fixed in (True, False))
    left = [node for node in _nodes(model.graph) if _name(node) not in taken]
    return tuple(
        Unsupported(node=_name(node), operator=node.op_type, reason=_reason(device, open_=_name(node) in if_fixed))
        for node in left
    )


def _taken(device: str, model: Any, *, fixed: bool) -> set[str]:  # noqa: ANN401 - onnx's own
    from onnxruntime.tools.mobile_helpers import usability_checker

    if fixed and not model.graph.value_info and len(model.graph.node) > 1:
        return set()  # no size is known
    if device == "nnapi":
        found = usability_checker.check_nnapi_partitions(model, fixed)
    else:
        found = usability_checker.check_coreml_partitions(model, fixed, "coreml_supported_mlprogram_ops.md")
    return {_name(node) for group in found.supported_groups for node in group}


def _nodes(graph: Any) -> "list[NodeProto]":  # noqa: ANN401 - onnx's own
    """Every node, those of subgraphs included."""
    inside = [item.g for node in graph.node for item in node.attribute if item.HasField("g")]
    return [*graph.node, *(node for one in inside for node in _nodes(one))]


def _name(node: "NodeProto") -> str:
    return str(next((name for name in node.output if name), node.name))


def _reason(device: str, *, open_: bool) -> str:
    return f"{device} takes it with fixed sizes only" if open_ else f"{device} has no such operator"


def told(found: Mapping[str, tuple[Unsupported, ...]]) -> tuple[Unsupported, ...]:
    """All of them, device after device."""
    return tuple(node for nodes in found.values() for node in nodes)
