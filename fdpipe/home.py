"""Where fdpipe keeps its state, and the environment that keeps every library inside it."""

import os
import tempfile
from pathlib import Path

from fdpipe.errors import ConfigError, StoreError

SCHEMA = "1"


def home() -> Path:
    """The state folder: `FDPIPE_HOME`, or `.fdpipe` under the working directory. Not created here."""
    return Path(os.environ.get("FDPIPE_HOME") or ".fdpipe").absolute()


def open_home() -> Path:
    """The state folder, made where it is missing and checked for its schema version."""
    root = home()
    try:
        root.mkdir(parents=True, exist_ok=True)
        stamp = root / "schema"
        if not stamp.exists():
            stamp.write_text(SCHEMA)
            (root / ".gitignore").write_text("*\n")
        found = stamp.read_text().strip()
    except OSError as error:
        raise StoreError(f"the state folder {root} cannot be written ({error.strerror}): set FDPIPE_HOME") from error
    if found != SCHEMA:
        raise ConfigError(f"{root} has schema {found!r}, this fdpipe reads {SCHEMA!r}: move it away or set FDPIPE_HOME")
    return root


def settle_environment() -> Path:
    """Point every library at the state folder and switch its telemetry off; what the user has set is kept.

    Call it before prefect, mlflow or bentoml is imported: they read their settings once.
    """
    root = open_home()
    temporary = root / "tmp"
    temporary.mkdir(exist_ok=True)
    for name, value in _defaults(root).items():
        os.environ.setdefault(name, value)
    os.environ["TMPDIR"] = str(temporary)
    tempfile.tempdir = None
    return root


def _defaults(root: Path) -> dict[str, str]:
    defaults = {
        "FDPIPE_HOME": str(root),
        "MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow' / 'mlflow.db'}",
        "BENTOML_HOME": str(root / "bentoml"),
        "MPLCONFIGDIR": str(root / "tmp" / "matplotlib"),
        "BENTOML_DO_NOT_TRACK": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    profiles = Path("~/.prefect/profiles.toml").expanduser()
    if not profiles.exists() and "PREFECT_PROFILE" not in os.environ:
        defaults["PREFECT_HOME"] = str(root / "prefect")
    (root / "mlflow").mkdir(exist_ok=True)
    return defaults
