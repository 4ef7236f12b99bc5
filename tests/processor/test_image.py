"""Images → pixel values, compared with what transformers' own image processors make of them."""

import base64
import io
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image as Pillow

from fdpipe.artifacts import SourceModel, TensorSpec
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Processor
from fdpipe.processor._image_steps import FAMILIES, Action, steps_of
from fdpipe.processor.image import Image
from tests.contracts.processor import ProcessorContract
from tests.contracts.settings import built
from tests.processor.examples import model_of

transformers = pytest.importorskip("transformers", reason="transformers' own image processors are what ours are compared with")

PIXELS = (TensorSpec(name="pixel_values", dtype="float32", shape=("rows", 3, "height", "width")),)
COLUMN = (TensorSpec(name="input", dtype="string", shape=("rows",)),)
VIT = {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 6}}


def described(folder: Path, settings: dict[str, Any], task: str = "image-classification", **config: Any) -> SourceModel:  # noqa: ANN401
    """A model that brings this `preprocessor_config.json`."""
    (folder / "components" / "image_processor").mkdir(parents=True)
    (folder / "components" / "image_processor" / "preprocessor_config.json").write_text(json.dumps(settings))
    (folder / "model").mkdir()
    names = {"0": "cat", "1": "dog"}
    (folder / "model" / "config.json").write_text(json.dumps({"model_type": "vit", "id2label": names} | config))
    flavours = {"python_function": {}, "transformers": {"task": task, "model_binary": "model"}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours}))
    return replace(model_of(COLUMN, columns=True), flavour="transformers", path=folder)


def picture(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Pillow.Image:
    """A random image, smooth enough that filters differ."""
    rough = np.random.default_rng(seed).integers(0, 256, (9, 7, 4), np.uint8)
    return Pillow.fromarray(rough, "RGBA").resize((width, height), Pillow.Resampling.BICUBIC).convert(mode)


def turned(orientation: int) -> Pillow.Exif:
    """What a camera writes that was held otherwise."""
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return exif


def text_of(image: Pillow.Image, format: str = "PNG", **settings: Any) -> str:  # noqa: ANN401 - Pillow has many
    """The image as a record has it."""
    stream = io.BytesIO()
    image.save(stream, format, **settings)
    return base64.b64encode(stream.getvalue()).decode()


def ours(folder: Path, settings: dict[str, Any], *texts: str) -> np.ndarray:
    """What the processor makes of the images."""
    bound = Image().bind(described(folder, settings), PIXELS, folder)
    return bound.prepare({"input": np.array(texts)})["pixel_values"]


def theirs(settings: dict[str, Any], *texts: str) -> np.ndarray:
    """What transformers' pipeline makes of them, with the PIL backend: torchvision resizes otherwise."""
    from transformers.image_utils import load_image

    kind = getattr(transformers, settings["image_processor_type"] + "Pil")
    made = kind(**{key: value for key, value in settings.items() if key != "image_processor_type"})
    found: np.ndarray = made([load_image(text) for text in texts], return_tensors="np")["pixel_values"]
    return found


class TestImage(ProcessorContract):
    @pytest.fixture
    def processor(self) -> Image:
        return Image()

    @pytest.fixture
    def model(self, tmp_path: Path) -> SourceModel:
        return described(tmp_path / "model", VIT)

    @pytest.fixture
    def bound(self, processor: Image, model: SourceModel, tmp_path: Path) -> Image:
        return processor.bind(model, PIXELS, tmp_path)

    @pytest.fixture
    def records(self) -> dict[str, np.ndarray]:
        return {"input": np.array([text_of(picture(20, 10, seed=1)), text_of(picture(5, 31, seed=2), "JPEG")])}

    @pytest.fixture
    def tensors(self, records: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"pixel_values": theirs(VIT, *records["input"])}

    def test_accepts_its_own_kind_of_inputs(self, processor: Processor, model: SourceModel) -> None:
        """The task decides, whether the text is a column or a tensor."""
        assert processor.accepts(model)
        assert processor.accepts(replace(model, columns=False))
        assert not processor.accepts(replace(model, flavour="sklearn"))

    def test_logits_become_labels_and_probabilities(self, bound: Image) -> None:
        answers = bound.finish({"logits": np.array([[0.0, np.log(3)], [200.0, -200.0]], np.float32)})
        assert answers["label"].tolist() == ["dog", "cat"]
        np.testing.assert_allclose(answers["probabilities"], np.array([[0.25, 0.75], [1, 0]]), atol=1e-7)

    def test_logits_of_several_labels_become_scores(self, bound: Image) -> None:
        logits = np.array([[0.0, np.log(3)]], np.float32)
        np.testing.assert_allclose(replace(bound, scoring="sigmoid").finish({"logits": logits})["scores"], [[0.5, 0.75]])
        np.testing.assert_array_equal(replace(bound, scoring="none").finish({"logits": logits})["value"], logits)

    def test_texts_go_to_the_original_as_they_are(self, processor: Image, model: SourceModel, tmp_path: Path) -> None:
        bound = processor.bind(model, COLUMN, tmp_path)
        assert bound.prepare({"input": np.array(["a", "b"])})["input"].tolist() == [["a"], ["b"]]

    def test_it_takes_image_classification_only(self, tmp_path: Path) -> None:
        assert not Image().accepts(described(tmp_path, VIT, task="text-classification"))

    def test_pillow_is_imported_only_when_it_is_needed(self) -> None:
        import subprocess
        import sys

        code = "import sys, fdpipe.processor.image; sys.exit(any(m.split('.')[0] in ('PIL', 'torch') for m in sys.modules))"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_its_file_is_the_default(self) -> None:
        assert built("processor", "image") == Image()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_image_processor_is_the_same_as_transformers(name: str, tmp_path: Path) -> None:
    settings = {"image_processor_type": f"{name}ImageProcessor"}
    texts = [text_of(picture(300, 300, seed=seed)) for seed in range(2)]
    np.testing.assert_array_equal(ours(tmp_path, settings, *texts), theirs(settings, *texts))


@pytest.mark.parametrize("size", [(300, 211), (33, 401), (50, 50), (1, 1)])
@pytest.mark.parametrize("name", FAMILIES)
def test_images_of_every_form_become_the_same(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    settings = {"image_processor_type": f"{name}ImageProcessor", "size": 65, "crop_size": 48, "resample": 3, "image_std": 0.25}
    settings |= {"size": {"shortest_edge": 65}, "image_std": [0.2, 0.3, 0.4]} if name in ("ConvNext", "TextNet") else {}
    settings |= {"image_std": [0.2, 0.3, 0.4], "do_normalize": name != "MobileViT", "image_mean": [0.1, 0.2, 0.3]}
    text = text_of(picture(*size))
    np.testing.assert_array_equal(ours(tmp_path, settings, text), theirs(settings, text))


@pytest.mark.parametrize("width", [40, 33])
@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("ConvNext", "TextNet")])
def test_both_sides_may_be_given(name: str, width: int, tmp_path: Path) -> None:
    settings = {"image_processor_type": f"{name}ImageProcessor", "size": {"height": 40, "width": width}}
    text = text_of(picture(90, 61))
    np.testing.assert_array_equal(ours(tmp_path, settings, text), theirs(settings, text))


@pytest.mark.parametrize("resample", range(6))
def test_every_filter_is_the_same(resample: int, tmp_path: Path) -> None:
    settings = {"image_processor_type": "CLIPImageProcessor", "resample": resample, "size": 40, "crop_size": 55}
    text = text_of(picture(90, 61))
    np.testing.assert_array_equal(ours(tmp_path, settings, text), theirs(settings, text))


@pytest.mark.parametrize(
    "off",
    ["do_resize", "do_center_crop", "do_rescale", "do_normalize", "include_top", "do_flip_channel_order", "rescale_offset"],
)
@pytest.mark.parametrize("name", ["CLIP", "EfficientNet", "MobileViT"])
def test_each_step_can_be_switched(name: str, off: str, tmp_path: Path) -> None:
    settings = {"image_processor_type": f"{name}ImageProcessor", off: off == "rescale_offset"}
    if off == "do_rescale":
        settings["do_normalize"] = False
    text = text_of(picture(70, 90))
    np.testing.assert_array_equal(ours(tmp_path, settings, text), theirs(settings, text))


@pytest.mark.parametrize(
    ("image", "format", "settings"),
    [
        (picture(30, 20, "L"), "PNG", {}),
        (picture(30, 20, "RGBA"), "PNG", {}),
        (picture(30, 20, "LA"), "PNG", {}),
        (picture(30, 20, "P"), "PNG", {"transparency": 3}),
        (picture(30, 20, "1"), "PNG", {}),
        (picture(30, 20, "I").point(lambda value: value * 200).convert("I;16"), "PNG", {}),
        (picture(30, 20, "CMYK"), "JPEG", {}),
        (picture(30, 20), "JPEG", {"exif": turned(6)}),
        (picture(30, 20), "GIF", {"save_all": True, "append_images": [picture(30, 20, seed=5)], "duration": 10}),
        (picture(30, 20), "WEBP", {"lossless": True}),
        (picture(30, 20), "BMP", {}),
        (picture(30, 20, "F"), "TIFF", {}),
    ],
    ids=["gray", "alpha", "gray and alpha", "palette", "bits", "16 bits", "cmyk", "turned", "frames", "webp", "bmp", "floats"],
)  # fmt: skip
def test_every_kind_of_image_is_read_as_transformers_reads_it(
    image: Pillow.Image, format: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    text = text_of(image, format, **settings)
    np.testing.assert_array_equal(ours(tmp_path, VIT, text), theirs(VIT, text))


def test_a_data_address_and_line_breaks_are_taken(tmp_path: Path) -> None:
    text = text_of(picture(30, 20))
    broken = base64.encodebytes(base64.b64decode(text)).decode()
    plain, *others = ours(tmp_path, VIT, text, f"data:image/png;base64,{text}", broken)
    assert all((other == plain).all() for other in others)


def test_older_files_say_the_same(tmp_path: Path) -> None:
    old = {"feature_extractor_type": "ViTFeatureExtractor", "size": 8, "do_center_crop": None}
    assert steps_of(old) == steps_of({"image_processor_type": "ViTImageProcessorFast", "size": {"height": 8, "width": 8}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://example.com/cat.png", "must be an image as base64 text, got 'https://example.com/cat.png'"),
        ("/etc/passwd", "must be an image as base64 text|cannot be decoded"),
        ("", "cannot be decoded as an image"),
        (base64.b64encode(b"no image at all").decode(), "cannot be decoded as an image"),
        (text_of(picture(30, 20))[:400], "cannot be decoded as an image"),
        (base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n").decode(), "cannot be decoded as an image"),
    ],
)
def test_what_is_no_image_is_told_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        ours(tmp_path, VIT, text_of(picture(3, 3)), text)
    assert str(caught.value).startswith("input[1] ")
    assert "\n" not in str(caught.value)


def outcome(bound: Image, text: str) -> str:
    """What becomes of one image."""
    try:
        prepared = bound.prepare({"input": np.array([text])})["pixel_values"]
    except ValueError as error:
        return "told" if str(error).startswith("input[0] ") and "\n" not in str(error) else repr(error)
    return "a picture" if prepared.shape == (1, 3, 8, 6) else f"of the shape {prepared.shape}"


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about what is broken
def test_broken_images_are_told_whatever_is_broken_in_them(tmp_path: Path) -> None:
    bound = Image().bind(described(tmp_path, VIT), PIXELS, tmp_path)
    dice = random.Random(0)
    formats: dict[str, Any] = {
        "PNG": {},
        "JPEG": {"exif": b"Exif\x00\x00MM\x00*"},
        "GIF": {},
        "WEBP": {},
        "BMP": {},
        "TIFF": {"compression": "tiff_lzw"},
    }
    for format, settings in formats.items():
        whole = base64.b64decode(text_of(picture(30, 20), format, **settings))
        for _ in range(120):
            content = bytearray(whole[: dice.choice([len(whole), dice.randrange(len(whole))])])
            for _ in range(dice.randrange(6)):
                content[dice.randrange(min(len(content), 200) or 1) : 1] = dice.randbytes(1)
            text = base64.b64encode(content).decode()
            assert outcome(bound, text) in ("a picture", "told"), format


def test_large_images_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    bound = replace(Image().bind(described(tmp_path, VIT), PIXELS, tmp_path), megapixels=0.001)
    assert bound.prepare({"input": np.array([text_of(picture(40, 25))])})
    with pytest.raises(ValueError, match=r"input\[0\] is too large: 40 × 26, 0.001 megapixels are allowed"):
        bound.prepare({"input": np.array([text_of(picture(40, 26))])})


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match=r"input\[0\] is too large"):
        ours(tmp_path, VIT, base64.b64encode(content).decode())


def test_an_endless_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 × 4000000 is too long to be resized"):
        ours(tmp_path, {"image_processor_type": "CLIPImageProcessor"}, text_of(Pillow.new("1", (1, 4_000_000))))


def test_images_that_stay_of_different_sizes_are_told(tmp_path: Path) -> None:
    settings = {"image_processor_type": "CLIPImageProcessor", "do_center_crop": False, "size": 16}
    texts = [text_of(picture(40, 20)), text_of(picture(20, 40))]
    with pytest.raises(ValueError, match="different sizes, 16 × 32 and 32 × 16: send them one by one"):
        ours(tmp_path, settings, *texts)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image_processor_type": "ImageGPTImageProcessor"}, "'ImageGPTImageProcessor' is not supported: there are Beit"),
        ({}, "'' is not supported"),
        (VIT | {"do_pad": True}, "pads images"),
        (VIT | {"resample": 7}, "resample must be from 0 to 5, got 7"),
        (VIT | {"size": {"longest_edge": 5, "shortest_edge": 3}}, "size must have shortest_edge alone"),
        (VIT | {"size": {"height": 5}}, "width"),
        (VIT | {"size": 10**6}, "a side must be a whole number from 1 to 8192, got 1000000"),
        (VIT | {"image_mean": [0.5]}, "there must be three channels, got 1"),
        (VIT | {"rescale_factor": "x"}, "settings that do not fit"),
        ({"image_processor_type": "ConvNextImageProcessor", "crop_pct": 0}, "settings that do not fit|384"),
        ({"image_processor_type": "ConvNextImageProcessor", "size": {"height": 5, "width": 5}}, "must have shortest_edge"),
    ],
)
def test_settings_that_are_not_supported_are_told(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=said) as caught:
        steps_of(settings | ({"size": 8} if settings.get("crop_pct") == 0 else {}))
    assert "\n" not in str(caught.value)


def test_a_model_without_an_image_processor_is_told(tmp_path: Path) -> None:
    model = described(tmp_path, VIT)
    (tmp_path / "components/image_processor/preprocessor_config.json").write_text("[")
    with pytest.raises(ConversionError, match="cannot be read"):
        Image().bind(model, PIXELS, tmp_path)
    (tmp_path / "components/image_processor/preprocessor_config.json").unlink()
    with pytest.raises(ConversionError, match="tiny has no image processor"):
        Image().bind(model, PIXELS, tmp_path)


def test_a_signature_that_is_no_image_is_told(tmp_path: Path) -> None:
    model = described(tmp_path, VIT)
    with pytest.raises(ConversionError, match="has 2 inputs in its signature: there must be one"):
        Image().bind(replace(model, inputs=COLUMN * 2), PIXELS, tmp_path)
    with pytest.raises(ConversionError, match="takes float32: images must be strings"):
        Image().bind(replace(model, inputs=PIXELS), PIXELS, tmp_path)
    with pytest.raises(ConversionError, match="the graph has 2 inputs"):
        Image().bind(model, PIXELS * 2, tmp_path)


def test_a_path_out_of_the_model_is_not_followed(tmp_path: Path) -> None:
    model = described(tmp_path / "model", VIT)
    text = (tmp_path / "model" / "MLmodel").read_text().replace("model_binary: model", "model_binary: ../elsewhere")
    (tmp_path / "model" / "MLmodel").write_text(text)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "config.json").write_text("{}")
    with pytest.raises(ConversionError, match="names 'elsewhere', which lies outside"):
        Image().bind(model, PIXELS, tmp_path)


def test_megapixels_must_be_positive() -> None:
    with pytest.raises(ValueError, match="megapixels must be above 0"):
        Image(megapixels=0)


def test_actions_are_all_carried_out() -> None:
    from fdpipe.processor.image import CHANGES

    assert set(CHANGES) == set(Action)
