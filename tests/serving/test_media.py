"""Raw images as strings' bytes, over the Open Inference Protocol; raw texts, which are UTF-8."""

import base64
import struct
from typing import Any

import grpc
import httpx
import msgspec
import pytest

from fdpipe import open_inference
from fdpipe.artifacts import TensorSpec
from fdpipe.serving import media
from fdpipe.serving.refusal import Refusal
from tests.serving import raw
from tests.serving.conftest import Served

TEXT = TensorSpec(name="text", dtype="string", shape=("rows",))
IMAGE = media.ImageSpec(name="image", dtype="string", shape=("rows",))
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def joined(*elements: bytes) -> bytes:
    """Each after its length."""
    return b"".join(struct.pack("<I", len(one)) + one for one in elements)


def over_rest(served: Served, name: str, *elements: bytes) -> httpx.Response:
    """With the binary tensor extension."""
    content = joined(*elements)
    tensor = {"name": name, "datatype": "BYTES", "shape": [len(elements)], "parameters": {"binary_data_size": len(content)}}
    header = msgspec.json.encode({"inputs": [tensor], "outputs": [{"name": "label"}]})
    return httpx.post(
        f"{served.oip}/v2/models/{served.release.model.name}/infer",
        content=header + content,
        headers={"Inference-Header-Content-Length": str(len(header))},
    )


def over_grpc(served: Served, name: str, *elements: bytes, typed: bool = False) -> list[str]:
    """As raw contents, or typed ones."""
    tensor: dict[str, Any] = {"name": name, "datatype": "BYTES", "shape": [len(elements)]}
    if typed:
        tensor["contents"] = {"bytes_contents": list(elements)}
    request = open_inference.message("ModelInferRequest")(
        model_name=served.release.model.name,
        inputs=[tensor],
        outputs=[{"name": "label"}],
        raw_input_contents=[] if typed else [joined(*elements)],
    )
    with grpc.insecure_channel(f"127.0.0.1:{served.port + 2}") as channel:
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        reply = open_inference.message("ModelInferResponse").FromString(ask(request.SerializeToString(), timeout=20))
    if typed:
        return [one.decode() for one in reply.outputs[0].contents.bytes_contents]
    texts = []
    content = reply.raw_output_contents[0]
    while content:
        (length,) = struct.unpack_from("<I", content)
        texts.append(content[4 : 4 + length].decode())
        content = content[4 + length :]
    return texts


@pytest.mark.parametrize("format", FORMATS)
def test_images_come_as_they_are(pictures: Served, format: str) -> None:
    images = [raw.picture(colour, format=format) for colour in raw.COLOURS]
    assert over_rest(pictures, "image", *images).json()["outputs"][0]["data"] == list(raw.COLOURS)
    assert over_grpc(pictures, "image", *images) == list(raw.COLOURS)
    assert over_grpc(pictures, "image", *images, typed=True) == list(raw.COLOURS)


def test_images_still_come_as_base64(pictures: Served) -> None:
    mixed = [raw.picture("red"), base64.b64encode(raw.picture("blue"))]
    assert over_rest(pictures, "image", *mixed).json()["outputs"][0]["data"] == ["red", "blue"]
    assert over_grpc(pictures, "image", *mixed) == ["red", "blue"]


def test_texts_come_with_labels_by_name(sentences: Served) -> None:
    assert over_rest(sentences, "text", b"sun", b"rain").json()["outputs"][0]["data"] == ["glad", "sad"]
    assert over_grpc(sentences, "text", b"sun", b"rain") == ["glad", "sad"]


def test_bytes_that_are_neither_are_refused(pictures: Served, sentences: Served) -> None:
    jpeg = raw.picture("red", format="JPEG")
    for served, name, content in (
        (sentences, "text", jpeg),
        (pictures, "image", b"\xffno image"),
        (pictures, "image", jpeg[:30]),
    ):
        found = over_rest(served, name, content)
        assert (found.status_code, list(found.json())) == (400, ["error"])
        for typed in (False, True):
            with pytest.raises(grpc.RpcError) as caught:
                over_grpc(served, name, content, typed=typed)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("format", FORMATS)
def test_no_base64_text_is_taken_for_an_image(format: str) -> None:
    image = raw.picture("red", format=format)
    text = base64.b64encode(image)
    assert image.startswith(media.BEGINNINGS)
    assert not text.startswith(media.BEGINNINGS)
    assert media.reader(IMAGE)(image) == media.reader(IMAGE)(text) == text.decode()


def test_only_images_are_read_so() -> None:
    assert media.reader(TEXT)(b"BM") == "BM"
    with pytest.raises(UnicodeDecodeError):
        media.reader(TEXT)(raw.picture("red"))


def test_base64_of_a_text_is_the_text() -> None:
    assert media.from_base64("w58=", TEXT) == "ß"
    assert media.from_base64("w58=", IMAGE) == "w58="
    with pytest.raises(Refusal, match="no UTF-8 text in base64"):
        media.from_base64("ß", TEXT)


def test_other_models_stay_as_they_are(digits: Served) -> None:
    from fdpipe.processor.none import Plain
    from fdpipe.serving.service import read_manifest

    manifest = read_manifest(digits.release.manifest.parent)
    assert media.described(manifest, Plain()) is manifest
    assert media.media_types(Plain()) == ()
