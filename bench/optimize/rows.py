"""The issue's table: what is to be reached, and whether the candidates that the search chose reach it."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from bench.optimize import jobs
from bench.optimize.given import given
from bench.optimize.models import SUBJECTS
from bench.optimize.peers import FULL, GROUPED, HALF, PlainOnnxRuntime, PlainOpenVino
from bench.optimize.race import Ratio, beside, on_one_core, peer, quality, raced, times_faster
from bench.optimize.row import Row
from bench.optimize.row import measured as measured_rows
from bench.optimize.searching import BUDGET, Found, plan_for, searched
from fdpipe.artifacts import Trial
from fdpipe.stages.benchmark import Contender
from fdpipe.trials import contender

RESNET, MINILM = "resnet18", "minilm"
EVERY = 1000
"""More calibration rows than there are: all."""


def rows() -> list[Row]:
    """All of them; what cannot be measured is a row that was missed."""
    every: Mapping[str, Callable[[], list[Row]]] = {"costs": costs, RESNET: resnet, MINILM: minilm, "boosted": boosted}
    found: list[Row] = []
    for name, work in every.items():
        some = measured_rows(name, work)
        for one in some:
            print(f"{one.what}: {one.found} ({one.wanted}; {one.peers})", flush=True)
        found += some
    return found


# --- ResNet-18 --------------------------------------------------------------------------------------------------------


@on_one_core()
def resnet() -> list[Row]:
    """Its gate is the quality of what Olive makes: at least as many answers must stay."""
    start, metric = given(RESNET), SUBJECTS[RESNET].metric["accuracy"]
    plain = PlainOnnxRuntime()
    model, _ = jobs.inputs(RESNET, EVERY)
    first = peer("ONNX Runtime, fp32", model, "onnx", plain, start)
    others = {
        "Olive": peer("Olive, static INT8", jobs.made("olive", "static", RESNET, EVERY), "onnx", plain, start),
        "OpenVINO + NNCF": peer(
            "OpenVINO, NNCF", jobs.made("lean", "int8", RESNET, EVERY), "openvino", PlainOpenVino(properties=HALF), start
        ),
    }
    kept = {name: quality(one, start, metric) for name, one in others.items()}
    ours = searched(RESNET, plan_for(RESNET, f"gate.max_drop={max(0.0, 1 - kept['Olive']):.4f}", BUDGET))
    measured = raced([first, *others.values(), *_contenders(ours)], start)
    ratios = {name: times_faster(measured, one) for name, one in others.items()}
    told = _peers(ratios, kept) + _best_onnxruntime(ours, lambda one: times_faster(measured, one))
    what, wanted = f"ResNet-18, top-1 agreement ≥ Olive's {kept['Olive']:.3f}", "≥ 3.6 ×"
    other, twice = "ResNet-18 beside Olive's", "≥ 1.13 × Olive's"
    if (chosen := ours.chosen) is None:
        reason = f"nothing passed: {ours.verdict.reason}"
        missed = Row(what=what, wanted=wanted, found=reason, holds=False, peers=told)
        return [missed, replace(missed, what=other, wanted=twice, peers="")]
    ratio = times_faster(measured, contender(ours.plan, chosen))
    again = beside(ratio, ratios["Olive"])
    described = f"{_told(ratio)}, {_described(chosen)}"
    return [
        Row(what=what, wanted=wanted, found=described, holds=ratio.middle >= 3.6, peers=told),
        Row(what=other, wanted=twice, found=_told(again), holds=again.middle >= 1.13),
    ]


# --- MiniLM -----------------------------------------------------------------------------------------------------------

DEMANDS: Mapping[str, tuple[float, bool]] = {
    "MiniLM, overlap ≥ 0.94": (0.94, True),
    "MiniLM, overlap ≥ 0.99": (0.99, True),
    "MiniLM, overlap ≥ 0.96, no calibration data": (0.96, False),
}
"""The gate's floor, and whether there are calibration rows."""


@on_one_core()
def minilm() -> list[Row]:
    """Three searches, and one race of what they chose with what the peers make."""
    start, metric = given(MINILM), SUBJECTS[MINILM].metric["neighbours"]
    plain = PlainOnnxRuntime()
    model, _ = jobs.inputs(MINILM, EVERY)
    first = peer("ONNX Runtime, fp32", model, "onnx", plain, start)
    weights = jobs.made("lean", "weights", MINILM, EVERY)
    others = {
        "Olive": peer("Olive, dynamic INT8", jobs.made("olive", "dynamic", MINILM, EVERY), "onnx", plain, start),
        "OpenVINO fp32": peer("OpenVINO, fp32", model, "onnx", PlainOpenVino(properties=FULL), start),
        "OpenVINO bf16": peer("OpenVINO, bf16", model, "onnx", PlainOpenVino(properties=HALF), start),
        "OpenVINO + NNCF, rest bf16": peer(
            "OpenVINO, NNCF", jobs.made("lean", "int8", MINILM, EVERY), "openvino", PlainOpenVino(properties=HALF), start
        ),
        "int8 weights, dynamic activations": peer(
            "OpenVINO, int8 weights", weights, "openvino", PlainOpenVino(properties=GROUPED), start
        ),
    }
    found = {
        what: searched(MINILM, plan_for(MINILM, f"gate.max_drop={1 - floor:.4f}", BUDGET), calibrated=calibrated)
        for what, (floor, calibrated) in DEMANDS.items()
    }
    ours = [one for each in found.values() for one in _contenders(each)]
    measured = raced([first, *others.values(), *ours], start)
    ratios = {name: times_faster(measured, one) for name, one in others.items()}
    told = _peers(ratios, {name: quality(one, start, metric) for name, one in others.items()})
    lean = ratios["int8 weights, dynamic activations"].middle
    wanted = (("≥ 3.2 ×", 3.2), ("≥ 2.0 ×", 2.0), (f"≥ 0.95 × the lean script's {lean:.2f} ×", 0.95 * lean))
    rows = []
    for (what, each), (words, limit) in zip(found.items(), wanted, strict=True):
        peers = told + _best_onnxruntime(each, lambda one: times_faster(measured, one))
        if (chosen := each.chosen) is None:
            rows.append(Row(what=what, wanted=words, found=f"nothing passed: {each.verdict.reason}", holds=False, peers=peers))
            continue
        ratio = times_faster(measured, contender(each.plan, chosen))
        described = f"{_told(ratio)}, {_described(chosen)}"
        rows.append(Row(what=what, wanted=words, found=described, holds=ratio.middle >= limit, peers=peers))
    return rows


# --- trees ------------------------------------------------------------------------------------------------------------

SIZES = (1, 8, 32, 128, 719)
NOT_SLOWER = 1.03
"""What the gate, too, calls slower: a time ratio that is surely above it. Where it may be above it, nothing was shown."""
LIMIT = "gate.max_drop=0.002"
"""Answers are to stay as they are: of 719 rows less cannot be shown."""


@on_one_core()
def boosted() -> list[Row]:
    """What is chosen, beside the native library and ONNX Runtime at every batch size."""
    return [row for name in ("boosted_xgboost", "boosted_sklearn") for row in _boosted(name)]


def _boosted(name: str) -> list[Row]:
    start = given(name)
    ours = searched(name, plan_for(name, LIMIT, BUDGET, sizes=SIZES))
    natives = [trial for trial in ours.trials if trial.candidate.runtime == "native" and trial.measurable]
    what, wanted = f"100 boosted trees, {SUBJECTS[name].about}", "never slower than the native library, at any batch size"
    if not natives:
        return [Row(what=what, wanted=wanted, found="the native library was not tried", holds=None)]
    if (chosen := ours.chosen) is None:
        return [Row(what=what, wanted=wanted, found=f"nothing passed: {ours.verdict.reason}", holds=False)]
    native, best = contender(ours.plan, natives[0]), contender(ours.plan, chosen)
    measured = raced([native, best, contender(ours.plan, ours.baseline)], start, SIZES)
    ratios = {size: times_faster(measured, best, size) for size in SIZES}
    onnx = {size: times_faster(measured, contender(ours.plan, ours.baseline), size) for size in SIZES}
    holds, doubt = never_slower(ratios)
    figures = ", ".join(f"{_told(ratio)} at {size}" for size, ratio in ratios.items())
    peers = "ONNX Runtime " + ", ".join(f"{ratio.middle:.2f} × at {size}" for size, ratio in onnx.items())
    return [
        Row(what=what, wanted=wanted, found=f"{figures}{doubt}; {chosen.candidate.name}", holds=holds, peers=peers),
    ]


def never_slower(ratios: Mapping[int, Ratio]) -> tuple[bool | None, str]:
    """Whether it is so at every batch size, and where it is not: None where it may be slower somewhere, and is not surely."""
    slower = [str(size) for size, ratio in ratios.items() if 1 / ratio.high > NOT_SLOWER]
    unclear = [str(size) for size, ratio in ratios.items() if 1 / ratio.low > NOT_SLOWER and str(size) not in slower]
    if slower:
        return False, f"; slower at {', '.join(slower)}"
    return (None, f"; too noisy to tell at {', '.join(unclear)}") if unclear else (True, "")


# --- wall time --------------------------------------------------------------------------------------------------------


def costs() -> list[Row]:
    """Both jobs, cold, beside Olive's."""
    return [row for name in jobs.JOBS for row in _costs(name)]


def _costs(name: str) -> list[Row]:
    found = jobs.costs(name)
    seconds = {who: jobs.middle(runs, "wall_s") for who, runs in found.items()}
    processor = {who: jobs.middle(runs, "processor_s") for who, runs in found.items()}
    memory = {who: jobs.middle(runs, "peak_mib") for who, runs in found.items()}
    faster, share = seconds["olive"] / seconds["fdpipe"], memory["fdpipe"] / memory["olive"]
    spread = _extremes(found["olive"], found["fdpipe"], "wall_s")
    memory_spread = _extremes(found["fdpipe"], found["olive"], "peak_mib")
    what = "fuse and INT8 of MiniLM" if name == MINILM else f"static INT8 of ResNet-18, {jobs.SAMPLES} samples"
    told = ", ".join(
        f"{who} {seconds[who]:.1f} s ({processor[who]:.1f} s of processors) {memory[who]:.0f} MiB" for who in found
    )
    time, memory_share = f"**{faster:.1f} ×** ({spread})", f"**{share:.2f}** of it ({memory_spread})"
    return [
        Row(what=f"wall time, {what}", wanted="≥ 4 × faster than Olive", found=time, holds=faster >= 4, peers=told),
        Row(what=f"memory, {what}", wanted="≤ half of Olive's", found=memory_share, holds=share <= 0.5),
    ]


def _extremes(one: list[dict[str, float]], other: list[dict[str, float]], what: str) -> str:
    """The one's divided by the other's, from the least to the greatest that any two of the runs give."""
    ones, others = ([run[what] for run in runs] for runs in (one, other))
    return f"{min(ones) / max(others):.2f}–{max(ones) / min(others):.2f}"


# --- words ------------------------------------------------------------------------------------------------------------


def _contenders(found: Found) -> list[Contender]:
    """What was chosen, and the fastest on ONNX Runtime by its first impression."""
    chosen, best = found.chosen, _fastest_onnxruntime(found)
    return [contender(found.plan, one) for one in (chosen, best) if one is not None]


def _fastest_onnxruntime(found: Found) -> Trial | None:
    able = [one for one in found.trials[1:] if one.measurable and one.candidate.runtime == "onnxruntime" and one.speed]
    passing = [one for one in able if not one.refusals]
    return min(passing or able, key=_impression, default=None)


def _impression(trial: Trial) -> float:
    ratio = trial.speed.overall(trial.candidate.name) if trial.speed else None
    return ratio.middle if ratio else float("inf")


def _best_onnxruntime(found: Found, speed: Callable[[Contender], Ratio]) -> str:
    best = _fastest_onnxruntime(found)
    if best is None:
        return ""
    passed = "" if not best.refusals else ", refused"
    return f"; ONNX Runtime {speed(contender(found.plan, best)).middle:.2f} × ({_described(best)}{passed})"


def _peers(ratios: Mapping[str, Ratio], kept: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {ratio.middle:.2f} × at {kept[name]:.3f}" for name, ratio in ratios.items())


def _told(ratio: Ratio) -> str:
    return f"**{ratio.middle:.2f} ×** ({ratio.low:.2f}–{ratio.high:.2f})"


def _described(trial: Trial) -> str:
    qualities = trial.evaluation.quality if trial.evaluation else {}
    figures = ", ".join(f"{name} {value:.3f}" for name, value in qualities.items() if value is not None)
    return f"{trial.candidate.name} at {figures}"
