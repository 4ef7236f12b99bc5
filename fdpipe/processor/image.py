"""Images as base64 text → pixel values, as transformers' image processors make them with Pillow."""

import base64
import binascii
import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe import pretrained
from fdpipe.arrays import Batch, check_names, fit
from fdpipe.artifacts import SourceModel, TensorSpec
from fdpipe.errors import ConversionError
from fdpipe.processor._image_steps import Action, Step, steps_of
from fdpipe.processor._scored import scored

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is decoded. Not all that Pillow knows: some of its decoders start other programs."""

COMPONENTS = ("image_processor", "feature_extractor", "processor")
"""The components of a model that may hold `preprocessor_config.json`."""

LARGEST_PIXELS = 2**25
"""Of an image while it is changed: one of 1 × 100000 would become endless before its middle is cut out."""

BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError, MemoryError,
    ZeroDivisionError, AssertionError, NotImplementedError, struct.error,
)  # fmt: skip
"""What Pillow's decoders raise on bytes that are no image."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """Images of at most `megapixels` are taken. `bind` fills the rest: the records' name of the image, the graph's input,
    the `steps` between, the `labels` of the classes, and what becomes of a classifier's scores."""

    packages: ClassVar[tuple[str, ...]] = ("pillow",)
    media_types: ClassVar[tuple[str, ...]] = tuple(f"image/{kind.lower()}" for kind in FORMATS)

    megapixels: float = 32.0
    name: str = ""
    tensor: str = ""
    steps: tuple[Step, ...] = ()
    labels: tuple[str, ...] = ()
    scoring: str = ""

    def __post_init__(self) -> None:
        """Ranges."""
        if self.megapixels <= 0:
            raise ValueError("megapixels must be above 0")

    def accepts(self, model: SourceModel) -> bool:
        """A transformers model that classifies images."""
        return model.flavour == pretrained.TRANSFORMERS and pretrained.task_of(model) in pretrained.IMAGE_TASKS

    def bind(self, model: SourceModel, inputs: Sequence[TensorSpec], folder: Path) -> "Image":
        """From the model's `preprocessor_config.json` and `config.json`."""
        name = _name(model)
        if all(spec.dtype == "string" for spec in inputs):  # the original itself is served
            return replace(self, name=name, tensor=name)
        if len(inputs) != 1:
            raise ConversionError(f"the graph has {len(inputs)} inputs: of an image there is one")
        config = pretrained.described(model, pretrained.network_folder(model), "config.json")
        return replace(
            self,
            name=name,
            tensor=inputs[0].name,
            steps=steps_of(_description(model)),
            labels=pretrained.labels_of(config),
            scoring=pretrained.scoring_of(config),
        )

    def prepare(self, records: Batch) -> dict[str, np.ndarray]:
        """Images as base64 text (`data:image/…;base64,` may stand before it) → float32 of shape (rows, 3, height, width)."""
        check_names(records, [self.name])
        texts = fit(np.asarray(records[self.name]), "string", self.name)
        if texts.shape not in ((len(texts),), (len(texts), 1)):
            raise ValueError(f"{self.name} must have one image a row, got the shape {texts.shape}")
        if not self.steps:
            return {self.tensor: texts.reshape(-1, 1)}
        images = [self._prepared(text, f"{self.name}[{row}]") for row, text in enumerate(texts.ravel())]
        if len({image.shape for image in images}) > 1:
            sizes = " and ".join(sorted({f"{image.shape[2]} × {image.shape[1]}" for image in images})[:2])
            raise ValueError(f"{self.name} has images that become of different sizes, {sizes}: send them one by one")
        stacked = np.stack(images) if images else self._changed(_blank())[np.newaxis][:0]
        return {self.tensor: np.ascontiguousarray(stacked, np.float32)}

    def finish(self, outputs: Batch) -> dict[str, np.ndarray]:
        """`label` and `probabilities` for one label of several, `scores` for any number of them, `value` for a figure; other
        outputs as they are."""
        return scored(outputs["logits"], self.scoring, self.labels) if "logits" in outputs else dict(outputs)

    def _prepared(self, text: str, place: str) -> np.ndarray:
        return self._changed(_decoded(_bytes_of(text, place), place, self.megapixels))

    def _changed(self, image: np.ndarray) -> np.ndarray:
        for step in self.steps:
            image = CHANGES[step.action](image, step)
        return image.astype(np.float32)


def _name(model: SourceModel) -> str:
    """What the records call the image."""
    if len(model.inputs) != 1:
        raise ConversionError(f"{model.ref.name} has {len(model.inputs)} inputs in its signature: there must be one, the image")
    if model.inputs[0].dtype != "string":
        raise ConversionError(f"{model.ref.name} takes {model.inputs[0].dtype}: images must be strings, as base64 text")
    return model.inputs[0].name


def _description(model: SourceModel) -> Mapping[str, Any]:
    """The file `preprocessor_config.json` of the first component that has one."""
    for component in COMPONENTS:
        if found := pretrained.described(model, model.path / "components" / component, "preprocessor_config.json"):
            return found
    raise ConversionError(f"{model.ref.name} has no image processor: log its pipeline with one (preprocessor_config.json)")


def _bytes_of(text: str, place: str) -> bytes:
    """What the text encodes. Addresses and paths are never opened."""
    if text.startswith("data:image/"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{place} must be an image as base64 text, got {text[:40]!r}") from error


def _decoded(content: bytes, place: str, megapixels: float) -> np.ndarray:
    """The image upright as RGB, its first frame where there are many; `ValueError` with one line for anything else."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    try:
        with Pillow.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height <= megapixels * 1e6:
                return np.moveaxis(np.asarray(ImageOps.exif_transpose(image).convert("RGB")), -1, 0)
    except Pillow.DecompressionBombError as error:
        raise ValueError(f"{place} is too large: {megapixels:g} megapixels are allowed") from error
    except BROKEN as error:
        said = " ".join(str(error).split())[:120] or type(error).__name__
        reason = "" if isinstance(error, Pillow.UnidentifiedImageError) else f": {said}"
        raise ValueError(f"{place} cannot be decoded as an image, {', '.join(FORMATS)} can{reason}") from error
    raise ValueError(f"{place} is too large: {width} × {height}, {megapixels:g} megapixels are allowed")


def _blank() -> np.ndarray:
    return np.zeros((3, 64, 64), np.uint8)


def _resize(image: np.ndarray, step: Step) -> np.ndarray:
    return _resized(image, step.height, step.width, step.filter)


def _shortest(image: np.ndarray, step: Step) -> np.ndarray:
    """The longer side in proportion, rounded down."""
    height, width = image.shape[-2:]
    longer = int(step.height * max(height, width) / min(height, width))
    sides = (longer, step.height) if width <= height else (step.height, longer)
    new_height, new_width = (side + -side % step.divisor for side in sides)
    return _resized(image, new_height, new_width, step.filter)


def _resized(image: np.ndarray, height: int, width: int, filter: int) -> np.ndarray:
    from PIL import Image as Pillow

    if height * width > LARGEST_PIXELS:
        raise ValueError(f"an image of {image.shape[2]} × {image.shape[1]} is too long to be resized")
    picture = Pillow.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1)))
    return np.moveaxis(np.asarray(picture.resize((width, height), resample=Pillow.Resampling(filter))), -1, 0)


def _crop(image: np.ndarray, step: Step) -> np.ndarray:
    """As transformers rounds it: an odd margin cut is smaller on top and left, an odd one added is larger there."""
    height, width = image.shape[-2:]
    framed = np.zeros((3, max(step.height, height), max(step.width, width)), image.dtype)
    top, left = ((size - old + 1) // 2 for size, old in zip(framed.shape[-2:], (height, width), strict=True))
    framed[:, top : top + height, left : left + width] = image
    top, left = ((old - new) // 2 + added for old, new, added in ((height, step.height, top), (width, step.width, left)))
    return framed[:, max(0, top) : top + step.height, max(0, left) : left + step.width]


def _scale(image: np.ndarray, step: Step) -> np.ndarray:
    scaled = (image.astype(np.float64) * step.factor).astype(np.float32)
    return scaled + np.float32(step.offset) if step.offset else scaled


def _normalize(image: np.ndarray, step: Step) -> np.ndarray:
    mean, std = (np.array(figures, np.float32).reshape(3, 1, 1) for figures in (step.mean, step.std))
    normalized: np.ndarray = (image.astype(np.float32) - mean) / std
    return normalized


CHANGES = {
    Action.RESIZE: _resize,
    Action.SHORTEST: _shortest,
    Action.CROP: _crop,
    Action.SCALE: _scale,
    Action.REVERSE: lambda image, _: image[::-1],
    Action.NORMALIZE: _normalize,
}
