"""Messages: what goes in comes out, and what is no message does no harm."""

import os
import pickle
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, Task, TensorSpec
from fdpipe.errors import ConversionError, NotApplicable, OriginalLost
from fdpipe.interfaces import Export
from fdpipe.isolation import received, wire
from fdpipe.isolation.messages import Call, Refusal, Reply, Request

Pair = tuple[socket.socket, socket.socket]
NUMBERS = st.sampled_from(sorted(wire.DTYPES)).map(np.dtype)
SOON = wire.NEVER  # the test has its own limit


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def there_and_back(pair: Pair, batch: Batch) -> dict[str, np.ndarray]:
    wire.send(pair[0], wire.pack(Reply(), batch), SOON)
    return wire.receive(pair[1], Reply, SOON)[1]


@given(array=arrays_of.arrays(NUMBERS, arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_of_every_kind_and_shape(pair: Pair, array: np.ndarray) -> None:
    found = there_and_back(pair, {"a": array, "b": array.T})
    for name, given_array in (("a", array), ("b", array.T)):
        assert (found[name].dtype, found[name].shape) == (given_array.dtype, given_array.shape)
        np.testing.assert_array_equal(found[name], given_array)
        assert found[name].flags.writeable


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20), max_size=20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_strings(pair: Pair, texts: list[str]) -> None:
    for kind in (str, object):
        found = there_and_back(pair, {"a": np.array(texts, dtype=kind)})["a"]
        assert found.tolist() == texts
        assert found.dtype.kind == "U"


def test_another_byte_order_and_no_order(pair: Pair) -> None:
    array = np.arange(12, dtype=">f4").reshape(3, 4)[:, ::-2]
    found = there_and_back(pair, {"a": array})["a"]
    assert (found.dtype.name, found.tolist()) == ("float32", array.tolist())


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["2020-01-01"], "datetime64[D]"), np.zeros(2, [("a", "i4")])])
def test_what_does_not_travel(array: np.ndarray) -> None:
    with pytest.raises(TypeError, match=r"^a is of type .*: it must be one of string, "):
        wire.pack(Reply(), {"a": array})


def test_requests_and_replies(pair: Pair) -> None:
    spec = TensorSpec(name="x", dtype="float32", shape=("rows", 3))
    export = Export(path=Path("a/model.onnx"), task=Task.TENSORS, inputs=(spec,), outputs=(spec, spec))
    for body in (Reply(export=export, versions={"numpy": "2"}, missing=("a", "b")), Reply(refusal=Refusal(kind="X", text="y"))):
        wire.send(pair[0], wire.pack(body, {}), SOON)
        assert wire.receive(pair[1], Reply, SOON) == (body, {})
    asked = Request(call=Call.EXPORT, folder="a", precision=Precision.FLOAT64)
    wire.send(pair[0], wire.pack(asked, {}), SOON)
    assert wire.receive(pair[1], Request, SOON) == (asked, {})


def framed(header: bytes, rest: bytes = b"") -> bytes:
    return struct.pack(">I", len(header)) + header + rest


def message(rest: bytes = b"", **fields: Any) -> bytes:  # noqa: ANN401 - whatever may stand there
    """One array, wrong in these fields."""
    array = {"name": "a", "dtype": "float32", "shape": [2], "size": 8} | fields
    return framed(msgspec.json.encode({"body": {}, "arrays": [array]}), rest)


NO_MESSAGES: dict[str, bytes] = {
    "a pickle": framed(pickle.dumps({"body": {}, "arrays": []})),
    "no JSON": framed(b"{"),
    "no text": framed(b"\xff\xfe"),
    "another JSON": framed(b"[]"),
    "deep JSON": framed(b"[" * 100_000),
    "a body of another kind": framed(b'{"body": []}'),
    "a path that is none": framed(b'{"body": {"export": {"path": "\\u0000", "task": "tensors", "inputs": [], "outputs": []}}}'),
    "an unknown task": framed(b'{"body": {"export": {"path": "x", "task": "harm", "inputs": [], "outputs": []}}}'),
    "a long header": struct.pack(">I", 2**32 - 1),
    "objects": message(dtype="object"),
    "a void": message(dtype="V8"),
    "an expression": message(dtype="(1000000,1000000)f8"),
    "a negative axis": message(shape=[-2]),
    "an axis that is no number": message(shape=["2"]),
    "a large array": message(shape=[2**31], size=2**33),
    "a huge array": message(shape=[2**62, 2**62, 2**62], size=8),
    "an array of nothing, hugely": message(shape=[0, 2**62, 2**62], size=0),
    "many axes": message(shape=[1] * 100, size=4),
    "fewer bytes than said": message(size=4),
    "a negative size": message(size=-8),
    "strings that are none": message(b"12345678", dtype="string"),
    "fewer strings than said": message(b'["a"]   ', dtype="string"),
    "a number as a string": message(b"[1,  22]", dtype="string"),
    "strings with much room": message(
        msgspec.json.encode(["x" * 2**15] + [""] * 2**15), dtype="string", shape=[2**15 + 1], size=2**15 + 4 + 3 * 2**15
    ),
    "two of one name": framed(
        msgspec.json.encode({"body": {}, "arrays": [{"name": "a", "dtype": "bool", "shape": [0], "size": 0}] * 2})
    ),
}


@pytest.mark.parametrize("data", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_what_is_no_message_is_said_to_be_none(pair: Pair, data: bytes) -> None:
    pair[0].sendall(data)
    with pytest.raises(wire.BrokenMessage):
        wire.receive(pair[1], Reply, SOON)


@pytest.mark.parametrize("length", [0, 3, 4, 20, -1])
def test_half_a_message_and_nobody_there(pair: Pair, length: int) -> None:
    pair[0].sendall(message(bytes(8))[:length])
    pair[0].close()
    with pytest.raises(EOFError):
        wire.receive(pair[1], Reply, SOON)


def test_half_a_message_and_then_nothing(pair: Pair) -> None:
    pair[0].sendall(message(bytes(8))[:-1])
    with pytest.raises(TimeoutError):
        wire.receive(pair[1], Reply, wire.Deadline.after(0.1))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("NotApplicable", NotApplicable),
        ("Exception", ConversionError),
        ("OriginalLost", ConversionError),
        ("Exit", ConversionError),
    ],
)
def test_an_error_is_one_of_ours_or_a_conversion_error(kind: str, wanted: type) -> None:
    found = received.error(Refusal(kind=kind, text="one\ntwo\x1b[2J\x00" + "x" * 10_000))
    assert type(found) is wanted
    assert not isinstance(found, OriginalLost)
    assert str(found).startswith("one two [2J x")
    assert len(str(found)) == received.LONGEST_TEXT


def made(folder: Path) -> tuple[Path, Path]:
    """An export as the child left it, and where it is to go."""
    (folder / "made" / "inside").mkdir(parents=True)
    (folder / "made" / "model.onnx").write_text("model")
    (folder / "made" / "inside" / "weights").write_text("weights")
    (folder / "target").mkdir()
    return folder / "made", folder / "target"


@pytest.mark.parametrize("path", [".", "model.onnx", "inside"])
def test_an_export_is_moved(tmp_path: Path, path: str) -> None:
    source, target = made(tmp_path)
    assert received.fetch(source, target, Path(path)) == target / path
    assert (target / "inside" / "weights").read_text() == "weights"
    assert list(source.iterdir()) == []


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "inside/../../outside", "missing", "model.onnx/x"])
def test_an_export_that_lies_elsewhere(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").write_text("")
    with pytest.raises(ConversionError, match="has not made"):
        received.fetch(*made(tmp_path), Path(path))


def test_what_was_taken_cannot_be_changed_any_more(tmp_path: Path) -> None:
    """Whoever made it may still have it open."""
    source, target = made(tmp_path)
    with (source / "model.onnx").open("a") as still_open:
        found = received.fetch(source, target, Path("model.onnx"))
        still_open.write(", changed")
    assert found.read_text() == "model"


def test_folders_without_end_are_not_taken(tmp_path: Path) -> None:
    source, target = made(tmp_path)
    source.joinpath(*["a"] * 20).mkdir(parents=True)
    with pytest.raises(ConversionError, match="which is no plain file"):
        received.fetch(source, target, Path("model.onnx"))


def symlink(folder: Path) -> None:
    (folder / "x").symlink_to("/etc/passwd")


def folder_link(folder: Path) -> None:
    (folder / "x").symlink_to("/etc")


def hard_link(folder: Path) -> None:
    (folder / "x").hardlink_to(folder / "model.onnx")


def socket_file(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "x"))


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "inside" / "x")


@pytest.mark.parametrize("plant", [symlink, folder_link, hard_link, socket_file, pipe])
def test_only_plain_files_are_taken(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    source, target = made(tmp_path)
    plant(source)
    with pytest.raises(ConversionError, match="which is no plain file"):
        received.fetch(source, target, Path("model.onnx"))


def test_a_link_in_place_of_the_export(tmp_path: Path) -> None:
    source, target = made(tmp_path)
    (tmp_path / "link").symlink_to(source)
    for place in (tmp_path / "link", tmp_path / "missing", source / "model.onnx"):
        with pytest.raises(ConversionError, match="has made no export"):
            received.fetch(place, target, Path("model.onnx"))


def test_the_last_words_of_a_long_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\xff" * 200_000 + b"\nfirst\n\n \nsecond\nthird\n")
    assert received.last_words(log) == "; its last lines: first / second / third"
    log.write_text("\n \n")
    assert received.last_words(log) == ""
