"""Models as a source describes them; their files do not matter here."""

from pathlib import Path

from fdpipe.artifacts import ModelRef, SourceModel, TensorSpec

REF = ModelRef(name="tiny", version="1", uri="models:/tiny/1", digest="0" * 64)


def model_of(inputs: tuple[TensorSpec, ...], *, columns: bool) -> SourceModel:
    """A model with these inputs."""
    return SourceModel(
        ref=REF, flavour="sklearn", serialization="skops", inputs=inputs, outputs=(), columns=columns,
        path=Path("nowhere"), digest=REF.digest,
    )  # fmt: skip
