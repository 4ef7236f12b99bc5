"""Who may ask a service, and how: API keys, TLS, callers' certificates. Whoever starts it says so in its environment."""

import ssl
from dataclasses import dataclass
from pathlib import Path

KEYS_FILE = "FDPIPE_SERVICE_KEYS_FILE"
"""API keys, one a line; blank lines and those that begin with # do not count."""

CERTIFICATE = "FDPIPE_SERVICE_CERTIFICATE"
KEY = "FDPIPE_SERVICE_KEY"
CLIENT_CA = "FDPIPE_SERVICE_CLIENT_CA"
"""PEM files: the service's certificate (with what lies between it and its authority), its key, and the authority of callers."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Paths, empty where there is none: then nobody needs a key, nothing is encrypted, callers need no certificate."""

    keys_file: str = ""
    certificate: str = ""
    key: str = ""
    client_ca: str = ""

    def __post_init__(self) -> None:
        """What belongs together."""
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key must both be set, or neither")
        if self.client_ca and not self.certificate:
            raise ValueError("client_ca needs certificate and key: callers' certificates are asked for over TLS only")

    @property
    def scheme(self) -> str:
        """Of its URLs."""
        return "https" if self.certificate else "http"

    def environment(self) -> dict[str, str]:
        """All four variables, empty ones too, so that the starter's own do not get through."""
        return {KEYS_FILE: self.keys_file, CERTIFICATE: self.certificate, KEY: self.key, CLIENT_CA: self.client_ca}

    def arguments(self) -> list[str]:
        """Those of `bentoml serve`, for the port that is BentoML's."""
        if not self.certificate:
            return []
        found = ["--ssl-certfile", self.certificate, "--ssl-keyfile", self.key]
        if self.client_ca:
            found += ["--ssl-ca-certs", self.client_ca, "--ssl-cert-reqs", str(int(ssl.CERT_REQUIRED))]
        return found

    def own_context(self) -> ssl.SSLContext | None:
        """For a client on this machine, who reaches the service by an address that is not in the certificate, but knows which
        certificate it must be; None without TLS."""
        if not self.certificate:
            return None
        context = ssl.create_default_context(cadata=_first_certificate(Path(self.certificate)))
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def own_headers(self) -> dict[str, str]:
        """With the first key of the file, where callers need one."""
        keys = keys_in(Path(self.keys_file)) if self.keys_file else []
        return {"Authorization": f"Bearer {keys[0].decode('latin-1')}"} if keys else {}


EVERYONE = Access()
"""May ask, in clear text."""


def _first_certificate(path: Path) -> str:
    """The service's own, as PEM; with those of the chain as anchors too, all that these have signed would be taken for it."""
    text = path.read_text("ascii", "ignore")
    start, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    if not 0 <= start < end:
        raise ssl.SSLError(f"{path} has no certificate")
    return text[start : end + len(ssl.PEM_FOOTER)] + "\n"


def keys_in(path: Path) -> list[bytes]:
    """The API keys of a file; `OSError` where it cannot be read."""
    lines = [line.strip() for line in path.read_bytes().splitlines()]
    return [line for line in lines if line and not line.startswith(b"#")]
