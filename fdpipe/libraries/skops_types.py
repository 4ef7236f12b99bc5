"""What a skops file may name: the classes of which scikit-learn's fitted estimators are made, and the functions that they call.

A name is as dangerous as what comes of it: skops calls classes with whatever arguments the file has, and fills objects with
whatever attributes. Of numpy and scipy, some then write files, unpickle, or run text as Python; so each class is here because
it does not.
"""

import sys
from collections.abc import Iterable

FUNCTIONS = tuple(
    f"sklearn.feature_selection._{module}.{name}"
    for module, names in {
        "univariate_selection": ("chi2", "f_classif", "f_oneway", "f_regression", "r_regression"),
        "mutual_info": ("mutual_info_classif", "mutual_info_regression"),
    }.items()
    for name in names
)
"""By these a column is selected, and nothing else comes of calling them."""

CLASSES = (
    "numpy.dtype",
    "scipy.interpolate._bsplines.BSpline",
    *(f"scipy.sparse._{form}.{form}_{kind}" for form in ("csr", "csc", "coo") for kind in ("matrix", "array")),
)

MODULES = (
    "numpy.dtypes", "sklearn._loss._loss", "sklearn._loss.link", "sklearn._loss.loss", "sklearn.calibration",
    "sklearn.cluster._bisect_k_means", "sklearn.compose._column_transformer",
    "sklearn.ensemble._hist_gradient_boosting.binning", "sklearn.ensemble._hist_gradient_boosting.predictor",
    "sklearn.gaussian_process._gpc", "sklearn.gaussian_process.kernels", "sklearn.linear_model._sgd_fast",
    "sklearn.metrics._dist_metrics",
    "sklearn.metrics._scorer", "sklearn.model_selection._split", "sklearn.multiclass", "sklearn.neighbors._ball_tree",
    "sklearn.neighbors._kd_tree", "sklearn.neural_network._stochastic_optimizers", "sklearn.tree._tree",
    "sklearn.utils._bunch", "sklearn.utils._metadata_requests",
)  # fmt: skip
"""Modules all of whose own classes hold figures and settings only."""


def foreign(names: Iterable[str]) -> list[str]:
    """Those of the names that no estimator of scikit-learn's is made of."""
    return [name for name in names if name not in FUNCTIONS and not _is_part(name)]


def _is_part(name: str) -> bool:
    """Looked up among what scikit-learn has imported already: nothing is imported because a file names it. What a module
    has imported from elsewhere is not its own: `sklearn.callback._transport.Thread` is a thread."""
    from sklearn.base import BaseEstimator

    module, _, word = name.rpartition(".")
    found = getattr(sys.modules.get(module), word, None)
    if not isinstance(found, type):
        return False
    own = found.__module__ == module and found.__qualname__ == word
    is_estimator = module.startswith("sklearn.") and issubclass(found, BaseEstimator)
    return name in CLASSES or (own and (module in MODULES or is_estimator))
