"""Samples of Spark ML's pipelines; they need a Java virtual machine. They are trusted since there is no wheel of pyspark: for
models that are not, nothing is built."""

import functools
import sys
from pathlib import Path
from typing import Any

from bench.formats.samples import Arrays, Samples, columns, pinned

SAMPLES = Samples()

SPARK = ("pyspark",)


@functools.cache
def session() -> Any:  # noqa: ANN401 - a SparkSession
    """A local one."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    return builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()


def save(stages: list[Any], folder: Path, frame: Any, names: list[str]) -> Arrays:  # noqa: ANN401 - a data frame
    """Fit the stages and save the pipeline in MLflow's spark flavour."""
    import mlflow.spark
    import pandas as pd
    from mlflow.models import infer_signature
    from pyspark.ml import Pipeline

    fitted = Pipeline(stages=stages).fit(session().createDataFrame(frame))
    signature = infer_signature(frame[names], pd.DataFrame({"prediction": [0.0]}))
    mlflow.spark.save_model(fitted, str(folder), signature=signature, pip_requirements=pinned(*SPARK, "pandas"))
    return columns(frame[names])


def bunch(name: str, names: str) -> Any:  # noqa: ANN401 - a data frame
    """Some columns of one of scikit-learn's data sets, with the label."""
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")(as_frame=True)
    return found.data.iloc[:, : len(names)].set_axis(list(names), axis=1).assign(label=found.target.astype(float))


@SAMPLES.add("Spark ML", "scaler and logistic regression", *SPARK, trusted=True)
def spark_classifier(folder: Path) -> Arrays:
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import StandardScaler, VectorAssembler

    session()  # which the stages below look for
    stages = [
        VectorAssembler(inputCols=list("abcde"), outputCol="raw"),
        StandardScaler(inputCol="raw", outputCol="features", withMean=True),
        LogisticRegression(),
    ]
    return save(stages, folder, bunch("breast_cancer", "abcde"), list("abcde"))


@SAMPLES.add("Spark ML", "linear regression", *SPARK, trusted=True)
def spark_regressor(folder: Path) -> Arrays:
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.regression import LinearRegression

    session()
    stages = [VectorAssembler(inputCols=list("abcde"), outputCol="features"), LinearRegression()]
    return save(stages, folder, bunch("diabetes", "abcde"), list("abcde"))


if __name__ == "__main__":
    sys.exit(SAMPLES.main(sys.argv[1:]))
