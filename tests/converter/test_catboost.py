"""CatBoost → ONNX."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter.catboost import CatBoost
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.isolation import refuse_code
from tests.contracts.converter import ConverterContract, answers, exported
from tests.contracts.settings import built
from tests.converter import boosting
from tests.converter.boosting import CANCER, CULTIVAR, DIABETES, MALIGNANT, PROGRESSION, WINE, columns_of, rewritten, with_gaps

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

cb = pytest.importorskip("catboost", reason="the extra `catboost` is not installed")

CONVERTER = CatBoost()
SMALL = {"iterations": 15, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
GAPS, WINE_GAPS, DIABETES_GAPS = with_gaps(CANCER), with_gaps(WINE), with_gaps(DIABETES)
NAMES = np.array(["benign", "malignant"])[MALIGNANT]

saved = partial(boosting.saved, library="catboost")
agree = partial(boosting.agree, CONVERTER)


class TestCatBoost(ConverterContract):
    @pytest.fixture
    def converter(self) -> CatBoost:
        return CONVERTER

    @pytest.fixture
    def model(self, tmp_path: Path) -> SourceModel:
        rows = GAPS.to_numpy()
        return saved(tmp_path / "model", estimator=cb.CatBoostClassifier(**SMALL).fit(rows, NAMES), features=rows)

    @pytest.fixture
    def batch(self) -> Batch:
        return {"input": GAPS.to_numpy(np.float32)}

    def test_its_file_is_the_default(self) -> None:
        assert built("converter", "catboost") == CatBoost()


def classifier(labels: np.ndarray, **settings: object) -> Any:  # noqa: ANN401
    """Of wine for three classes, of tumours for two; and its rows."""
    frame = WINE_GAPS if len(labels) == len(WINE) else GAPS
    return cb.CatBoostClassifier(**SMALL, **settings).fit(frame, labels), frame


CLASSIFIERS = {
    "two classes": (MALIGNANT, {}),
    "named classes": (NAMES, {}),
    "classes true and false": (MALIGNANT.astype(bool), {}),
    "classes 0.0 and 1.0": (MALIGNANT.astype(float), {}),
    "cross entropy": (MALIGNANT, {"loss_function": "CrossEntropy"}),
    "focal loss": (MALIGNANT, {"loss_function": "Focal:focal_alpha=0.5;focal_gamma=1.0"}),
    "three classes": (CULTIVAR, {}),
    "three named classes": (np.array(["a", "b", "c"])[CULTIVAR], {}),
    "each against the rest": (CULTIVAR, {"loss_function": "MultiClassOneVsAll"}),
    "missing is large": (MALIGNANT, {"nan_mode": "Max"}),
    "trees of any shape": (CULTIVAR, {"grow_policy": "Lossguide"}),
    "trees of equal depth": (MALIGNANT, {"grow_policy": "Depthwise", "depth": 3}),
}


@pytest.mark.parametrize(("labels", "settings"), CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers(tmp_path: Path, labels: np.ndarray, settings: Any) -> None:  # noqa: ANN401
    estimator, frame = classifier(labels, **settings)
    found = agree(saved(tmp_path / "model", estimator=estimator, features=frame), columns_of(frame), tmp_path)
    assert list(found) == ["label", "probabilities"]


def test_missing_values_where_training_had_none(tmp_path: Path) -> None:
    estimator = cb.CatBoostClassifier(**SMALL).fit(CANCER, MALIGNANT)
    agree(saved(tmp_path / "model", estimator=estimator, features=GAPS), columns_of(GAPS), tmp_path)


def test_rows_beside_the_thresholds(tmp_path: Path) -> None:
    """A row of float64 is seen as float32 by both."""
    estimator, frame = classifier(MALIGNANT)
    model = saved(tmp_path / "model", estimator=estimator, features=frame)
    rows = boosting.beside_thresholds(exported(CONVERTER, model, tmp_path / "first").path, CANCER)
    agree(model, columns_of(rows), tmp_path)


LOSSES = [
    "RMSE", "MAE", "Quantile", "Poisson", "Tweedie:variance_power=1.5", "MAPE", "Huber:delta=1", "LogCosh",
    "LogLinQuantile", "MultiRMSE", "Cox",
]  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["CatBoostRegressor", "CatBoost"])
def test_each_loss_by_either_class(tmp_path: Path, loss: str, kind: str) -> None:
    settings = {"loss_function": loss, **SMALL}
    estimator = cb.CatBoost(settings) if kind == "CatBoost" else cb.CatBoostRegressor(**settings)
    estimator.fit(DIABETES_GAPS, np.stack([PROGRESSION] * 2, 1) if loss == "MultiRMSE" else PROGRESSION)
    model = saved(tmp_path / "model", estimator=estimator, features=DIABETES_GAPS)
    assert list(agree(model, columns_of(DIABETES_GAPS), tmp_path)) == ["value"]


@pytest.mark.parametrize("loss", ["Logloss", "MultiClass"])
def test_the_plain_class_trained_on_classes_answers_with_them(tmp_path: Path, loss: str) -> None:
    estimator = cb.CatBoost({"loss_function": loss, **SMALL}).fit(GAPS, MALIGNANT)
    found = agree(saved(tmp_path / "model", estimator=estimator, features=GAPS), columns_of(GAPS), tmp_path)
    assert list(found) == ["label", "probabilities"]


def test_rankers(tmp_path: Path) -> None:
    groups = np.arange(len(GAPS)) // 10
    estimator = cb.CatBoostRanker(**SMALL).fit(cb.Pool(GAPS, MALIGNANT, group_id=groups))
    model = saved(tmp_path / "model", estimator=estimator, features=GAPS)
    assert list(agree(model, columns_of(GAPS), tmp_path)) == ["value"]


def test_models_that_were_summed_up_or_scaled(tmp_path: Path) -> None:
    one = cb.CatBoostRegressor(**SMALL).fit(DIABETES_GAPS, PROGRESSION)
    other = cb.CatBoostRegressor(depth=3, **SMALL).fit(DIABETES_GAPS, PROGRESSION)
    both = cb.sum_models([one, other], weights=[0.25, 0.75])
    agree(saved(tmp_path / "model", estimator=both, features=DIABETES_GAPS), columns_of(DIABETES_GAPS), tmp_path)
    one.set_scale_and_bias(0.5, [3.0])
    agree(saved(tmp_path / "b" / "model", estimator=one, features=DIABETES_GAPS), columns_of(DIABETES_GAPS), tmp_path / "b")


def test_after_early_stopping_the_best_iteration_counts(tmp_path: Path) -> None:
    estimator = cb.CatBoostRegressor(**SMALL | {"iterations": 200}, learning_rate=0.5, early_stopping_rounds=5)
    estimator.fit(DIABETES_GAPS[::2], PROGRESSION[::2], eval_set=(DIABETES_GAPS[1::2], PROGRESSION[1::2]))
    assert estimator.tree_count_ < 200
    agree(saved(tmp_path / "model", estimator=estimator, features=DIABETES_GAPS), columns_of(DIABETES_GAPS), tmp_path)


@pytest.mark.parametrize("form", ["cbm", "json"])
def test_every_form_that_can_be_read_again(tmp_path: Path, form: str) -> None:
    estimator = cb.CatBoostClassifier(**SMALL).fit(GAPS, NAMES)
    model = saved(tmp_path / "model", estimator=estimator, features=GAPS, format=form)
    assert CONVERTER.risk(model) is None
    refuse_code(CONVERTER, model)
    agree(model, columns_of(GAPS), tmp_path)


def test_there_is_no_double_precision(tmp_path: Path) -> None:
    estimator, frame = classifier(MALIGNANT)
    with pytest.raises(NotApplicable, match="float32"):
        exported(CONVERTER, saved(tmp_path / "model", estimator=estimator, features=frame), tmp_path, Precision.FLOAT64)


def by_category(folder: Path) -> SourceModel:
    frame = CANCER.assign(site=np.arange(len(CANCER)) % 5)
    estimator = cb.CatBoostClassifier(cat_features=["site"], **SMALL).fit(frame, MALIGNANT)
    return saved(folder, estimator=estimator, features=frame)


def several_labels(folder: Path) -> SourceModel:
    estimator = cb.CatBoostClassifier(loss_function="MultiLogloss", **SMALL)
    return saved(folder, estimator=estimator.fit(GAPS, np.stack([MALIGNANT, 1 - MALIGNANT], 1)), features=GAPS)


def uncertain(folder: Path) -> SourceModel:
    estimator = cb.CatBoostRegressor(loss_function="RMSEWithUncertainty", **SMALL).fit(DIABETES, PROGRESSION)
    return saved(folder, estimator=estimator, features=DIABETES)


def other_threshold(folder: Path) -> SourceModel:
    estimator, frame = classifier(MALIGNANT)
    estimator.set_probability_threshold(0.3)
    return saved(folder, estimator=estimator, features=frame)


def other_columns(folder: Path) -> SourceModel:
    estimator, frame = classifier(MALIGNANT)
    return saved(folder, estimator=estimator, features=frame.iloc[:, :5])


def as_source_code(folder: Path) -> SourceModel:
    estimator, frame = classifier(MALIGNANT)
    return saved(folder, estimator=estimator, features=frame, format="cpp")


def foreign_class(folder: Path) -> SourceModel:
    estimator, frame = classifier(MALIGNANT)
    model = saved(folder, estimator=estimator, features=frame)
    return rewritten(model, "model_type: CatBoostClassifier", "model_type: Pool")


def damaged(folder: Path) -> SourceModel:
    estimator, frame = classifier(MALIGNANT)
    model = saved(folder, estimator=estimator, features=frame)
    (model.path / "model.cb").write_bytes(b"CBM1 no model")
    return model


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (by_category, "categorical features are not exported.*feature 30"),
        (several_labels, "gives several labels a row"),
        (uncertain, "RMSEWithUncertainty, whose answers are not exported"),
        (other_threshold, r"probability threshold 0\.3: only 0\.5"),
        (other_columns, "was trained on 30 features, and its signature has 5 columns"),
        (as_source_code, "was saved as 'cpp', which CatBoost cannot read again"),
        (foreign_class, "MLmodel names the class 'Pool'"),
        (damaged, r"cannot load model\.cb"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line(tmp_path: Path, make: Any, told: str) -> None:  # noqa: ANN401
    with pytest.raises(ConversionError, match=told) as caught:
        exported(CONVERTER, make(tmp_path / "model"), tmp_path)
    assert "\n" not in str(caught.value)


def test_an_original_that_cannot_answer_is_one_clear_line(tmp_path: Path) -> None:
    model = other_columns(tmp_path / "model")
    with pytest.raises(ConversionError, match="the original cannot answer") as caught:
        answers(CONVERTER, model, columns_of(GAPS))
    assert "\n" not in str(caught.value)
