"""The first round: each recipe on each runtime, the cheap first, without what this model and this machine cannot use."""

from collections.abc import Iterator, Sequence

from fdpipe.artifacts import Candidate, Trial
from fdpipe.interfaces import Session
from fdpipe.space import Choice, Proposal, Space

CONVOLUTIONS = ("Conv", "ConvTranspose", "FusedConv")
PRODUCTS = ("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "Attention", "LSTM", "GRU", "RNN", "Einsum")
INT8 = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}
"""Instruction sets with which 8-bit arithmetic is not slower than float."""
BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
HALF = "bf16"
"""How a session says that it computes in bfloat16."""
MOSTLY = 4
"""A network with so many times as many convolutions as matrix products is one of convolutions."""


def first_round(space: Space, trials: Sequence[Trial]) -> Iterator[Proposal]:
    """The model as it is on every runtime; then recipes in float, those that quantize without calibration rows, those that
    need some; each in its runtime's first session. What cannot open the model as it is opens no quantized one either."""
    unable = {trial.candidate.runtime for trial in trials if trial.candidate.recipe == "none" and trial.artifact is None}
    for name, choice in sorted(space.recipes.items(), key=lambda pair: _effort(*pair)):
        if unusable(space, choice):
            continue
        for runtime in choice.runtimes:
            if runtime in space.runtimes and not (choice.quantizes and runtime in unable):
                session = space.runtimes[runtime][0]
                yield Proposal(candidate=Candidate(runtime=runtime, recipe=name, session=session), why=_why(name, choice))


def shut(trials: Sequence[Trial]) -> set[str]:
    """The runtimes that could not open the model as it is, for no node's sake: as where their library does not load."""
    failed = [trial for trial in trials if trial.candidate.recipe == "none" and trial.artifact is None]
    return {trial.candidate.runtime for trial in failed if not trial.unsupported}


def products(space: Space) -> int:
    """How many nodes of the model there are to quantize."""
    return sum(space.operators.get(one, 0) for one in (*CONVOLUTIONS, *PRODUCTS))


def unusable(space: Space, choice: Choice) -> str | None:
    """Why a quantizer is left out: there is nothing for it in the model, or it would be slower than float."""
    convolutions = sum(space.operators.get(one, 0) for one in CONVOLUTIONS)
    others = products(space) - convolutions
    if not choice.quantizes or not space.operators:
        return None
    if any(one.startswith("TreeEnsemble") for one in space.operators) or not products(space):
        return "the model has neither convolutions nor matrix products to quantize"
    if space.instruction_sets and not INT8 & set(space.instruction_sets):
        return "the processor has no 8-bit arithmetic"
    if not choice.calibrates and convolutions >= MOSTLY * max(others, 1):
        return "convolutions whose ranges are found anew in each call are slower than in float"
    return None


def fits(space: Space, session: Session) -> bool:
    """Whether the processor can make use of the session's precision."""
    return HALF not in session.values() or bool(BF16 & set(space.instruction_sets))


def _effort(name: str, choice: Choice) -> tuple[bool, bool, bool]:
    return name != "none", choice.quantizes, choice.calibrates


def _why(name: str, choice: Choice) -> str:
    if name == "none":
        return "the model as it is, in another runtime"
    if not choice.quantizes:
        return "the same figures in float, from another graph"
    return "8 bits, with ranges from the calibration rows" if choice.calibrates else "8 bits, without calibration rows"
