"""The fake source."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fdpipe.artifacts import (
    ModelRef,
    SourceModel,
)
from fdpipe.content import tree_digest
from fdpipe.errors import SourceError
from fdpipe.testing.model import INPUTS, OUTPUTS, FakeModel


@dataclass(frozen=True, kw_only=True)
class FakeSource:
    """A registry with one model, `fake`, in as many `versions` as there are; `candidate` is the last one's alias.

    What is published is appended, a line of JSON each, to the file `published`.
    """

    versions: int = 1
    wrong_percent: int = 0
    microseconds: float = 200.0
    published: Path | None = None

    def resolve(self, reference: str) -> ModelRef:
        """`fake`, `fake@candidate` and `fake/<version>`; `SourceError` for anything else."""
        name, _, version = reference.removeprefix("models:/").replace("@candidate", f"/{self.versions}").partition("/")
        known = [str(number + 1) for number in range(self.versions)]
        if name != "fake" or (version or known[-1]) not in known:
            raise SourceError(f"there is no model {reference!r}: the only one is fake, in the versions {', '.join(known)}")
        version = version or known[-1]
        with TemporaryDirectory() as folder:
            digest = tree_digest(self._write(Path(folder) / "model", version))
        return ModelRef(name=name, version=version, uri=f"fake:/{name}/{version}", digest=digest)

    def download(self, ref: ModelRef, folder: Path) -> SourceModel:
        """One file."""
        return SourceModel(
            ref=ref, flavour="fake", serialization="json", inputs=INPUTS, outputs=OUTPUTS, columns=False,
            path=self._write(folder, ref.version), digest=ref.digest,
        )  # fmt: skip

    def publish(self, ref: ModelRef, tags: Mapping[str, str], alias: str | None) -> None:
        """Append it to the file."""
        if self.published is not None:
            with self.published.open("a") as stream:
                stream.write(json.dumps({"version": ref.version, "tags": dict(tags), "alias": alias}) + "\n")

    def _write(self, folder: Path, version: str) -> Path:
        folder.mkdir(parents=True)
        model = FakeModel(version=version, wrong_percent=self.wrong_percent, microseconds=self.microseconds)
        model.save(folder / "model.json")
        return folder
