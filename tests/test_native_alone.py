"""The runtime `native` alone: the original's own library, whose answers are compared with the export's all the same."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fdpipe.artifacts import Data, Trial
from fdpipe.errors import ConversionError, StageError
from fdpipe.interfaces import Runtime
from fdpipe.pipeline import certifying, direct, run
from fdpipe.plan import Benchmark, Conversion, Isolation, Plan, Target
from fdpipe.runtime.by_rows import ByRows
from fdpipe.runtime.native import NativeLibrary
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.runtime.pyfunc import Pyfunc
from fdpipe.stages.convert import chosen, convert
from fdpipe.standard import standard_plan
from fdpipe.store import LocalStore
from fdpipe.testing.rehearsal import Rehearsal, fake_plan
from fdpipe.trials import Given, search
from tests.models import rows_of
from tests.native_models import data, registered

pytestmark = pytest.mark.usefixtures("home")

HERE = Target(name="here", runtimes=("native", "by_rows"))
QUICK = Benchmark(batch_sizes=(1, 8), seconds=0.01, trial_seconds=0.01, warmup_calls=1, memory=False, threads=1)


def standard(runtime: Mapping[str, Runtime]) -> Plan:
    conversion = Conversion(isolation=Isolation.IN_PROCESS)
    return replace(standard_plan("tiny/1"), benchmark=QUICK, conversion=conversion, runtime=runtime)


def searched(plan: Plan, folder: Path) -> list[Trial]:
    """The line from the converter to the trials, on a model of scikit-learn."""
    store = LocalStore(folder / "store")
    x, y = data()
    (store.root / "given").mkdir()
    model = registered(store.root / "given" / "model", LogisticRegression().fit(x, y))
    rows = rows_of(store.root / "given" / "rows", {"input": x[:64]}, y[:64].astype(np.int64))
    choice = chosen(plan.converter, plan.processor, certifying(plan.runtime, plan.certifier), model)
    baseline = convert(store, *choice, model, rows, plan.conversion, plan.parity)
    return search(plan, plan.runtime, store, Given(model=model, baseline=baseline, data=Data(evaluation=rows)), direct)


def test_it_has_the_baseline_and_every_row_is_answered_like_the_original(tmp_path: Path) -> None:
    (trial,) = searched(standard({"native": NativeLibrary(), "by_rows": ByRows()}), tmp_path)
    assert trial.candidate.name == "native/none[threads=1]"
    assert trial.artifact is not None
    assert trial.artifact.kind == "native"
    assert trial.evaluation is not None
    assert trial.evaluation.agreement == 1.0


def test_beside_a_runtime_that_opens_exports_nothing_changes() -> None:
    both: Mapping[str, Runtime] = {"native": NativeLibrary(), "onnxruntime": OnnxRuntime()}
    assert certifying(both, OnnxRuntime()) == both
    served: Mapping[str, Runtime] = {"native": NativeLibrary(), "pyfunc": Pyfunc()}
    assert certifying(served, OnnxRuntime()) == served


def test_a_model_of_no_such_library_is_one_line() -> None:
    plan = fake_plan(target=HERE, runtime={"native": NativeLibrary()})
    with pytest.raises(StageError, match="the converted model cannot be run as it is: no library is asked for a fake model"):
        run(plan, call=Rehearsal())


def test_a_runtime_that_opens_only_what_others_opened_says_what_is_missing() -> None:
    plan = fake_plan(target=HERE, runtime={"by_rows": ByRows()})
    with pytest.raises(ConversionError, match="no model is converted for runtime=by_rows alone: choose one as well that opens"):
        run(plan, call=Rehearsal())
