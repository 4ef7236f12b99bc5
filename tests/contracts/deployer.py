"""What every deployer does: a test class that inherits this gives it as `deployer`, and a `port` to deploy to."""

from dataclasses import replace
from pathlib import Path

import pytest

from fdpipe import workers
from fdpipe.errors import DeploymentError
from fdpipe.interfaces import Deployer
from tests.tiny.release import proof_of, tiny_release


class DeployerContract:
    """Inherit it."""

    deployer: Deployer

    @pytest.fixture
    def port(self) -> int:
        return 0

    def test_its_settings_make_it_again(self) -> None:
        assert workers.build("deployer", workers.describe(self.deployer)) == self.deployer

    def test_nothing_is_deployed_without_a_proof_that_holds(self, home: Path, port: int, tmp_path: Path) -> None:
        release = tiny_release(tmp_path)
        for proof in (
            proof_of(release, wrong=1),
            replace(proof_of(release), requests=0),
            proof_of(replace(release, digest="f")),
        ):
            with pytest.raises(DeploymentError, match="has no proof that holds"):
                self.deployer.deploy(release, proof, "127.0.0.1", port)

    def test_it_says_what_it_deployed(self, home: Path, port: int) -> None:
        release = tiny_release(home / "store")
        first = self.deployer.deploy(release, proof_of(release), "127.0.0.1", port)
        assert (first.service, first.release) == (release.service, release.digest)
        again = self.deployer.deploy(release, proof_of(release), "127.0.0.1", port)
        assert again == replace(first, changed=False)
