"""A table's bytes → rows: npz, parquet and csv, by the name's ending."""

import io
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from fdpipe.artifacts import Examples
from fdpipe.errors import SourceError

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".npz", ".parquet", ".csv")


def read_table(data: bytes, name: str, label: str) -> Examples:
    """The rows; `label` names the column or array of labels, and rows without it are unlabelled.

    A missing string becomes empty, a missing number NaN. Nothing is ever unpickled.
    """
    ending = PurePosixPath(name).suffix.lower()
    if ending not in ENDINGS:
        raise SourceError(f"{name} cannot be read as rows: its name must end in {', '.join(ENDINGS)}")
    try:
        columns = _npz(data) if ending == ".npz" else _frame(data, ending)
    except (ValueError, TypeError, OSError, EOFError, KeyError) as error:
        raise SourceError(f"{name} cannot be read: {str(error).partition(chr(10))[0]}") from error
    labels = columns.pop(label, None)
    return Examples(features=columns, labels=labels)


def _npz(data: bytes) -> dict[str, np.ndarray]:
    archive = np.load(io.BytesIO(data), allow_pickle=False)
    if isinstance(archive, np.ndarray):
        raise ValueError("it holds one array without a name: save it with numpy.savez")
    return {key: archive[key] for key in archive.files}


def _frame(data: bytes, ending: str) -> dict[str, np.ndarray]:
    import pandas as pd

    frame = (pd.read_csv if ending == ".csv" else pd.read_parquet)(io.BytesIO(data))
    return {str(name): _column(frame[name]) for name in frame.columns}


def _column(series: "pd.Series") -> np.ndarray:
    """Numbers, booleans and strings as they are; lists of equal length as a tensor."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(series.dtype) and not series.hasnans:
        return series.to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan) if series.hasnans else series.to_numpy(series.dtype.type)
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        raise ValueError(f"column {series.name!r} holds times: convert it to numbers or strings")
    values = series.astype(object).tolist()
    if values and isinstance(values[0], np.ndarray | list):
        return np.stack([np.asarray(value) for value in values])
    return np.array(["" if pd.isna(value) else str(value) for value in values], dtype=str)
