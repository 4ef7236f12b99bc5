"""TLS of the service's own ports; BentoML's has the same files as arguments."""

import os
from dataclasses import dataclass
from pathlib import Path

import grpc

from fdpipe.access import CERTIFICATE, CLIENT_CA, KEY


@dataclass(frozen=True, kw_only=True)
class Tls:
    """The service's certificate (with what lies between it and its authority) and its key; where there is a `client_ca`,
    callers must show a certificate of it."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """For gRPC."""
        pair = (self.key.read_bytes(), self.certificate.read_bytes())
        known = self.client_ca.read_bytes() if self.client_ca else None
        return grpc.ssl_server_credentials([pair], known, require_client_auth=known is not None)


def from_environment() -> Tls | None:
    """What the environment names, if anything; ends the process with one line where a file is missing."""
    found = {name: Path(os.environ[name]) for name in (CERTIFICATE, KEY, CLIENT_CA) if os.environ.get(name)}
    if not found:
        return None
    if not {CERTIFICATE, KEY} <= set(found):
        raise SystemExit(f"fdpipe: TLS needs both {CERTIFICATE} and {KEY}, and {CLIENT_CA} where callers need certificates")
    for name, path in found.items():
        if not os.access(path, os.R_OK):
            raise SystemExit(f"fdpipe: {name} names {path}, which cannot be read")
    return Tls(certificate=found[CERTIFICATE], key=found[KEY], client_ca=found.get(CLIENT_CA))
