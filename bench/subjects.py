"""Every estimator of scikit-learn, fitted to real data that it takes: the bundled sets, and twenty sentences."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

SENTENCES = (
    "The pump in hall three is leaking oil again",
    "Please send me the invoice for October",
    "The motor is hot and smells of burnt oil",
    "When will the second invoice be paid",
    "A valve on the pump does not close",
    "I was charged twice for the same order",
    "The bearing of the fan makes a loud noise",
    "Our payment went to the old account in Zürich",
    "Oil pressure falls when the motor starts",
    "The discount is missing from the invoice",
    "Hall two has no cooling water",
    "Where can I change the billing address",
    "The fan stops after ten minutes",
    "The bank returned our payment",
    "Water drips from the valve of pump four, ÖL too",
    "Please correct the VAT on this invoice",
    "The new bearing is the wrong size",
    "Our account shows an open payment",
    "The motor trips the fuse in hall one",
    "We never received a receipt for the order",
)
"""Ten about machines and ten about money, in turn."""

ROWS = 150
"""So many rows of the data at most: what takes long is asking, not fitting."""

TARGETS = ("MultiTask", "MultiOutputRegressor", "RegressorChain", "CCA", "PLSCanonical", "PLSSVD")
"""How the names begin of what is fitted to several targets."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A fitted estimator and the rows that it is asked about."""

    name: str
    estimator: Any
    rows: Any


def names() -> list[str]:
    """Those of scikit-learn's own list."""
    from sklearn.utils import all_estimators

    return [name for name, _ in all_estimators()]


def subject_of(name: str) -> Subject:
    """The estimator with its defaults, or what it cannot do without; fitted."""
    from sklearn.utils import all_estimators

    make: Callable[..., Any] = dict(all_estimators())[name]
    estimator = make(**_settings(name))
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=0)
    rows, answers = _data_for(name, estimator)
    if name == "FrozenEstimator":
        estimator.estimator.fit(rows, answers)
    elif name in ("LabelEncoder", "LabelBinarizer", "MultiLabelBinarizer"):
        estimator.fit(rows)
    else:
        estimator.fit(rows, answers)
    return Subject(name=name, estimator=estimator, rows=rows)


def compositions() -> Iterator[Subject]:
    """What people register: pipelines, on data where float32 is not enough, and with strings and missing values."""
    from sklearn import clone, datasets, ensemble, neighbors
    from sklearn.compose import make_column_transformer
    from sklearn.decomposition import PCA
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def forest() -> Any:  # noqa: ANN401 - an estimator has no type of its own
        return ensemble.RandomForestClassifier(n_estimators=30, random_state=0)

    boosted = ensemble.GradientBoostingClassifier(n_estimators=30, random_state=0)
    cells, health = datasets.load_breast_cancer(return_X_y=True)
    pixels, digits = datasets.load_digits(return_X_y=True)
    wines, growers = datasets.load_wine(return_X_y=True)
    patients, progress = datasets.load_diabetes(return_X_y=True)
    people, bought = _people()
    filled = SimpleImputer(strategy="most_frequent", missing_values="")
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "children"]),
        (make_pipeline(filled, OneHotEncoder(handle_unknown="ignore")), ["town"]),
    )
    holed = np.where(np.random.default_rng(0).random(wines.shape) < 0.1, np.nan, wines)
    logistic, scaler = LogisticRegression(), StandardScaler()
    union = make_pipeline(scaler, make_union(StandardScaler(), PCA(2)), logistic)
    chosen: dict[str, tuple[Any, Any, Any]] = {
        "RandomForestClassifier behind StandardScaler on breast cancer": (make_pipeline(scaler, forest()), cells, health),
        "GradientBoostingClassifier on breast cancer": (boosted, cells, health),
        "HistGradientBoostingRegressor on diabetes": (ensemble.HistGradientBoostingRegressor(max_iter=30), patients, progress),
        "IsolationForest on breast cancer": (ensemble.IsolationForest(n_estimators=30, random_state=0), cells, None),
        "RandomForestClassifier behind SimpleImputer on wine": (make_pipeline(SimpleImputer(), forest()), holed, growers),
        "Strings and missing values → forest": (make_pipeline(columns, forest()), people, bought),
        "Strings and missing values → LogisticRegression": (make_pipeline(columns, logistic), people, bought),
        "TfidfVectorizer → LogisticRegression": (make_pipeline(TfidfVectorizer(), logistic), np.array(SENTENCES), _topics()),
        "FeatureUnion → LogisticRegression on wine": (union, wines, growers),
    }
    fitted, held, fitted_digits, _ = train_test_split(pixels, digits, test_size=0.5, random_state=0)
    nearest = neighbors.KNeighborsClassifier(4).fit(fitted, fitted_digits)
    yield Subject(name="KNeighborsClassifier on digits", estimator=nearest, rows=held)
    for name, (estimator, rows, answers) in chosen.items():
        yield Subject(name=name, estimator=clone(estimator).fit(rows, answers), rows=rows)


def _topics() -> np.ndarray:
    return np.array(["machine", "money"] * 10)


def _people() -> tuple[pd.DataFrame, np.ndarray]:
    """A data frame with strings, missing numbers and missing (empty) strings, and a label that depends on them."""
    random = np.random.default_rng(0)
    town = random.choice(["Ulm", "Köln", ""], ROWS)
    age = np.where(random.random(ROWS) < 0.2, np.nan, random.uniform(18, 90, ROWS).round(1))
    children = random.integers(0, 4, ROWS).astype(float)
    label = np.where((town == "Ulm") | (children > 2), "yes", "no")
    return pd.DataFrame({"age": age, "town": town, "children": children}), label


def _settings(name: str) -> dict[str, Any]:
    """What the constructor needs, and fewer trees than by default."""
    from sklearn import decomposition, linear_model, preprocessing, tree
    from sklearn.datasets import load_iris

    classifier, regressor = linear_model.LogisticRegression(max_iter=1000), linear_model.Ridge()
    both = ("scale", preprocessing.StandardScaler()), ("classify", classifier)
    judges = [("logistic", classifier), ("tree", tree.DecisionTreeClassifier(max_depth=3, random_state=0))]
    guesses = [("ridge", regressor), ("tree", tree.DecisionTreeRegressor(max_depth=3, random_state=0))]
    columns = [
        ("scaled", preprocessing.StandardScaler(), ["age", "children"]),
        ("coded", preprocessing.OneHotEncoder(), ["town"]),
    ]
    search: Mapping[str, Any] = {"estimator": classifier, "cv": 2}
    known: dict[str, dict[str, Any]] = {
        "Pipeline": {"steps": list(both)},
        "ColumnTransformer": {"transformers": columns},
        "FeatureUnion": {"transformer_list": [both[0], ("reduce", decomposition.PCA(2))]},
        "StackingClassifier": {"estimators": judges},
        "VotingClassifier": {"estimators": judges, "voting": "soft"},
        "StackingRegressor": {"estimators": guesses},
        "VotingRegressor": {"estimators": guesses},
        "GridSearchCV": {**search, "param_grid": {"C": [0.1, 1.0]}},
        "RandomizedSearchCV": {**search, "param_distributions": {"C": [0.1, 1.0]}, "n_iter": 2},
        "MultiOutputRegressor": {"estimator": regressor},
        "RegressorChain": {"estimator": regressor},
        "TransformedTargetRegressor": {"regressor": regressor},
        "SparseCoder": {"dictionary": load_iris().data[:3]},
        "LocalOutlierFactor": {"novelty": True},
        "FeatureHasher": {"input_type": "string", "n_features": 16},
        "HashingVectorizer": {"n_features": 32},
        "QuantileTransformer": {"n_quantiles": 20},
        "GaussianRandomProjection": {"n_components": 2},
        "SparseRandomProjection": {"n_components": 2},
        "RadiusNeighborsClassifier": {"radius": 2000.0},
        "RadiusNeighborsTransformer": {"radius": 2000.0},
        "RadiusNeighborsRegressor": {"radius": 2.0},
        "TSNE": {"perplexity": 5, "max_iter": 250},
    }
    inner = (
        "CalibratedClassifierCV", "ClassifierChain", "FixedThresholdClassifier", "MultiOutputClassifier", "OneVsOneClassifier",
        "OneVsRestClassifier", "OutputCodeClassifier", "SelfTrainingClassifier", "TunedThresholdClassifierCV", "RFE", "RFECV",
        "SelectFromModel", "FrozenEstimator", "SequentialFeatureSelector",
    )  # fmt: skip
    few = ("RandomForest", "ExtraTrees", "GradientBoosting", "IsolationForest", "RandomTreesEmbedding", "AdaBoost")
    if name in inner:
        return {"estimator": classifier}
    return known.get(name, {"n_estimators": 20} if name.startswith(few) else {})


def _data_for(name: str, estimator: Any) -> tuple[Any, Any]:  # noqa: ANN401 - an estimator has no type of its own
    """Rows and what is learnt of them: wine for what classifies, diabetes for what regresses, iris for what transforms."""
    from sklearn import base, datasets

    rows, answers = datasets.load_iris(return_X_y=True)
    special = _special(name, rows, answers)
    if special is not None:
        return special
    if name.startswith(TARGETS):
        patients, progress = datasets.load_diabetes(return_X_y=True)
        return patients[:ROWS, :9], np.stack([progress, patients[:, 9] * 1000], axis=1)[:ROWS]
    if base.is_regressor(estimator):
        patients, progress = datasets.load_diabetes(return_X_y=True)
        return patients[:ROWS], progress[:ROWS]
    if "Neighbor" in name or name == "LocalOutlierFactor":  # iris has the same row twice, and rows equally far from a third
        rows, answers = datasets.load_wine(return_X_y=True)
    return rows, answers


def _special(name: str, rows: np.ndarray, answers: np.ndarray) -> tuple[Any, Any] | None:
    """Data of another kind, for those that take nothing else."""
    from sklearn import datasets

    towns = _people()[0][["town"]].assign(sex=["f", "m"] * (ROWS // 2))
    halves = (answers == 2).astype(int)
    unlabelled = np.where(np.arange(len(answers)) % 5 == 0, -1, answers)
    if name in ("SimpleImputer", "KNNImputer", "MissingIndicator"):
        wines, growers = datasets.load_wine(return_X_y=True)
        wines[::7, 1] = wines[::11, 2] = np.nan
        return wines, growers
    found: dict[str, tuple[Any, Any]] = {
        **dict.fromkeys(("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"), (np.array(SENTENCES), _topics())),
        **dict.fromkeys(("LabelEncoder", "LabelBinarizer"), (_people()[1], None)),
        **dict.fromkeys(("OneHotEncoder", "OrdinalEncoder", "TargetEncoder"), (towns, halves)),
        **dict.fromkeys(("LabelPropagation", "LabelSpreading", "SelfTrainingClassifier"), (rows, unlabelled)),
        **dict.fromkeys(("TunedThresholdClassifierCV", "FixedThresholdClassifier"), (rows, halves)),
        **dict.fromkeys(("MultiOutputClassifier", "ClassifierChain"), (rows, np.stack([halves, answers == 1], axis=1))),
        "GaussianProcessClassifier": (rows[50:], answers[50:]),
        "ColumnTransformer": _people(),
        "FeatureHasher": (_people()[0][["town"]].to_numpy(str), None),
        "MultiLabelBinarizer": (np.array([["red", "blue"], ["blue", "green"]] * 5), None),
        "DictVectorizer": ([{"age": 1.0, "height": 2.0}] * 5, None),
        "CategoricalNB": (np.minimum(rows.astype(np.int64), 3), answers),
        "KernelCenterer": (rows @ rows.T, None),
        "IsotonicRegression": (rows[:, 2], rows[:, 3]),
        "PatchExtractor": (datasets.load_digits().images[:10], None),
    }
    return found.get(name)
