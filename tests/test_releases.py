"""The record of deployments: transitions, who is the incumbent, addresses, several processes at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from fdpipe.artifacts import Release
from fdpipe.errors import DeploymentError, StoreError
from fdpipe.releases import Releases, State
from tests.tiny.release import tiny_release

SERVICE = "tiny-cpu"


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path / "releases.sqlite", tmp_path / "store")


@pytest.fixture
def three(tmp_path: Path) -> list[Release]:
    return [tiny_release(tmp_path / "store", factor=factor) for factor in (1.0, 2.0, 3.0)]


def go(releases: Releases, release: Release) -> int:
    deployment = releases.begin(release)
    releases.go_live(deployment, "http://127.0.0.1:3000", 42)
    return deployment


def test_nothing_is_deployed_at_first(releases: Releases) -> None:
    assert releases.live(SERVICE) is None
    assert releases.previous(SERVICE) is None
    assert releases.current(SERVICE) is None
    assert releases.services() == []
    assert releases.protected_paths() == set()


def test_a_release_is_the_incumbent_only_when_it_went_live(releases: Releases, three: list[Release]) -> None:
    deployment = releases.begin(three[0])
    assert releases.live(SERVICE) is None
    releases.go_live(deployment, "http://127.0.0.1:3000", 42)
    assert releases.live(SERVICE) == three[0]
    current = releases.current(SERVICE)
    assert current is not None
    assert (current.state, current.url, current.pid) == (State.LIVE, "http://127.0.0.1:3000", 42)


def test_the_next_one_supersedes_it(releases: Releases, three: list[Release]) -> None:
    for release in three:
        go(releases, release)
    assert releases.live(SERVICE) == three[2]
    assert releases.previous(SERVICE) == three[1]
    assert [item.state for item in releases.history(SERVICE)] == [State.LIVE, State.SUPERSEDED, State.SUPERSEDED]


def test_the_same_release_again_does_not_hide_the_one_before(releases: Releases, three: list[Release]) -> None:
    for release in (three[0], three[1], three[1]):
        go(releases, release)
    assert releases.previous(SERVICE) == three[0]


def test_a_failed_one_changes_nothing(releases: Releases, three: list[Release]) -> None:
    go(releases, three[0])
    failing = releases.begin(three[1])
    releases.fail(failing, "it did not start")
    assert releases.live(SERVICE) == three[0]
    assert releases.previous(SERVICE) is None
    assert releases.history(SERVICE)[0].reason == "it did not start"
    assert releases.starting(SERVICE) is None


def test_stopped_by_the_user_it_is_still_the_incumbent(releases: Releases, three: list[Release]) -> None:
    deployment = go(releases, three[0])
    releases.stop(deployment)
    assert releases.live(SERVICE) == three[0]
    current = releases.current(SERVICE)
    assert current is not None
    assert (current.state, current.pid) == (State.STOPPED, None)
    go(releases, three[1])
    assert releases.live(SERVICE) == three[1]
    assert releases.previous(SERVICE) == three[0]


def test_it_can_be_started_again(releases: Releases, three: list[Release]) -> None:
    deployment = go(releases, three[0])
    releases.stop(deployment)
    releases.go_live(deployment, "http://127.0.0.1:3000", 43)
    current = releases.current(SERVICE)
    assert current is not None
    assert (current.state, current.pid) == (State.LIVE, 43)


def test_moves_that_make_no_sense_are_refused(releases: Releases, three: list[Release]) -> None:
    first = go(releases, three[0])
    with pytest.raises(DeploymentError, match="is live and cannot become failed"):
        releases.fail(first, "")
    second = go(releases, three[1])
    with pytest.raises(DeploymentError, match="is superseded and cannot become live"):
        releases.go_live(first, "", 1)
    releases.stop(second)
    with pytest.raises(DeploymentError, match="is stopped and cannot become stopped"):
        releases.stop(second)
    with pytest.raises(DeploymentError, match="there is no deployment 99"):
        releases.stop(99)
    assert releases.live(SERVICE) == three[1]


def test_one_deployment_of_a_service_at_a_time(releases: Releases, three: list[Release]) -> None:
    releases.begin(three[0])
    with pytest.raises(DeploymentError, match="another deployment of tiny-cpu is under way"):
        releases.begin(three[1])


def test_services_keep_addresses_that_do_not_meet(releases: Releases) -> None:
    assert releases.keep_address("a", "127.0.0.1", lambda others: 3000) == 3000
    assert releases.keep_address("b", "127.0.0.1", lambda others: max(others) + 1) == 3003
    for port in (2998, 3002):
        with pytest.raises(DeploymentError, match=f"port {port} and the 2 after it meet those of the service a"):
            releases.keep_address("c", "127.0.0.1", lambda others, port=port: port)  # type: ignore[misc]
    assert releases.keep_address("a", "0.0.0.0", lambda others: 3010) == 3010
    assert [row.name for row in releases.services()] == ["a", "b"]


def test_a_refused_address_changes_nothing(releases: Releases) -> None:
    def refuse(others: set[int]) -> int:
        raise DeploymentError("taken")

    releases.keep_address("a", "127.0.0.1", lambda others: 3000)
    with pytest.raises(DeploymentError, match="taken"):
        releases.keep_address("a", "127.0.0.1", refuse)
    address = releases.address("a")
    assert address is not None
    assert (address.host, address.port) == ("127.0.0.1", 3000)


def test_prune_must_keep_the_incumbent_and_the_one_before(releases: Releases, three: list[Release]) -> None:
    releases.keep_address(SERVICE, "127.0.0.1", lambda others: 3000)
    for release in three:
        go(releases, release)
    kept = {path for one in three[1:] for path in (one.path, one.manifest, one.golden, one.artifact.path)}
    assert releases.protected_paths() == kept


def test_it_outlives_the_process(releases: Releases, three: list[Release], tmp_path: Path) -> None:
    go(releases, three[0])
    again = Releases(tmp_path / "releases.sqlite", tmp_path / "store")
    assert again.live(SERVICE) == three[0]


def test_many_processes_take_addresses_at_once(releases: Releases, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from fdpipe.releases import Releases\n"
        f"releases = Releases(Path({str(tmp_path / 'releases.sqlite')!r}), Path({str(tmp_path)!r}))\n"
        "first = lambda others: next(p for p in range(3000, 4000) if not {p, p + 1, p + 2} & others)\n"
        "for number in range(5): releases.keep_address(f'{sys.argv[1]}-{number}', '127.0.0.1', first)"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(number)]) for number in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    ports = sorted(row.port for row in releases.services())
    assert ports == list(range(3000, 3045, 3))


def test_a_record_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the record of deployments .* cannot be used"):
        Releases(tmp_path / "nowhere" / "releases.sqlite", tmp_path)
