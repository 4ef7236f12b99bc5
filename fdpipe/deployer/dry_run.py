"""The line's end without a service: nothing starts."""

from dataclasses import dataclass

from fdpipe.artifacts import Deployment, Proof, Release
from fdpipe.errors import DeploymentError


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """Stops after the proof: what is deployed stays as it is."""

    def deploy(self, release: Release, proof: Proof, host: str, port: int) -> Deployment:
        """What would have been deployed, without a URL; `DeploymentError` without a proof that holds."""
        if not proof.covers(release):
            raise DeploymentError(f"release {release.digest[:12]} has no proof that holds: {proof.reason}")
        return Deployment(service=release.service, release=release.digest, url="", changed=False)
