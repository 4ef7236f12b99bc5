"""A run whose search was long: a fallback that put nodes back, a candidate that cannot run here, one that is slow, a front."""

from dataclasses import replace

from fdpipe.artifacts import (
    Candidate,
    CheckResult,
    Diagnosis,
    NodeLoss,
    Outcome,
    Record,
    Sensitivity,
    Trial,
    Unsupported,
)
from tests.report import example

WORST = ("/encoder/layer.5/output/dense/MatMul_output_0", "/encoder/layer.4/output/dense/MatMul_output_0")

SENSITIVITY = Sensitivity(
    method="signal to noise of each node, then change of the answers",
    rows=32,
    nodes=(
        NodeLoss(node=WORST[0], operator="MatMul", snr_db=9.4, divergence=0.184, work=0.0412),
        NodeLoss(node=WORST[1], operator="MatMul", snr_db=14.9, divergence=0.071, work=0.0412),
        NodeLoss(node="/pooler/Gather_output_0", operator="Gather", snr_db=31.0),
    ),
)

DIAGNOSIS = Diagnosis(
    reasons=(
        "61 % of its time goes into nodes that compute in float: Softmax, LayerNormalization, Gelu",
        "48 QuantizeLinear and DequantizeLinear were not fused into the nodes beside them and take 17 % of the time",
    ),
    float_share=0.61,
    converting_share=0.17,
    unfused=48,
)


def refused(trial: Trial, by: str, reason: str) -> Trial:
    """The trial with what a check has against it."""
    told = CheckResult(check=by, candidate=trial.candidate.name, outcome=Outcome.FAIL, reason=reason)
    return replace(trial, refusals=(told,))


def searched() -> Record:
    """The deployed run, with what else was tried before its finalists were chosen."""
    record = example.deployed()
    none, fused, dynamic, static, failed = record.trials
    lost = "lost 0.0917 accuracy (0.9778 → 0.8861), at most 0.0100 is allowed"
    tried = []
    for number, floats in enumerate(((), WORST[:1], WORST)):
        candidate = Candidate(runtime="onnxruntime", recipe="int8_naive", floats=floats)
        speed = replace(record.measured, measurements=(example.measurement("int8_naive", {1: 1.2, 8: 1.1, 32: 1.1}, 900_000),))
        speed = replace(speed, measurements=(replace(speed.measurements[0], candidate=candidate.name),))
        one = replace(example.trial("int8_naive", 0.8861 + number * 0.04, 900_000), candidate=candidate, speed=speed)
        why = f"{', '.join(floats)} back to float: {lost}" if floats else "8 bits by the library's own defaults"
        one = replace(one, why=why, sensitivity=SENSITIVITY, diagnosis=DIAGNOSIS)
        tried.append(refused(one, "quality", lost) if number < 2 else one)
    absent = Trial(
        candidate=Candidate(runtime="tensorrt_rtx", recipe="float16", session={"threads": 2}), artifact=none.artifact,
        unmeasured="no GPU is here: the engine for sm_89 was built and not run",
    )  # fmt: skip
    foreign = Trial(
        candidate=Candidate(runtime="tensorrt_rtx", recipe="none"), reason="2 nodes cannot be taken",
        unsupported=(Unsupported(node="scores", operator="TreeEnsembleClassifier", reason="no importer registered for it"),),
    )  # fmt: skip
    return replace(record, trials=(none, fused, dynamic, static, failed, *tried, absent, foreign))
