"""Rows that the model's training run logged as an artifact."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fdpipe.artifacts import Examples, ModelRef
from fdpipe.content import file_digest
from fdpipe.dataset.reading import read_table
from fdpipe.errors import SourceError
from fdpipe.tracking import connect_existing, files_at, told


@dataclass(frozen=True, kw_only=True)
class MlflowArtifact:
    """`artifact` is the file's path among the run's artifacts; `label` names the labels, and rows without it are
    unlabelled; `tracking_uri` is as in the source."""

    artifact: str
    label: str = "label"
    tracking_uri: str = ""

    def identity(self, ref: ModelRef) -> str:
        """The run, the path, and the content's digest: a run's artifact may be written again."""
        with self._file(ref) as path:
            return f"{ref.run_id}/{self.artifact} {file_digest(path)}"

    def read(self, ref: ModelRef) -> Examples:
        """The rows."""
        with self._file(ref) as path:
            return read_table(path.read_bytes(), self.artifact, self.label)

    @contextmanager
    def _file(self, ref: ModelRef) -> Iterator[Path]:
        if ref.run_id is None:
            raise SourceError(
                f"{ref.name} version {ref.version} has no training run to take {self.artifact} from: use dataset=files"
            )
        registry = connect_existing(self.tracking_uri)
        with told(f"the training run of {ref.name} version {ref.version} cannot be read"):
            there = [item.path for item in registry.list_artifacts(ref.run_id, str(Path(self.artifact).parent).strip("."))]
            root = registry.get_run(ref.run_id).info.artifact_uri
        if self.artifact not in there:
            listed = ", ".join(there) or "none"
            raise SourceError(f"the run of {ref.name} version {ref.version} logged no {self.artifact}; its artifacts: {listed}")
        with files_at(f"{root}/{self.artifact}", self.tracking_uri) as path:
            yield path
