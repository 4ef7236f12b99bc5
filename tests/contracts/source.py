"""What every source must do."""

from pathlib import Path

import pytest

from fdpipe import workers
from fdpipe.artifacts import ModelRef
from fdpipe.content import tree_digest
from fdpipe.errors import SourceError
from fdpipe.interfaces import Source


class SourceContract:
    """Inherit it, with the fixtures `source`, `reference` (of a model that is there) and `unknown` (of one that is not)."""

    def test_is_made_again_from_its_settings(self, source: Source) -> None:
        assert workers.build("source", workers.describe(source)) == source

    def test_pins_a_version_and_its_content(self, source: Source, reference: str) -> None:
        ref = source.resolve(reference)
        assert ref == source.resolve(reference) == source.resolve(f"{ref.name}/{ref.version}")
        assert len(ref.digest) == 64

    def test_brings_what_was_pinned(self, source: Source, reference: str, tmp_path: Path) -> None:
        ref = source.resolve(reference)
        model = source.download(ref, tmp_path / "model")
        assert model.path == tmp_path / "model"
        assert tree_digest(model.path) == ref.digest == model.digest
        assert (model.ref, bool(model.flavour), bool(model.inputs)) == (ref, True, True)

    def test_an_unknown_model_is_one_clear_line(self, source: Source, unknown: str) -> None:
        with pytest.raises(SourceError) as caught:
            source.resolve(unknown)
        assert "\n" not in str(caught.value)
        assert unknown.partition("@")[0] in str(caught.value)

    def test_a_verdict_can_be_written_twice(self, source: Source, reference: str) -> None:
        ref = source.resolve(reference)
        for verdict in ("fail", "pass"):
            source.publish(ref, {"fdpipe.cpu.verdict": verdict, "fdpipe.cpu.url": ""}, "deployed-cpu")
        assert source.resolve(reference).digest == ref.digest

    def test_a_version_that_is_not_there_cannot_be_brought(self, source: Source, reference: str, tmp_path: Path) -> None:
        ref = source.resolve(reference)
        gone = ModelRef(name=ref.name, version="999", uri=ref.uri, digest=ref.digest)
        with pytest.raises(SourceError):
            source.download(gone, tmp_path / "model")
