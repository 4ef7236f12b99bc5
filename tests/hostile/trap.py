"""What hostile files try to do, and how it would show."""

import json
import os
import pickle
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

SIGNATURE = {
    "inputs": json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]),
    "outputs": json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 1]}}]),
}


class Trap:
    """A place where harm would show: a file that code would write, a secret and a file that must stay as they are, a server
    that nobody may call."""

    def __init__(self, folder: Path) -> None:
        self.outside = folder / "outside"
        self.outside.mkdir()
        self.secret = self.outside / "secret"
        self.secret.write_bytes(b"the secret" * 1000)
        self.marker = self.outside / "ran"
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.setblocking(False)

    @property
    def code(self) -> str:
        """Python that leaves its mark, calls the server, and starts a process that would outlive it."""
        word = str(self.marker)
        return (
            f"import pathlib, socket, subprocess, sys; pathlib.Path({word!r}).write_text('ran'); "
            f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', {word!r}], start_new_session=True); "
            f"socket.create_connection(('127.0.0.1', {self.server.getsockname()[1]}), 1)"
        )

    @property
    def shell(self) -> str:
        """The same as a shell command."""
        return f"touch {self.marker}; {sys.executable} -c 'import time; time.sleep(60)' {self.marker} &"

    def pickle(self, call: Callable[..., Any] = exec) -> bytes:
        """A pickle that runs the code when it is loaded."""
        return pickle.dumps(Shot(call, self.shell if call is os.system else self.code))

    def sprung(self) -> list[str]:
        """What has happened; nothing, if all is well."""
        found = ["code ran"] if self.marker.exists() else []
        if sorted(self.outside.iterdir()) != [self.secret] or self.secret.read_bytes() != b"the secret" * 1000:
            found.append("files outside were changed")
        running = subprocess.run(["pgrep", "-f", str(self.marker)], capture_output=True, text=True, check=False).stdout.split()
        if running:
            found.append(f"processes are left: {running}")
        try:
            self.server.accept()
            found.append("the server was called")
        except BlockingIOError:
            pass
        return found

    def close(self) -> None:
        """End the server and, where something did get out, that."""
        self.server.close()
        subprocess.run(["pkill", "-f", str(self.marker)], check=False)


class Shot:
    """An object whose pickle calls something."""

    def __init__(self, call: Callable[..., Any], argument: str) -> None:
        self.call, self.argument = call, argument

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return self.call, (self.argument,)


def describe(folder: Path, flavors: Mapping[str, object], **more: object) -> Path:
    """Write an MLmodel file into the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": dict(flavors), "signature": SIGNATURE, **more}))
    return folder


def zipped(path: Path, members: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    """An archive with these members, and with symbolic links."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
    return path


def bomb(path: Path, name: str, mib: int = 300) -> Path:
    """An archive of a few MiB whose member unpacks to `mib`, all zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive, archive.open(name, "w") as member:
        for _ in range(mib):
            member.write(bytes(2**20))
    return path
