"""Rows from a file: npz, parquet or csv, on this machine or at any URL that fsspec reads."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fdpipe.artifacts import Examples, ModelRef
from fdpipe.dataset.reading import read_table
from fdpipe.errors import SourceError


@dataclass(frozen=True, kw_only=True)
class Files:
    """`path` is a path or a URL; `label` names the column or array of labels, and rows without it are unlabelled."""

    path: str
    label: str = "label"

    def identity(self, ref: ModelRef) -> str:
        """The content's digest: a URL's content may change."""
        return hashlib.sha256(self._bytes()).hexdigest()

    def read(self, ref: ModelRef) -> Examples:
        """The rows, the same for every model version."""
        return read_table(self._bytes(), self.path, self.label)

    def _bytes(self) -> bytes:
        try:
            return _remote(self.path) if "://" in self.path else Path(self.path).expanduser().read_bytes()
        except (OSError, ValueError, ImportError) as error:
            raise SourceError(f"the rows {self.path} cannot be read: {error}") from error


def _remote(url: str) -> bytes:
    import fsspec

    with fsspec.open(url, "rb") as stream:
        return bytes(stream.read())
