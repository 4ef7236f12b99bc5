"""The dry run: a proof is needed, nothing starts."""

from pathlib import Path

from fdpipe import bento
from fdpipe.deployer.dry_run import DryRun
from fdpipe.deployer.local import services
from tests.contracts.deployer import DeployerContract
from tests.tiny.release import proof_of, tiny_release


class TestDryRun(DeployerContract):
    deployer = DryRun()

    def test_nothing_is_started_or_written(self, home: Path) -> None:
        release = tiny_release(home / "store")
        deployment = self.deployer.deploy(release, proof_of(release), "127.0.0.1", 0)
        assert (deployment.url, deployment.changed) == ("", False)
        assert bento.leftovers(home, release.service) == []
        assert services(home) == []
        assert [path.name for path in home.iterdir()] == ["store"]
