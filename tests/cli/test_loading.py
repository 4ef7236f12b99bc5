"""`fdpipe load` and `fdpipe slo`, typed at an address; the same at a deployed service is in tests/test_cli.py."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from fdpipe.arrays import save_arrays
from fdpipe.cli import call
from fdpipe.cli.commands import cli
from fdpipe.cli.session import Session
from fdpipe.cli.streams import Streams
from fdpipe.errors import Exit
from tests.load.slow_server import SlowServer, running

pytestmark = pytest.mark.usefixtures("home")


def fdpipe(*words: str) -> tuple[int, str, str]:
    """The exit code and the two streams."""
    out, err = io.StringIO(), io.StringIO()
    code = call(Session(streams=Streams(out, err)), words)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def server() -> Iterator[SlowServer]:
    with running(SlowServer(service_s=0.002)) as found:
        yield found


@pytest.fixture
def address(server: SlowServer) -> str:
    return f"{server.host}/v2/models/m/infer"


@pytest.fixture
def bodies(tmp_path: Path) -> str:
    path = tmp_path / "bodies.jsonl"
    path.write_text('{"a": 1}\n"as it is"\n')
    return str(path)


def test_a_closed_loop_with_bodies_from_a_file(server: SlowServer, address: str, bodies: str) -> None:
    code, out, err = fdpipe("load", address, "--requests", bodies, "-c", "2", "--seconds", "0.3")
    assert (code, err) == (Exit.DONE, "")
    assert "closed loop, 2 at a time, for 0.3 s" in out
    assert "from the intended time" in out
    assert "the sender: late by" in out
    assert set(server.bodies) == {b'{"a":1}', b"as it is"}


def test_golden_rows_as_bytes(server: SlowServer, address: str, tmp_path: Path) -> None:
    golden = tmp_path / "golden.npz"
    inputs = {"input.x": np.array([[1, 2], [3, 4]], np.float32), "input.word": np.array(["a", "bc"])}
    save_arrays(golden, inputs | {"answer.label": np.array([0, 1])})
    words = ("--requests", str(golden), "--form", "binary", "--rows", "2", "-c", "1", "--seconds", "0.1", "--json")
    code, out, _ = fdpipe("load", address, *words)
    assert code == Exit.DONE
    assert json.loads(out)["succeeded"] > 0
    header, raw = server.bodies[-1][: -16 - 11], server.bodies[-1][-16 - 11 :]
    sizes = [tensor["parameters"]["binary_data_size"] for tensor in json.loads(header)["inputs"]]
    assert sizes == [16, 11]
    assert np.array_equal(np.frombuffer(raw[:16], "<f4"), [1, 2, 3, 4])
    assert raw[16:] == b"\x01\0\0\0a\x02\0\0\0bc"


def test_a_limit_that_is_missed(address: str, bodies: str) -> None:
    words = ("load", address, "--requests", bodies, "-c", "4", "--seconds", "1", "--p99-ms")
    code, _, err = fdpipe(*words, "0.5")
    assert code == Exit.REJECTED
    assert err.startswith("fdpipe: p99 ")
    assert err.endswith(" is above 0.5 ms\n")
    assert fdpipe(*words, "60000")[0] == Exit.DONE


def test_the_search_says_what_holds_and_what_was_wanted(address: str, bodies: str) -> None:
    """One try, which nothing can miss."""
    words = ("--requests", bodies, "--p99-ms", "60000", "--budget", "3.5", "--at-least", "1e6")
    code, out, err = fdpipe("slo", address, *words)
    assert code == Exit.INCONCLUSIVE
    assert "requests a second hold p99 ≤ 60000 ms (the budget of 3.5 s was spent)" in out
    assert err == "fdpipe: it could not be decided: the budget of 3.5 s was spent\n"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("load", "http://127.0.0.1:1"), Exit.CONFIGURATION, "must be http://HOST:PORT/v2/models/NAME/infer"),
        (("load", "http://127.0.0.1:1/x"), Exit.CONFIGURATION, "an address has no rows of its own: give --requests FILE"),
        (("load", "nothing-cpu"), Exit.CONFIGURATION, "there is no service 'nothing-cpu'"),
        (("load", "a", "-c", "1", "-r", "5"), Exit.CONFIGURATION, "--concurrency, --rate and --replay are three kinds of load"),
        (("load", "http://127.0.0.1:1/x", "--requests", "gone.npz"), Exit.CONFIGURATION, "gone.npz is not there"),
        (("load", "http://127.0.0.1:1/x", "--replay", "gone"), Exit.CONFIGURATION, "gone cannot be read"),
        (
            ("load", "a", "--speed", "2"),
            Exit.CONFIGURATION,
            "--speed does not apply to a closed loop, only to --replay: it takes",
        ),
        (("load", "a", "-r", "5", "--speed", "2"), Exit.CONFIGURATION, "--speed does not apply to an open loop, only to"),
        (("load", "a", "--replay", "x", "--seconds", "5"), Exit.CONFIGURATION, "--seconds does not apply to a replay, which"),
        (("load", "a", "--replay", "x", "--seed", "0"), Exit.CONFIGURATION, "--seed does not apply to a replay, which"),
        (("load", "a", "--replay", "x", "--rows", "2"), Exit.CONFIGURATION, "--rows does not apply to a replay, which"),
        (("load", "a", "--replay", "x", "--form", "json"), Exit.CONFIGURATION, "--form does not apply to a replay, which"),
        (("load", "a", "--replay", "x", "--requests", "y"), Exit.CONFIGURATION, "--requests does not apply to a replay"),
        (
            ("load", "a", "--requests", "x", "--rows", "2"),
            Exit.CONFIGURATION,
            "--rows does not apply to the bodies in x, which",
        ),
        (("load", "a", "--requests", "x", "--form", "json"), Exit.CONFIGURATION, "only golden rows (.npz) take --form and"),
        (("slo", "a", "--p99-ms", "5", "--requests", "x", "--rows", "2"), Exit.CONFIGURATION, "--rows does not apply to the"),
        (("slo", "a", "--p99-ms", "5", "--rate", "2"), Exit.CONFIGURATION, "No such option '--rate'"),
        (("slo", "a"), Exit.CONFIGURATION, "Missing option '--p99-ms'"),
        (("load", "http://127.0.0.1:1/x", "--requests", "BODIES"), Exit.DEPLOYMENT, "http://127.0.0.1:1 does not answer"),
        (("load", "http://127.0.0.1:1/x", "--requests", "BODIES", "-c", "901"), Exit.CONFIGURATION, "from 1 to 900"),
    ],
)
def test_what_cannot_be_done_is_one_line(words: tuple[str, ...], code: int, text: str, bodies: str) -> None:
    found, _, err = fdpipe(*(bodies if word == "BODIES" else word for word in words))
    assert found == code
    assert text in err
    assert err.count("\n") == 1


def test_what_a_load_uses_is_taken(address: str, bodies: str, tmp_path: Path) -> None:
    """However late the sender is on a busy machine."""
    recorded = tmp_path / "recorded.jsonl"
    recorded.write_text('{"time": 0, "body": "a"}\n{"time": 0.1, "body": "b"}\n')
    for words in (
        ("--replay", str(recorded), "--speed", "2", "--timeout", "5"),
        ("--requests", bodies, "-r", "20", "--seconds", "0.2", "--seed", "1"),
    ):
        code, out, _ = fdpipe("load", address, *words)
        assert code in (Exit.DONE, Exit.INCONCLUSIVE)
        assert "succeeded" in out


@pytest.mark.parametrize("command", ["load", "slo"])
def test_every_default_is_told(command: str) -> None:
    options = [one for one in cli.commands[command].params if isinstance(one, click.Option) and one.expose_value]
    silent = [one.name for one in options if isinstance(one.default, int | float | str) and not one.show_default]
    assert (silent, [one.name for one in options if not one.help]) == ([], [])


def test_a_service_that_refuses_everything_is_no_measurement(bodies: str) -> None:
    with running(SlowServer(statuses=(404,))) as server:
        code, _, err = fdpipe("load", f"{server.host}/wrong", "--requests", bodies, "--seconds", "0.1")
    assert code == Exit.DEPLOYMENT
    assert err.startswith("fdpipe: no request succeeded: 404 × ")
