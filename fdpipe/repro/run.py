"""Run the export, and the smallest part of it that fails, on the rows beside this file: how far are the answers apart?"""

# ruff: noqa: T201 - a program of its own, which needs numpy and onnxruntime only
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).parent


def under(archive: np.lib.npyio.NpzFile, folder: str) -> dict[str, np.ndarray]:
    """The arrays of the archive whose names begin with the folder's."""
    found = {name.partition("/")[2]: archive[name] for name in archive.files if name.startswith(f"{folder}/")}
    return {name: array.astype(object) if array.dtype.kind == "U" else array for name, array in found.items()}


def compare(graph: Path, inputs: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    """Print the largest difference of every answer."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = dict(zip([value.name for value in session.get_outputs()], session.run(None, inputs), strict=True))
    for name, array in found.items():
        if name not in wanted:
            print(f"{graph.name}: {name} is {np.asarray(array)!r}")
        elif wanted[name].dtype.kind == "f":
            print(f"{graph.name}: {name} differs by {np.abs(wanted[name] - array).max(initial=0):.6g} at most")
        else:
            print(f"{graph.name}: {name} differs in {(wanted[name] != array).sum()} places")


if __name__ == "__main__":
    export = next((path for path in HERE.glob("*.onnx") if path.name != "smallest.onnx"), None)
    if export is not None:
        original = np.load(HERE / "original.npz")
        wanted = {name: original[name] for name in original.files}
        compare(export, under(np.load(HERE / "inputs.npz"), "tensors"), wanted)
    if (HERE / "smallest.onnx").exists():
        part = np.load(HERE / "smallest.npz")
        compare(HERE / "smallest.onnx", under(part, "inputs"), under(part, "expected"))
