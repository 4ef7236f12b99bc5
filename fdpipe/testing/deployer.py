"""The fake deployer."""

from dataclasses import dataclass
from pathlib import Path

from fdpipe.artifacts import (
    Deployment,
    Proof,
    Release,
)
from fdpipe.errors import DeploymentError


@dataclass(frozen=True, kw_only=True)
class FakeDeployer:
    """Writes down in the file `record` what runs; without one it is a dry run. `fails` is the reason why it cannot."""

    record: Path | None = None
    fails: str = ""

    def deploy(self, release: Release, proof: Proof, host: str, port: int) -> Deployment:
        """The same release again changes nothing."""
        if self.fails:
            raise DeploymentError(self.fails)
        if self.record is None:
            return Deployment(service=release.service, release=release.digest, url="", changed=True)
        changed = not (self.record.exists() and self.record.read_text() == release.digest)
        self.record.write_text(release.digest)
        return Deployment(service=release.service, release=release.digest, url=f"fake://{host}:{port}", changed=changed)
