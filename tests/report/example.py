"""A run as it could have been: five candidates, of which one failed, one was refused and one is deployed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fdpipe.artifacts import (
    Answers,
    Artifact,
    Baseline,
    Candidate,
    Case,
    CheckResult,
    Data,
    Deployment,
    Evaluation,
    Interval,
    Invariance,
    Machine,
    Measured,
    Measurement,
    ModelRef,
    Outcome,
    Pace,
    Parity,
    Precision,
    Proof,
    Provenance,
    Ranges,
    Record,
    Rejection,
    Release,
    Rows,
    Task,
    Timing,
    Trial,
    Verdict,
    WorkerSpec,
)
from fdpipe.gate.quality import Quality
from fdpipe.gate.speed import Speed
from fdpipe.plan import DataPlan, Plan, Target
from fdpipe.plan import Recipe as PlanRecipe
from fdpipe.progress import Event
from fdpipe.testing import (
    FakeConverter,
    FakeDataset,
    FakeDeployer,
    FakeMetric,
    FakeProcessor,
    FakeRuntime,
    FakeSearch,
    FakeSource,
)

DIGEST = "3f1a7c9be2d405186c7f90ab12de34f56789abcdef0123456789abcdef012345"
BASE_MS = {1: 0.121, 8: 0.165, 32: 0.369}
VERSIONS = {"fdpipe": "0.1.0", "numpy": "2.4.1", "onnx": "1.23.0", "onnxruntime": "1.32.0", "scikit-learn": "1.9.0"}
PROVENANCE = Provenance(stage="stage", key=DIGEST, settings=DIGEST, versions=VERSIONS)

STATIC = "onnxruntime/int8_static"
REASON = f"{STATIC} passed every check and takes 0.47 (0.46–0.48) of the baseline's time"


NO_SAMPLE = (
    "the original cannot answer: Found array with 0 sample(s) (shape=(0, 64)) while a minimum of 1 is required by "
    "LogisticRegression."
)


def artifact(name: str, size: int) -> Artifact:
    return Artifact(kind="onnx", path=Path(f"{name}.onnx"), digest=DIGEST, size_bytes=size, inputs=(), outputs=())


def trial(
    recipe: str, accuracy: float, size: int, *, changed: int = 0, ranges: Ranges | None = None, speed: Measured | None = None
) -> Trial:
    invariance = Invariance(rows=360, changed=changed, largest_difference=0.2, worst_setting="beside a 20-fold outlier")
    evaluation = Evaluation(
        rows=360,
        quality={"accuracy": accuracy, "f1": accuracy - 0.0006},
        reference={"accuracy": 0.9778, "f1": 0.9772},
        agreement=1.0,
        answers=Answers(path=Path("answers.npz"), digest=DIGEST),
        invariance=invariance,
        provenance=PROVENANCE,
    )
    return Trial(
        candidate=Candidate(runtime="onnxruntime", recipe=recipe),
        artifact=artifact(recipe, size),
        ranges=ranges,
        evaluation=evaluation,
        speed=speed,
    )


def measurement(recipe: str, ratios: Mapping[int, float] | None, size: int) -> Measurement:
    timings = []
    for batch, base in BASE_MS.items():
        middle = ratios[batch] if ratios else 1.0
        p50 = base * middle
        interval = Interval(low=middle * 0.982, middle=middle, high=middle * 1.021) if ratios else None
        timings.append(
            Timing(
                batch=batch, calls=4_180, p50_ms=p50, p90_ms=p50 * 1.2, p99_ms=p50 * 1.6,
                rows_per_s=batch / p50 * 1e3, ratio=interval, pace=Pace.FASTER if middle < 0.9 else Pace.ALIKE,
            )
        )  # fmt: skip
    return Measurement(
        candidate=f"onnxruntime/{recipe}",
        timings=tuple(timings),
        load_ms=9.1,
        first_call_ms=0.8,
        peak_rss_mib=70.2 + size / 1e6,
        size_bytes=size,
    )


def measured() -> Measured:
    machine = Machine(
        processor="Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
        cores=2,
        memory_gib=15.6,
        system="Linux x86_64",
        instruction_sets=("avx2", "avx512f", "avx512_vnni"),
        fingerprint="9c1f2ab34de56f78",
    )
    finalists = (
        measurement("none", None, 4_412_000),
        measurement("fused", {1: 0.991, 8: 0.987, 32: 1.002}, 4_409_000),
        measurement("int8_dynamic", {1: 0.62, 8: 0.71, 32: 0.84}, 1_118_000),
        measurement("int8_static", {1: 0.45, 8: 0.47, 32: 0.49}, 1_131_000),
    )
    return Measured(measurements=finalists, baseline="onnxruntime/none", threads=2, machine=machine, provenance=PROVENANCE)


def results() -> tuple[CheckResult, ...]:
    found = []
    for one in measured().measurements:
        name = one.candidate
        changed = 4 if name.endswith("dynamic") else 0
        lost = 0.0028 if "int8" in name else 0.0
        figures = f"(0.9778 → {0.9778 - lost:.4f})"
        told = [
            ("quality", True, f"lost {lost:.4f} accuracy {figures}, at most 0.0100 is allowed"),
            ("floor", True, "no floor is set"),
            ("incumbent", True, "nothing is deployed yet"),
            ("speed", True, "takes 0.840 (0.825–0.858) of the baseline's time at batch 32, at most 1.03 is allowed"),
            ("batch_invariance", not changed, f"{changed} of 360 answers change with the batch"),
        ]
        found += [
            CheckResult(check=check, candidate=name, outcome=Outcome.PASS if passed else Outcome.FAIL, reason=reason)
            for check, passed, reason in told
        ]
    return tuple(found)


def parity() -> Parity:
    cases = (
        Case(name="evaluation", rows=360, largest_difference=4.17e-7, quantiles={"p50": 0.0, "p99": 3.6e-7}, worst_row=211),
        Case(name="alone", rows=1, largest_difference=5.96e-8, quantiles={"p99": 5.96e-8}, worst_row=0),
        Case(name="many", rows=1024, largest_difference=4.17e-7, quantiles={"p99": 3.6e-7}, worst_row=211),
        Case(name="empty", rows=0, refused=NO_SAMPLE),
        Case(name="missing", rows=0, refused="the original cannot answer: Input X contains NaN."),
        Case(name="extreme", rows=647, largest_difference=2e-6, quantiles={"p99": 1.1e-6}, worst_row=40, excused=2),
    )
    return Parity(
        rows=360, flips=0, largest_difference=4.17e-7, worst_row=211, tolerance=1e-5, cases=cases, digest=DIGEST,
        path=Path("parity.json"),
    )  # fmt: skip


def cured() -> Record:
    """The same, served in float64."""
    told = (
        "in float32, the export answers otherwise on the rows 'thresholds': 3 of 1998 rows have another label, 0 are allowed; "
        "row 18: original label 0, probabilities [0.7, 0.3]; export label 1, probabilities [0.48, 0.52]"
    )
    record = deployed()
    certificate = replace(record.baseline.parity, precision=Precision.FLOAT64, cure=told)
    return replace(record, baseline=replace(record.baseline, parity=certificate))


def deployed() -> Record:
    ref = ModelRef(name="digits", version="7", uri="models:/digits/7", digest=DIGEST)
    ranges = Ranges(
        method="minmax", rows=287, data_digest=DIGEST, values={"x": (0.0, 1.0), "h": (0.0, 9.1)}, inputs={"x": (0.0, 1.0)},
        coverage=0.99874,
    )  # fmt: skip
    processor = WorkerSpec(room="processor", settings={})
    baseline = Baseline(
        artifact=artifact("baseline", 4_412_000),
        task=Task.CLASSIFICATION,
        processor=processor,
        parity=parity(),
        reference=Answers(path=Path("reference.npz"), digest=DIGEST),
        provenance=PROVENANCE,
    )
    static = trial("int8_static", 0.9750, 1_131_000, ranges=ranges)
    failed = Trial(
        candidate=Candidate(runtime="onnxruntime", recipe="int8_static", calibrator="entropy"),
        reason="the quantized model has an empty histogram at /hidden/MatMul_output_0",
    )
    trials = (
        trial("none", 0.9778, 4_412_000),
        trial("fused", 0.9778, 4_409_000),
        trial("int8_dynamic", 0.9750, 1_118_000, changed=4),
        static,
        failed,
    )
    rows = {
        role: Rows(role=role, path=Path(f"{role}.npz"), digest=DIGEST, count=count, labelled=True)
        for role, count in (("training", 1150), ("calibration", 287), ("evaluation", 360))
    }
    assert static.artifact is not None
    release = Release(
        service="digits-cpu", model=ref, target="cpu", candidate=static.candidate, digest=DIGEST, path=Path("bento"),
        manifest=Path("release.json"), golden=Path("golden.npz"), artifact=static.artifact, processor=processor,
        runtime=WorkerSpec(room="runtime", settings={}), task=Task.CLASSIFICATION,
    )  # fmt: skip
    return Record(
        model=ref,
        target="cpu",
        baseline=baseline,
        data=Data(evaluation=rows["evaluation"], calibration=rows["calibration"], training=rows["training"]),
        trials=trials,
        measured=measured(),
        verdict=Verdict(
            outcome=Outcome.PASS,
            passed=(STATIC, "onnxruntime/none", "onnxruntime/fused"),
            results=results(),
            reason=REASON,
        ),
        release=release,
        proof=Proof(
            release=DIGEST,
            requests=32,
            wrong=0,
            protocols=("bentoml", "oip-rest"),
            largest_difference=0.0,
            reason="as expected",
        ),
        deployment=Deployment(service="digits-cpu", release=DIGEST, url="http://127.0.0.1:3000", changed=True),
        rejection=None,
        skipped_runtimes={"openvino": "openvino is needed and cannot be used: pip install 'fdpipe[openvino]'"},
    )


def rejected() -> Record:
    reason = (
        "quality: onnxruntime/none lost 0.0000 accuracy (0.9778 → 0.9778), must gain 1.0000; also refused: "
        "onnxruntime/fused by quality, onnxruntime/int8_dynamic by quality, onnxruntime/int8_static by quality"
    )
    refusals = [
        replace(one, outcome=Outcome.FAIL, reason=one.reason.replace("at most 0.0100 is allowed", "must gain 1.0000"))
        if one.check == "quality"
        else one
        for one in results()
    ]
    return replace(
        deployed(),
        verdict=Verdict(outcome=Outcome.FAIL, passed=(), results=tuple(refusals), reason=reason),
        release=None,
        proof=None,
        deployment=None,
        rejection=Rejection(outcome=Outcome.FAIL, reason=reason),
        incumbent=DIGEST,
    )


def plan() -> Plan:
    return Plan(
        model="digits@candidate",
        target=Target(name="cpu", runtimes=("onnxruntime", "openvino")),
        source=FakeSource(),
        data=DataPlan(evaluation=FakeDataset()),
        converter={"fake": FakeConverter()},
        processor={"plain": FakeProcessor()},
        runtime={"onnxruntime": FakeRuntime()},
        recipe={"none": PlanRecipe()},
        search=FakeSearch(),
        metric={"accuracy": FakeMetric()},
        gate={"quality": Quality(), "speed": Speed()},
        deployer=FakeDeployer(),
    )


def events() -> list[Event]:
    found: list[Event] = []

    def step(name: str, seconds: float, *inner: tuple[str, float], kind: str = "done") -> None:
        found.append(Event(kind="start", step=name, depth=0))
        for child, spent in inner:
            found.append(Event(kind="start", step=child, depth=1))
            found.append(Event(kind="done" if spent else "reused", step=child, depth=1, seconds=spent or 0.002))
        found.append(Event(kind="reused" if kind == "reused" else "done", step=name, depth=0, seconds=seconds))

    step("resolve", 0.41)
    step("fetch", 0.004, kind="reused")
    step("gather", 0.003, kind="reused")
    step("convert", 2.31)
    trials = {"none": 0.4, "fused": 1.6, "int8_dynamic": 1.9, "int8_static": 2.8}
    for recipe, seconds in trials.items():
        inner = (("optimize", 0.0), ("quantize", seconds * 0.4), ("evaluate", 0.31), ("benchmark", 0.96))
        step(f"trial onnxruntime/{recipe}", seconds, *inner)
    step("benchmark", 7.4)
    step("judge", 0.012)
    step("package", 2.9)
    step("prove", 4.6)
    step("deploy", 3.7)
    step("publish", 0.2)
    return found
