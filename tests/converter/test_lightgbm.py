"""LightGBM → ONNX."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import skops.io

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter.lightgbm import LINKS, LightGBM
from fdpipe.errors import ConversionError
from fdpipe.isolation import refuse_code
from tests.contracts.converter import ConverterContract, answers, exported
from tests.contracts.settings import built
from tests.converter import boosting
from tests.converter.boosting import CANCER, CULTIVAR, DIABETES, MALIGNANT, PROGRESSION, WINE, columns_of, rewritten, with_gaps

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore:The argument .eval_set.")]

lgb = pytest.importorskip("lightgbm", reason="the extra `lightgbm` is not installed")

CONVERTER = LightGBM()
SMALL = {"n_estimators": 15, "n_jobs": 1, "verbose": -1}
GAPS, WINE_GAPS, DIABETES_GAPS = with_gaps(CANCER), with_gaps(WINE), with_gaps(DIABETES)
NAMES = np.array(["benign", "malignant"])[MALIGNANT]

saved = partial(boosting.saved, library="lightgbm")
agree = partial(boosting.agree, CONVERTER)


class TestLightGBM(ConverterContract):
    @pytest.fixture
    def converter(self) -> LightGBM:
        return CONVERTER

    @pytest.fixture
    def model(self, tmp_path: Path) -> SourceModel:
        rows = GAPS.to_numpy(np.float32)
        return saved(tmp_path / "model", estimator=lgb.LGBMClassifier(**SMALL).fit(rows, NAMES), features=rows)

    @pytest.fixture
    def batch(self) -> Batch:
        return {"input": GAPS.to_numpy(np.float32)}

    def test_its_file_is_the_default(self) -> None:
        assert built("converter", "lightgbm") == LightGBM()


ESTIMATORS = {
    "two classes": lambda: (lgb.LGBMClassifier(**SMALL).fit(GAPS, MALIGNANT), GAPS),
    "named classes": lambda: (lgb.LGBMClassifier(**SMALL).fit(GAPS, NAMES), GAPS),
    "other numbers": lambda: (lgb.LGBMClassifier(**SMALL).fit(GAPS, MALIGNANT * 7 - 3), GAPS),
    "three classes": lambda: (lgb.LGBMClassifier(**SMALL).fit(WINE_GAPS, CULTIVAR), WINE_GAPS),
    "each against the rest": lambda: (
        lgb.LGBMClassifier(objective="multiclassova", **SMALL).fit(WINE_GAPS, CULTIVAR),
        WINE_GAPS,
    ),
    "forest": lambda: (
        lgb.LGBMClassifier(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5, **SMALL).fit(GAPS, MALIGNANT),
        GAPS,
    ),
    "dropout": lambda: (lgb.LGBMRegressor(boosting_type="dart", **SMALL).fit(DIABETES_GAPS, PROGRESSION), DIABETES_GAPS),
    "regressor": lambda: (lgb.LGBMRegressor(**SMALL).fit(DIABETES_GAPS, PROGRESSION), DIABETES_GAPS),
}


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=ESTIMATORS)
def test_estimators(tmp_path: Path, make: Any, precision: Precision) -> None:  # noqa: ANN401
    estimator, frame = make()
    rows = frame if precision is Precision.FLOAT64 else frame.astype(np.float32)
    agree(saved(tmp_path / "model", estimator=estimator, features=rows), columns_of(rows), tmp_path, precision)


def test_rankers(tmp_path: Path) -> None:
    """MLflow does not trust them in skops files unless told to."""
    estimator = lgb.LGBMRanker(**SMALL).fit(GAPS, MALIGNANT, group=[100, 200, len(GAPS) - 300])
    trusted = ["lightgbm.sklearn.LGBMRanker"]
    model = saved(tmp_path / "model", estimator=estimator, features=GAPS, skops_trusted_types=trusted)
    assert list(agree(model, columns_of(GAPS), tmp_path)) == ["value"]


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("settings", [{"zero_as_missing": True}, {"use_missing": False}, {}], ids=str)
@pytest.mark.parametrize("gaps_in_training", [True, False])
def test_what_is_missing(tmp_path: Path, settings: Any, gaps_in_training: bool, precision: Precision) -> None:  # noqa: ANN401
    """Missing values, and zeros, in columns where training had some and where it had none."""
    rows = CANCER.astype(np.float32).copy()
    rows.iloc[::3, :10] = 0
    if gaps_in_training:
        rows.iloc[1::7, 5:15] = np.nan
    estimator = lgb.LGBMClassifier(**settings, **SMALL).fit(rows, MALIGNANT)
    rows.iloc[2::5, :] = 0
    rows.iloc[3::5, ::2] = np.nan
    agree(saved(tmp_path / "model", estimator=estimator, features=rows), columns_of(rows), tmp_path, precision)


def trained(objective: str, **settings: object) -> Any:  # noqa: ANN401 - a Booster
    """A booster with this objective, on labels that it takes."""
    groups = [100, 200, len(GAPS) - 300] if objective in ("lambdarank", "rank_xendcg") else None
    rows = lgb.Dataset(GAPS, MALIGNANT + (objective == "gamma"), group=groups)
    if objective.startswith("multiclass"):
        settings["num_class"] = 2
    if objective in ("binary", "multiclassova"):
        settings["sigmoid"] = 2.0
    return lgb.train({"objective": objective, "num_leaves": 6, "verbose": -1, "num_threads": 1, **settings}, rows, 8)


@pytest.mark.parametrize("objective", LINKS)
def test_a_booster_of_each_objective(tmp_path: Path, objective: str) -> None:
    model = saved(tmp_path / "model", estimator=trained(objective), features=GAPS)
    assert (model.path / "model.lgb").is_file()
    assert CONVERTER.risk(model) is None
    agree(model, columns_of(GAPS), tmp_path)


def test_the_square_of_a_root(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", estimator=trained("regression", reg_sqrt=True), features=GAPS)
    agree(model, columns_of(GAPS), tmp_path)


def own_objective(truth: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradient and the second derivative of half the squared difference."""
    return found - truth, np.ones_like(truth)


def test_an_objective_of_ones_own_answers_with_the_sum(tmp_path: Path) -> None:
    estimator = lgb.LGBMRegressor(objective=own_objective, **SMALL).fit(DIABETES_GAPS, PROGRESSION)
    model = saved(tmp_path / "model", estimator=estimator, features=DIABETES_GAPS, serialization_format="cloudpickle")
    agree(model, columns_of(DIABETES_GAPS), tmp_path)


@pytest.mark.parametrize("as_booster", [True, False])
def test_after_early_stopping_the_best_iteration_counts(tmp_path: Path, as_booster: bool) -> None:
    estimator = lgb.LGBMRegressor(n_estimators=100, learning_rate=0.5, early_stopping_rounds=5, n_jobs=1, verbose=-1)
    estimator.fit(DIABETES_GAPS[::2], PROGRESSION[::2], eval_set=[(DIABETES_GAPS[1::2], PROGRESSION[1::2])])
    assert 0 < estimator.best_iteration_ < 100
    found = estimator.booster_ if as_booster else estimator
    agree(saved(tmp_path / "model", estimator=found, features=DIABETES_GAPS), columns_of(DIABETES_GAPS), tmp_path)


@pytest.mark.parametrize(
    ("form", "risk"), [("skops", None), ("cloudpickle", "a cloudpickle file"), ("pickle", "a pickle file")]
)
def test_every_form_that_mlflow_writes(tmp_path: Path, form: str, risk: str | None) -> None:
    estimator = lgb.LGBMClassifier(**SMALL).fit(GAPS, NAMES)
    model = saved(tmp_path / "model", estimator=estimator, features=GAPS, serialization_format=form)
    assert CONVERTER.risk(model) == risk
    agree(model, columns_of(GAPS), tmp_path)


def test_older_mlflow_names_neither_form_nor_class(tmp_path: Path) -> None:
    estimator = lgb.LGBMClassifier(**SMALL).fit(GAPS, NAMES)
    pickled = saved(tmp_path / "one" / "model", estimator=estimator, features=GAPS, serialization_format="cloudpickle")
    pickled = rewritten(pickled, "    serialization_format: cloudpickle\n", "")
    assert CONVERTER.risk(pickled) == "a cloudpickle file"
    agree(pickled, columns_of(GAPS), tmp_path / "one")
    booster = saved(tmp_path / "two" / "model", estimator=trained("binary"), features=GAPS)
    booster = rewritten(booster, "    model_class: lightgbm.basic.Booster\n", "")
    assert CONVERTER.risk(booster) is None
    agree(booster, columns_of(GAPS), tmp_path / "two")


def test_rows_next_to_the_thresholds_part_in_float32_and_agree_in_float64(tmp_path: Path) -> None:
    estimator = lgb.LGBMRegressor(n_estimators=1, learning_rate=1.0, n_jobs=1, verbose=-1).fit(DIABETES, PROGRESSION)
    model = saved(tmp_path / "model", estimator=estimator, features=DIABETES)
    rows = boosting.beside_thresholds(exported(CONVERTER, model, tmp_path / "first").path, DIABETES)
    original, narrow = boosting.both(CONVERTER, model, columns_of(rows), tmp_path / "32")
    assert np.abs(original["value"] - narrow["value"]).max() > 1
    agree(model, columns_of(rows), tmp_path / "64", Precision.FLOAT64)
    seen = rows.astype(np.float32)
    agree(saved(tmp_path / "narrow", estimator=estimator, features=seen), columns_of(seen), tmp_path / "seen")


class Payload:
    """A pickle that leaves a trace, if it is ever loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.mkdir, (str(self.trace),)


def test_a_pickle_that_calls_itself_a_booster_or_skops_is_not_loaded_as_one(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    estimator = lgb.LGBMClassifier(**SMALL).fit(GAPS, NAMES)
    for number, (old, new) in enumerate(
        [
            ("model_class: lightgbm.sklearn.LGBMClassifier", "model_class: lightgbm.basic.Booster"),
            ("serialization_format: cloudpickle", "serialization_format: skops"),
        ]
    ):
        folder = tmp_path / str(number)
        model = saved(folder, estimator=estimator, features=GAPS, serialization_format="cloudpickle")
        (model.path / "model.pkl").write_bytes(cloudpickle.dumps(Payload(trace)))
        with pytest.raises(ConversionError, match="holds code, a cloudpickle file"):
            refuse_code(CONVERTER, model)
        model = rewritten(model, old, new)
        assert CONVERTER.risk(model) is None
        with pytest.raises(ConversionError, match=r"cannot load model\.pkl"):
            CONVERTER.load(model)
        assert not trace.exists()


def test_a_skops_file_may_name_nothing_but_what_a_model_is_made_of(tmp_path: Path) -> None:
    """Whatever MLmodel lists as trusted."""
    estimator = lgb.LGBMRegressor(objective=own_objective, **SMALL).fit(DIABETES_GAPS, PROGRESSION)
    model = saved(tmp_path / "model", estimator=lgb.LGBMRegressor(**SMALL).fit(DIABETES_GAPS, PROGRESSION), features=DIABETES)
    skops.io.dump(estimator, model.path / "model.skops")
    model = rewritten(model, "- lightgbm.basic.Booster", f"- {own_objective.__module__}.own_objective\n    - builtins.exec")
    with pytest.raises(ConversionError, match="own_objective, which no model of LightGBM's is made of: refused"):
        CONVERTER.load(model)


def numbers_by_category(folder: Path) -> SourceModel:
    frame = CANCER.assign(site=np.arange(len(CANCER)) % 5 + 9 * MALIGNANT)
    return saved(
        folder, estimator=lgb.LGBMClassifier(**SMALL).fit(frame, MALIGNANT, categorical_feature=["site"]), features=frame
    )


def by_category(folder: Path) -> SourceModel:
    frame = CANCER.assign(site=np.arange(len(CANCER)) % 5)
    return saved(folder, estimator=lgb.LGBMClassifier(**SMALL).fit(frame.astype({"site": "category"}), NAMES), features=frame)


def linear_trees(folder: Path) -> SourceModel:
    estimator = lgb.LGBMRegressor(linear_tree=True, **SMALL).fit(DIABETES, PROGRESSION)
    return saved(folder, estimator=estimator, features=DIABETES)


def own_classifier(folder: Path) -> SourceModel:
    estimator = lgb.LGBMClassifier(objective=own_objective, **SMALL).fit(GAPS, MALIGNANT)
    return saved(folder, estimator=estimator, features=GAPS, serialization_format="cloudpickle")


def other_columns(folder: Path) -> SourceModel:
    return saved(folder, estimator=trained("binary"), features=GAPS.iloc[:, :5])


def no_model(folder: Path) -> SourceModel:
    model = saved(folder, estimator=lgb.LGBMClassifier(**SMALL).fit(GAPS, NAMES), features=GAPS, serialization_format="pickle")
    (model.path / "model.pkl").write_bytes(cloudpickle.dumps(pd.DataFrame()))
    return model


def damaged(folder: Path) -> SourceModel:
    model = saved(folder, estimator=trained("binary"), features=GAPS)
    (model.path / "model.lgb").write_text("no tree")
    return model


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (numbers_by_category, "categorical features are not exported.*feature 30 is split by category"),
        (by_category, "categorical features are not exported.*pandas' categories"),
        (linear_trees, "linear trees, which are not exported"),
        (own_classifier, "with an objective of its own, which gives no probabilities"),
        (other_columns, "was trained on 30 features, and its signature has 5 columns"),
        (no_model, "holds a DataFrame, which is no model of LightGBM's"),
        (damaged, r"cannot load model\.lgb"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line(tmp_path: Path, make: Any, told: str) -> None:  # noqa: ANN401
    with pytest.raises(ConversionError, match=told) as caught:
        exported(CONVERTER, make(tmp_path / "model"), tmp_path)
    assert "\n" not in str(caught.value)


def test_an_original_that_cannot_answer_is_one_clear_line(tmp_path: Path) -> None:
    model = other_columns(tmp_path / "model")
    with pytest.raises(ConversionError, match="the original cannot answer: The number of features") as caught:
        answers(CONVERTER, model, columns_of(GAPS))
    assert "\n" not in str(caught.value)
