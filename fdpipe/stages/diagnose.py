"""diagnose: where the time of a quantized model goes that is not faster, and which of its nodes 8 bits do not pay for."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fdpipe import node_times, workers
from fdpipe.arrays import Batch, take
from fdpipe.artifacts import Artifact, Diagnosis, Machine, NodeTime, Rows, WorkerSpec
from fdpipe.interfaces import Profiler, Session
from fdpipe.machine import describe_machine
from fdpipe.node_times import Work, work_of
from fdpipe.store import stage

SLOWEST = 40
"""Of so many nodes the times are kept."""

TOLD = 0.01
"""A smaller share of the time is not told of."""

NAMED = 3
"""So many are named in a sentence."""

INTEGER_PRODUCTS = {"x86_64": ("avx512_vnni", "avx_vnni", "amx_int8"), "aarch64": ("asimddp", "i8mm")}
"""The instruction sets that multiply and add 8 bits in one instruction."""

MULTIPLYING = ("QLinearMatMul", "QLinearConv", "QGemm", "MatMulInteger", "ConvInteger")
"""Operators that multiply 8 bits, whose third input is the zero point of the activations and has their type."""

INT8 = 3
"""The number of int8 in TensorProto."""


@stage(machine_bound=True)
def diagnose(
    folder: Path,
    runtime: Profiler,
    session: Session,
    artifact: Artifact,
    processor: WorkerSpec,
    rows: Rows,
    batch_sizes: tuple[int, ...],
    floats: Artifact | None = None,
) -> Diagnosis:
    """What its nodes take in a call of the first batch size, and what that means. `floats` is the model before it was
    quantized, in a form that the runtime opens; without it, nothing is said of single nodes."""
    bound = workers.build_spec(processor)
    batch = bound.prepare(take(rows.load().features, np.arange(batch_sizes[0]) % rows.count))
    times = _profile(runtime, artifact, session, batch)
    before = _profile(runtime, floats, session, batch) if floats is not None else ()
    unpaid: tuple[str, ...] = ()
    if floats is not None and floats.kind == "onnx":
        unpaid = node_times.unpaid(times, before, node_times.chains(floats.path))
    shares = node_times.shares(times)
    return Diagnosis(
        reasons=tuple(reasons(times, before, unpaid, describe_machine(), signed_products(artifact))),
        float_share=shares[Work.FLOAT],
        converting_share=shares[Work.CONVERTING],
        unfused=sum(work_of(one.operator) is Work.CONVERTING for one in times),
        times=tuple(sorted(times, key=lambda one: -one.ms)[:SLOWEST]),
        unpaid=unpaid,
    )


def _profile(runtime: Profiler, artifact: Artifact, session: Session, batch: Batch) -> tuple[NodeTime, ...]:
    times = runtime.profile(artifact, session, batch)
    return node_times.by_output(times, artifact.path) if artifact.kind == "onnx" else times


def reasons(
    times: Sequence[NodeTime], before: Sequence[NodeTime], unpaid: Sequence[str], machine: Machine, signed: int
) -> Iterator[str]:
    """What the facts mean, as sentences: `times` of the quantized model's nodes, `before` of the float one's, and how many
    products have two signed factors."""
    shares = node_times.shares(times)
    architecture = machine.system.rpartition(" ")[2]
    wanted = INTEGER_PRODUCTS.get(architecture, ())
    if wanted and not set(wanted) & set(machine.instruction_sets):
        yield f"the processor has none of {', '.join(wanted)}: it multiplies 8 bits hardly faster than floats"
    if architecture == "x86_64" and signed:
        yield f"{signed} of its products take signed activations, for which x86 has no fast instruction: use uint8"
    operators = Counter(one.operator for one in times)
    if operators["ConvInteger"]:
        yield f"{operators['ConvInteger']} convolutions are quantized dynamically (ConvInteger), which is slower than float"
    if times and not any(work_of(one.operator) is Work.EIGHT_BITS for one in times):
        yield "none of its nodes computes on 8 bits: the runtime has fused none of them with what quantizes and dequantizes"
    if shares[Work.FLOAT] >= TOLD:
        most = _most(times, Work.FLOAT)
        yield f"{shares[Work.FLOAT]:.0%} of its time goes into nodes that compute in float, most into {most}"
    converting = sum(work_of(one.operator) is Work.CONVERTING for one in times)
    if shares[Work.CONVERTING] >= TOLD:
        nodes = (
            "1 node that only quantizes or dequantizes"
            if converting == 1
            else f"{converting} nodes that only quantize or dequantize"
        )
        yield f"{shares[Work.CONVERTING]:.0%} of its time goes into {nodes}"
    if before:
        yield f"in 8 bits its nodes take {_total(times):.3g} ms, in float {_total(before):.3g} ms"
    if unpaid:
        named = ", ".join(unpaid[:NAMED]) + (" and others" if len(unpaid) > NAMED else "")
        yield f"{len(unpaid)} of its products take longer in 8 bits, with what converts for them, than in float: {named}"


def signed_products(artifact: Artifact) -> int:
    """How many operators of an ONNX model that multiply 8 bits take signed activations; 0 for any other kind."""
    if artifact.kind != "onnx":
        return 0
    import onnx

    graph = onnx.load(artifact.path, load_external_data=False).graph
    signed = {tensor.name for tensor in graph.initializer if tensor.data_type == INT8}
    return sum(node.op_type in MULTIPLYING and bool(signed.intersection(node.input[2:3])) for node in graph.node)


def _most(times: Sequence[NodeTime], work: Work) -> str:
    """The operators that take most of the time that goes into such work, each with its share of the whole."""
    spent: dict[str, float] = defaultdict(float)
    for one in times:
        if work_of(one.operator) is work:
            spent[one.operator] += one.ms
    total = _total(times)
    slowest = sorted(spent, key=lambda name: (-spent[name], name))[:NAMED]
    return ", ".join(f"{name} ({spent[name] / total:.0%})" for name in slowest)


def _total(times: Sequence[NodeTime]) -> float:
    return sum(one.ms for one in times)
