"""The times of an OpenVINO model's nodes."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from fdpipe.artifacts import NodeTime

if TYPE_CHECKING:
    from openvino import CompiledModel

CALLS = 15
"""Of so many the median is taken, after `WARM` others."""

WARM = 3


def measured(compiled: "CompiledModel", tensors: Sequence[np.ndarray]) -> tuple[NodeTime, ...]:
    """Of a model that was compiled with counters: every node that took part in a call, in the order of the model."""
    request = compiled.create_infer_request()
    found: dict[str, list[float]] = defaultdict(list)
    kinds: dict[str, str] = {}
    for call in range(WARM + CALLS):
        request.infer(dict(enumerate(tensors)), share_inputs=True)
        for one in request.profiling_info:
            if call >= WARM and str(one.status).endswith("EXECUTED"):
                found[one.node_name].append(one.real_time.total_seconds() * 1e3)
                kinds[one.node_name] = f"{one.node_type} {one.exec_type}"
    nodes = compiled.get_runtime_model().get_ordered_ops()
    inputs = {node.get_friendly_name(): [port.get_source_output().get_node() for port in node.inputs()] for node in nodes}
    return tuple(
        NodeTime(
            node=name,
            operator=kinds[name],
            ms=median(found[name]),
            inputs=tuple(one.get_friendly_name() for one in inputs[name]),
        )
        for name in inputs
        if name in found
    )
