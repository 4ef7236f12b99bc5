"""XGBoost → ONNX."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter.xgboost import LINKS, XGBoost
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.isolation import refuse_code
from tests.contracts.converter import ConverterContract, answers, exported
from tests.contracts.settings import built
from tests.converter import boosting
from tests.converter.boosting import CANCER, CULTIVAR, DIABETES, MALIGNANT, PROGRESSION, WINE, columns_of, rewritten, with_gaps

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

xgb = pytest.importorskip("xgboost", reason="the extra `xgboost` is not installed")

CONVERTER = XGBoost()
SMALL = {"n_estimators": 15, "max_depth": 4, "n_jobs": 1}
GAPS, WINE_GAPS, DIABETES_GAPS = with_gaps(CANCER), with_gaps(WINE), with_gaps(DIABETES)

saved = partial(boosting.saved, library="xgboost")
agree = partial(boosting.agree, CONVERTER)


class TestXGBoost(ConverterContract):
    @pytest.fixture
    def converter(self) -> XGBoost:
        return CONVERTER

    @pytest.fixture
    def model(self, tmp_path: Path) -> SourceModel:
        rows = GAPS.to_numpy()
        return saved(tmp_path / "model", estimator=xgb.XGBClassifier(**SMALL).fit(rows, MALIGNANT), features=rows)

    @pytest.fixture
    def batch(self) -> Batch:
        return {"input": GAPS.to_numpy(np.float32)}

    def test_its_file_is_the_default(self) -> None:
        assert built("converter", "xgboost") == XGBoost()


CLASSIFIERS = {
    "two classes": lambda: (xgb.XGBClassifier(**SMALL).fit(GAPS, MALIGNANT), GAPS),
    "three classes": lambda: (xgb.XGBClassifier(**SMALL).fit(WINE_GAPS, CULTIVAR), WINE_GAPS),
    "labels only": lambda: (xgb.XGBClassifier(objective="multi:softmax", **SMALL).fit(WINE_GAPS, CULTIVAR), WINE_GAPS),
    "hinge": lambda: (xgb.XGBClassifier(objective="binary:hinge", **SMALL).fit(GAPS, MALIGNANT), GAPS),
    "dropout": lambda: (xgb.XGBClassifier(booster="dart", rate_drop=0.3, **SMALL).fit(GAPS, MALIGNANT), GAPS),
    "linear": lambda: (xgb.XGBClassifier(booster="gblinear", **SMALL).fit(GAPS, MALIGNANT), GAPS),
    "linear, three classes": lambda: (xgb.XGBClassifier(booster="gblinear", **SMALL).fit(WINE_GAPS, CULTIVAR), WINE_GAPS),
    "forest": lambda: (xgb.XGBRFClassifier(**SMALL).fit(GAPS, MALIGNANT), GAPS),
    "forests in rounds": lambda: (xgb.XGBClassifier(num_parallel_tree=3, **SMALL).fit(WINE_GAPS, CULTIVAR), WINE_GAPS),
}


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers(tmp_path: Path, make: Any) -> None:  # noqa: ANN401
    estimator, frame = make()
    found = agree(saved(tmp_path / "model", estimator=estimator, features=frame), columns_of(frame), tmp_path)
    assert list(found) == ["label", "probabilities"]
    assert found["label"].dtype == np.int64


VALUES = {
    "regressor": lambda: xgb.XGBRegressor(**SMALL).fit(DIABETES_GAPS, PROGRESSION),
    "forest": lambda: xgb.XGBRFRegressor(**SMALL).fit(DIABETES_GAPS, PROGRESSION),
    "pruned": lambda: xgb.XGBRegressor(gamma=5000, tree_method="exact", **SMALL).fit(DIABETES_GAPS, PROGRESSION),
    "no tree": lambda: xgb.XGBRegressor(n_estimators=0).fit(DIABETES_GAPS, PROGRESSION),
    "several targets": lambda: xgb.XGBRegressor(**SMALL).fit(DIABETES_GAPS, np.stack([PROGRESSION, -PROGRESSION], 1)),
    "quantiles": lambda: xgb.XGBRegressor(objective="reg:quantileerror", quantile_alpha=[0.1, 0.9], **SMALL).fit(
        DIABETES_GAPS, PROGRESSION
    ),
    "own objective": lambda: xgb.XGBRegressor(objective=lambda y, p: (p - y, np.ones_like(y)), **SMALL).fit(
        DIABETES_GAPS, PROGRESSION
    ),
    "ranker": lambda: xgb.XGBRanker(**SMALL).fit(DIABETES_GAPS, PROGRESSION > 150, qid=np.arange(len(PROGRESSION)) // 10),
}


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_regressors_and_rankers(tmp_path: Path, make: Any) -> None:  # noqa: ANN401
    model = saved(tmp_path / "model", estimator=make(), features=DIABETES_GAPS)
    assert list(agree(model, columns_of(DIABETES_GAPS), tmp_path)) == ["value"]


def trained(objective: str, **settings: object) -> Any:  # noqa: ANN401 - a Booster
    """A booster with this objective, on labels that it takes."""
    above_0 = objective in ("reg:gamma", "survival:cox")
    rows = xgb.DMatrix(GAPS, MALIGNANT + above_0)
    if objective == "survival:aft":
        rows = xgb.DMatrix(GAPS, label_lower_bound=MALIGNANT + 1.0, label_upper_bound=MALIGNANT + 2.0)
    if objective.startswith("rank:"):
        rows.set_group([100, 200, len(GAPS) - 300])
    if objective.startswith("multi:"):
        settings["num_class"] = 2
    if objective == "reg:quantileerror":
        settings["quantile_alpha"] = 0.3
    return xgb.train({"objective": objective, "max_depth": 3, "nthread": 1, **settings}, rows, 8)


@pytest.mark.parametrize("objective", sorted(name for names in LINKS.values() for name in names if name != "reg:linear"))
@pytest.mark.parametrize("settings", [{}, {"base_score": 0.3}], ids=["", "base"])
def test_each_objective_with_the_base_that_is_found_and_one_that_is_given(
    tmp_path: Path, objective: str, settings: dict[str, float]
) -> None:
    model = saved(tmp_path / "model", estimator=trained(objective, **settings), features=GAPS)
    agree(model, columns_of(GAPS), tmp_path)


@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_after_early_stopping_the_best_iteration_counts(tmp_path: Path, booster: str) -> None:
    settings = {"booster": booster, "n_estimators": 60, "early_stopping_rounds": 3, "learning_rate": 1.0, "n_jobs": 1}
    half = slice(None, None, 2), slice(1, None, 2)
    estimator = xgb.XGBRegressor(**settings)
    held_out = [(DIABETES_GAPS[half[1]], PROGRESSION[half[1]])]
    estimator.fit(DIABETES_GAPS[half[0]], PROGRESSION[half[0]], eval_set=held_out, verbose=False)
    assert booster == "gblinear" or estimator.best_iteration + 1 < estimator.get_booster().num_boosted_rounds()
    agree(saved(tmp_path / "model", estimator=estimator, features=DIABETES_GAPS), columns_of(DIABETES_GAPS), tmp_path)


def test_a_booster_uses_all_iterations(tmp_path: Path) -> None:
    rows = xgb.DMatrix(DIABETES_GAPS[::2], PROGRESSION[::2])
    held_out = [(xgb.DMatrix(DIABETES_GAPS[1::2], PROGRESSION[1::2]), "later")]
    booster = xgb.train({"eta": 1.0, "nthread": 1}, rows, 60, evals=held_out, early_stopping_rounds=3, verbose_eval=False)
    model = saved(tmp_path / "model", estimator=booster, features=DIABETES_GAPS)
    found = agree(model, columns_of(DIABETES_GAPS), tmp_path)
    np.testing.assert_allclose(found["value"].ravel(), booster.predict(xgb.DMatrix(DIABETES_GAPS)), rtol=1e-6)


@pytest.mark.parametrize("form", ["ubj", "json", "xgb"])
def test_every_form_that_mlflow_writes(tmp_path: Path, form: str) -> None:
    estimator = xgb.XGBClassifier(**SMALL).fit(GAPS, MALIGNANT)
    agree(saved(tmp_path / "model", estimator=estimator, features=GAPS, model_format=form), columns_of(GAPS), tmp_path)


def test_mlflow_before_1_22_names_no_class(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", estimator=trained("binary:logistic"), features=GAPS)
    agree(rewritten(model, "    model_class: xgboost.core.Booster\n", ""), columns_of(GAPS), tmp_path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tensor_of_any_float(tmp_path: Path, dtype: type) -> None:
    rows = DIABETES_GAPS.to_numpy(dtype)
    model = saved(tmp_path / "model", estimator=xgb.XGBRegressor(**SMALL).fit(rows, PROGRESSION), features=rows)
    agree(model, {"input": rows}, tmp_path)


def test_rows_beside_the_thresholds(tmp_path: Path) -> None:
    """A row of float64 is seen as float32 by both."""
    estimator = xgb.XGBClassifier(n_estimators=50, n_jobs=1).fit(GAPS, MALIGNANT)
    model = saved(tmp_path / "model", estimator=estimator, features=GAPS)
    rows = boosting.beside_thresholds(exported(CONVERTER, model, tmp_path / "first").path, CANCER)
    assert len(rows) > 500
    agree(model, columns_of(rows), tmp_path)


def test_it_needs_no_trust(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", estimator=trained("binary:logistic"), features=GAPS)
    assert CONVERTER.risk(model) is None
    refuse_code(CONVERTER, model)


def test_there_is_no_double_precision(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", estimator=trained("binary:logistic"), features=GAPS)
    with pytest.raises(NotApplicable, match="float32"):
        exported(CONVERTER, model, tmp_path, Precision.FLOAT64)


def by_category(folder: Path) -> SourceModel:
    frame = CANCER.assign(site=np.arange(len(CANCER)) % 5)
    estimator = xgb.XGBClassifier(enable_categorical=True, **SMALL).fit(frame.astype({"site": "category"}), MALIGNANT)
    return saved(folder, estimator=estimator, features=frame)


def text(folder: Path) -> SourceModel:
    frame = CANCER.assign(site=["left", *["right"] * (len(CANCER) - 1)])
    return saved(folder, estimator=trained("binary:logistic"), features=frame)


def several_labels(folder: Path) -> SourceModel:
    estimator = xgb.XGBClassifier(**SMALL).fit(GAPS, np.stack([MALIGNANT, 1 - MALIGNANT], 1))
    return saved(folder, estimator=estimator, features=GAPS)


def raw_classes(folder: Path) -> SourceModel:
    estimator = xgb.XGBClassifier(objective="binary:logitraw", **SMALL).fit(GAPS, MALIGNANT)
    return saved(folder, estimator=estimator, features=GAPS)


def trees_of_several_targets(folder: Path) -> SourceModel:
    estimator = xgb.XGBRegressor(multi_strategy="multi_output_tree", **SMALL)
    return saved(folder, estimator=estimator.fit(DIABETES, np.stack([PROGRESSION] * 2, 1)), features=DIABETES)


def without_signature(folder: Path) -> SourceModel:
    return saved(folder, estimator=trained("binary:logistic"), features=GAPS, signature=False)


def other_columns(folder: Path) -> SourceModel:
    return saved(folder, estimator=trained("binary:logistic"), features=GAPS.iloc[:, :5])


def unknown_objective(folder: Path) -> SourceModel:
    model = saved(folder, estimator=trained("reg:squarederror"), features=GAPS, model_format="json")
    path = model.path / "model.json"
    content = json.loads(path.read_text())
    content["learner"]["objective"] = {"name": "reg:somebody"}
    path.write_text(json.dumps(content))
    return model


def foreign_class(folder: Path) -> SourceModel:
    model = saved(folder, estimator=trained("binary:logistic"), features=GAPS)
    return rewritten(model, "model_class: xgboost.core.Booster", "model_class: subprocess.Popen")


def foreign_word(folder: Path) -> SourceModel:
    model = saved(folder, estimator=trained("binary:logistic"), features=GAPS)
    return rewritten(model, "model_class: xgboost.core.Booster", "model_class: xgboost.core.ctypes")


def damaged(folder: Path) -> SourceModel:
    model = saved(folder, estimator=trained("binary:logistic"), features=GAPS)
    (model.path / "model.ubj").write_bytes(b"\x80\x04cos\nsystem\n")
    return model


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (by_category, "categorical features are not exported"),
        (text, "categorical features are not exported.*'site' is one"),
        (several_labels, "gives several labels a row"),
        (raw_classes, "'binary:logitraw', which has no probabilities"),
        (trees_of_several_targets, "train with multi_strategy=one_output_per_tree"),
        (without_signature, "has no signature"),
        (other_columns, "was trained on 30 features, and its signature has 5 columns"),
        (unknown_objective, "reg:somebody"),
        (foreign_class, "MLmodel names the class 'subprocess.Popen': it must be one of xgboost's"),
        (foreign_word, "MLmodel names the class 'xgboost.core.ctypes'"),
        (damaged, r"cannot load model\.ubj"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line(tmp_path: Path, make: Any, told: str) -> None:  # noqa: ANN401
    with pytest.raises(ConversionError, match=told) as caught:
        exported(CONVERTER, make(tmp_path / "model"), tmp_path)
    assert "\n" not in str(caught.value)


def test_an_original_that_cannot_answer_is_one_clear_line(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", estimator=trained("binary:logistic"), features=GAPS.rename(columns=str.upper))
    with pytest.raises(ConversionError, match="the original cannot answer: feature_names mismatch") as caught:
        answers(CONVERTER, model, columns_of(GAPS.rename(columns=str.upper)))
    assert "\n" not in str(caught.value)
