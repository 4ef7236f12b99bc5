"""Where fdpipe keeps its state, and the environment that keeps every library inside it."""

import errno
import os
import tempfile
import tomllib
import uuid
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
        for folder in (root, root / "tmp", root / "mlflow"):
            folder.mkdir(parents=True, exist_ok=True)
            _require_writable(folder)
        stamp = root / "schema"
        if not stamp.exists():
            (root / ".gitignore").write_text("*\n")
            _write_whole(stamp, SCHEMA)
        found = stamp.read_text().strip()
    except OSError as error:
        raise StoreError(f"the state folder {root} cannot be written ({error.strerror}): set FDPIPE_HOME") from error
    if found != SCHEMA:
        raise ConfigError(f"{root} has schema {found!r}, this fdpipe reads {SCHEMA!r}: move it away or set FDPIPE_HOME")
    return root


def _require_writable(folder: Path) -> None:
    """`OSError` where nothing can be made in a folder that is there, as on a disk that is mounted read-only."""
    if not os.access(folder, os.W_OK):
        raise OSError(errno.EROFS, "it is read-only")


def settle_environment() -> Path:
    """Point every library at the state folder and switch its telemetry off; what the user has set is kept.

    Call it before prefect, mlflow or bentoml is imported: they read their settings once. `TMPDIR` is always moved.
    """
    root = open_home()
    for name, value in _defaults(root).items():
        os.environ.setdefault(name, value)
    os.environ["FDPIPE_HOME"] = str(root)  # absolute: other processes have other working directories
    os.environ["TMPDIR"] = str(root / "tmp")
    tempfile.tempdir = None
    return root


def _defaults(root: Path) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow' / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # MLflow's own 7 tries make four minutes before a server that is not there is told.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "BENTOML_HOME": str(root / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "DO_NOT_TRACK": "true",
        # ONNX Runtime keeps a database of telemetry in the user's cache, and sends it.
        "ORT_DISABLE_TELEMETRY": "1",
        "MPLCONFIGDIR": str(root / "tmp" / "matplotlib"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Prefect prints the traceback of a failed task; ours is one line, and the run's folder has the rest.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    } | ({} if _names_a_prefect_server() else {"PREFECT_HOME": str(root / "prefect")})


def _names_a_prefect_server() -> bool:
    """Whether the user's active Prefect profile says which server to use."""
    try:
        profiles = tomllib.loads(Path("~/.prefect/profiles.toml").expanduser().read_text())
    except (OSError, RuntimeError, tomllib.TOMLDecodeError):
        return False
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    return "PREFECT_API_URL" in profiles.get("profiles", {}).get(active, {})


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that no other process ever sees half of it."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(text)
    temporary.rename(path)
