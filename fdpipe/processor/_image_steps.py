"""What transformers' image processors do to an image, read from `preprocessor_config.json` as steps in order.

Arithmetic and defaults are those of the processors that transformers calls its PIL backend.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fdpipe.errors import ConversionError

NEAREST, LANCZOS, BILINEAR, BICUBIC = 0, 1, 2, 3
STANDARD = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class Action(StrEnum):
    """What a step does to an image, which is an array (3, height, width)."""

    RESIZE = "resize"
    """To `height` and `width`."""

    SHORTEST = "shortest"
    """To a shorter side of `height`, both sides then rounded up to a multiple of `divisor`."""

    CROP = "crop"
    """The middle of `height` and `width`, within black where the image is smaller."""

    SCALE = "scale"
    """Times `factor`, plus `offset`."""

    REVERSE = "reverse"
    """The channels in the other order."""

    NORMALIZE = "normalize"
    """Minus `mean`, by `std`, a figure a channel."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step; the settings that its action does not name do not count. `filter` is Pillow's number of one."""

    action: Action
    height: int = 0
    width: int = 0
    divisor: int = 1
    filter: int = BILINEAR
    factor: float = 1.0
    offset: float = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def family(
    size: int | tuple[int, int],
    filter: int,
    colours: tuple[tuple[float, ...], tuple[float, ...]],
    crop: int = 0,
    **others: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """The settings of one image processor that its file need not name."""
    mean, std = colours
    return {
        "size": size, "resample": filter, "image_mean": mean, "image_std": std, "default_to_square": True, "crop_size": 224,
        "do_resize": True, "do_center_crop": crop > 0, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
    } | ({"crop_size": crop} if crop else {}) | others  # fmt: skip


SHORT = {"default_to_square": False}
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "Beit": family(224, BICUBIC, STANDARD),
    "Bit": family(224, BICUBIC, CLIP, 224, **SHORT),
    "CLIP": family(224, BICUBIC, CLIP, 224, **SHORT),
    "ConvNext": family(384, BICUBIC, STANDARD, crop_pct=224 / 256, **SHORT),
    "DeiT": family(256, BICUBIC, STANDARD, 224),
    "EfficientNet": family(346, BICUBIC, STANDARD, rescale_offset=False, include_top=True),
    "Levit": family(224, BICUBIC, IMAGENET, 224, **SHORT),
    "MobileNetV1": family(256, BILINEAR, STANDARD, 224, **SHORT),
    "MobileNetV2": family(256, BILINEAR, STANDARD, 224, **SHORT),
    "MobileViT": family(224, BICUBIC, STANDARD, 256, do_flip_channel_order=True, **SHORT),
    "PoolFormer": family(224, BICUBIC, IMAGENET, 224, crop_pct=0.9, **SHORT),
    "Pvt": family(224, BICUBIC, IMAGENET),
    "Segformer": family(512, BILINEAR, IMAGENET),
    "Siglip": family((224, 224), BICUBIC, STANDARD, **SHORT),
    "TextNet": family(640, BILINEAR, IMAGENET, size_divisor=32, **SHORT),
    "ViT": family(224, BILINEAR, STANDARD),
}
"""Image processors by name, without the word `ImageProcessor` and what follows it."""

IGNORED = {"Segformer": ("do_center_crop",), "MobileViT": ("do_normalize",)}
"""Settings that these take and do not use."""


def steps_of(described: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps that the file describes; `ConversionError` for what is none of the families, or not as they have it."""
    name = family_of(described)
    settings = {key: value if described.get(key) is None else described[key] for key, value in FAMILIES[name].items()}
    settings |= dict.fromkeys(IGNORED.get(name, ()), False)
    if described.get("do_pad"):
        raise ConversionError(f"the image processor {name} pads images (do_pad): that is not supported")
    try:
        return (*_sizes(name, settings), *_figures(name, settings))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ZeroDivisionError) as error:
        raise ConversionError(f"the image processor {name} has settings that do not fit: {str(error)[:200]}") from error


def family_of(described: Mapping[str, Any]) -> str:
    """`ViT` for `ViTImageProcessor`, `ViTImageProcessorFast` and the older `ViTFeatureExtractor`."""
    name = str(described.get("image_processor_type") or described.get("feature_extractor_type") or "")
    short = name.partition("ImageProcessor")[0].removesuffix("FeatureExtractor")
    if short not in FAMILIES:
        raise ConversionError(f"the image processor {name!r} is not supported: there are {', '.join(FAMILIES)}")
    return short


def _sizes(name: str, settings: Mapping[str, Any]) -> list[Step]:
    """The steps that change an image's size."""
    steps = _resized(name, settings) if settings["do_resize"] else []
    if settings["do_center_crop"]:
        height, width = _square(settings["crop_size"])
        steps.append(Step(action=Action.CROP, height=height, width=width))
    return steps


def _resized(name: str, settings: Mapping[str, Any]) -> list[Step]:
    number = settings["resample"]
    if number not in range(6):
        raise ValueError(f"resample must be from 0 to 5, got {number!r}")
    size = settings["size"]
    if isinstance(size, int) and not settings["default_to_square"]:
        size = {"shortest_edge": size}
    if not (isinstance(size, Mapping) and "shortest_edge" in size):
        return _resized_to(name, settings, *_square(size))
    if set(size) != {"shortest_edge"}:
        raise ValueError(f"size must have shortest_edge alone, or height and width, got {size!r}")
    edge = _whole(size["shortest_edge"])
    if name == "ConvNext" and edge >= 384:
        return [Step(action=Action.RESIZE, height=edge, width=edge, filter=number)]
    larger = {
        "ConvNext": lambda: int(edge / settings["crop_pct"]),
        "PoolFormer": lambda: int(edge / settings["crop_pct"]),
        "Levit": lambda: int((256 / 224) * edge),
    }.get(name, lambda: edge)()
    steps = [Step(action=Action.SHORTEST, height=larger, divisor=_whole(settings.get("size_divisor", 1)), filter=number)]
    if name == "ConvNext":
        steps.append(Step(action=Action.CROP, height=edge, width=edge))
    return steps


def _resized_to(name: str, settings: Mapping[str, Any], height: int, width: int) -> list[Step]:
    """Where both sides are given."""
    if name in ("ConvNext", "TextNet"):
        raise ValueError(f"size must have shortest_edge, got {settings['size']!r}")
    if name == "PoolFormer":
        height, width = (int(side / settings["crop_pct"]) for side in (height, width))
        if height == width:
            return [Step(action=Action.SHORTEST, height=height, filter=settings["resample"])]
    return [Step(action=Action.RESIZE, height=height, width=width, filter=settings["resample"])]


def _figures(name: str, settings: Mapping[str, Any]) -> list[Step]:
    """The steps that change an image's figures."""
    steps = []
    mean, std = (_channels(settings[key]) for key in ("image_mean", "image_std"))
    if settings["do_rescale"]:
        offset = -1.0 if settings.get("rescale_offset") else 0.0
        steps.append(Step(action=Action.SCALE, factor=float(settings["rescale_factor"]), offset=offset))
    if settings.get("do_flip_channel_order"):
        steps.append(Step(action=Action.REVERSE))
    if settings["do_normalize"]:
        steps.append(Step(action=Action.NORMALIZE, mean=mean, std=std))
    if settings.get("include_top"):
        steps.append(Step(action=Action.NORMALIZE, mean=(0.0, 0.0, 0.0), std=std))
    return steps


def _square(size: Any) -> tuple[int, int]:  # noqa: ANN401 - JSON
    """Height and width of what may be one whole number, two, or named."""
    if isinstance(size, Mapping):
        return _whole(size["height"]), _whole(size["width"])
    height, width = (size, size) if isinstance(size, int) else size
    return _whole(height), _whole(width)


LARGEST_SIDE = 8192


def _whole(side: Any) -> int:  # noqa: ANN401 - JSON
    if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= LARGEST_SIDE:
        raise ValueError(f"a side must be a whole number from 1 to {LARGEST_SIDE}, got {side!r}")
    return side


def _channels(figures: Any) -> tuple[float, ...]:  # noqa: ANN401 - JSON
    found = (float(figures),) * 3 if isinstance(figures, int | float) else tuple(float(figure) for figure in figures)
    if len(found) != 3:
        raise ValueError(f"there must be three channels, got {len(found)}")
    return found
