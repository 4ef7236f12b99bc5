"""Texts and images as what they are: raw bytes of either → the string that a record holds.

A record holds an image as base64 text. Where its bytes come as such, they are written so before anything else sees them:
processor, original and monitors know one form only.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from fdpipe.artifacts import Manifest, TensorSpec
from fdpipe.interfaces import Processor
from fdpipe.serving.refusal import Refusal

TEXT = "text/plain"

BEGINNINGS = (
    b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",
)  # fmt: skip
"""How files of PNG, JPEG, GIF, WebP, BMP and TIFF begin. No such file's base64 text begins like one of them."""


@dataclass(frozen=True, kw_only=True)
class ImageSpec(TensorSpec):
    """A string that is an image as base64 text. Where strings come as bytes, it may be the image's own bytes."""


def media_types(processor: Processor) -> tuple[str, ...]:
    """What a body may be that is a record by itself; none where the processor takes no raw text or image."""
    return getattr(type(processor), "media_types", ())


def described(manifest: Manifest, processor: Processor) -> Manifest:
    """The manifest with its images marked as such."""
    if not any(kind.startswith("image/") for kind in media_types(processor)):
        return manifest
    return replace(manifest, inputs=tuple(_marked(spec) for spec in manifest.inputs))


def reader(spec: TensorSpec) -> Callable[[bytes], str]:
    """Makes a string of an element's bytes; `UnicodeDecodeError` for what is neither an image nor UTF-8."""
    return _image_or_text if isinstance(spec, ImageSpec) else bytes.decode


def only_record(body: bytes, manifest: Manifest) -> dict[str, np.ndarray]:
    """A whole body as the one input of one row."""
    spec = manifest.inputs[0]
    try:
        text = _encoded(body) if isinstance(spec, ImageSpec) else body.decode()
    except UnicodeDecodeError as error:
        raise Refusal(f"the body is no UTF-8: {error}") from error
    return {spec.name: np.array([text], dtype=object).reshape((1,) * len(spec.shape))}


def from_base64(text: str, spec: TensorSpec) -> str:
    """The string that `{"b64": text}` stands for."""
    if isinstance(spec, ImageSpec):
        return text
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Refusal(f"input {spec.name!r} has a b64 that is no UTF-8 text in base64") from error


def _marked(spec: TensorSpec) -> TensorSpec:
    if spec.dtype != "string":
        return spec
    return ImageSpec(**{field.name: getattr(spec, field.name) for field in fields(spec)})


def _image_or_text(piece: bytes) -> str:
    return _encoded(piece) if piece.startswith(BEGINNINGS) else piece.decode()


def _encoded(image: bytes) -> str:
    return base64.b64encode(image).decode("ascii")
