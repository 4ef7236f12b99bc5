"""fdpipe's side of the two jobs: `python -m bench.optimize.job RECIPE MODEL SAMPLES FOLDER`; `a+b` is a's passes before b's."""

import sys
from pathlib import Path

from fdpipe import graphs, workers
from fdpipe.arrays import array_digest, load_arrays
from fdpipe.artifacts import Artifact, Rows
from fdpipe.content import tree_digest
from fdpipe.home import settle_environment
from fdpipe.interfaces import Need
from fdpipe.processor.none import Plain
from fdpipe.stages.calibrate import calibrate
from fdpipe.stages.optimize import optimize, quantize
from fdpipe.standard import standard_plan
from fdpipe.store import LocalStore


def main(job: str, model: str, samples: str, folder: str) -> None:
    """The stages of the line that make a recipe's model, over a store that is empty."""
    settle_environment()
    source, store = Path(model), LocalStore(Path(folder) / "store")
    inputs, outputs = graphs.specs(source)
    baseline = Artifact(
        kind="onnx", path=source, digest=tree_digest(source.parent), size_bytes=source.stat().st_size, inputs=inputs,
        outputs=outputs,
    )  # fmt: skip
    recipes = standard_plan("job/1").recipe
    passes, recipe = [one for name in job.split("+") for one in recipes[name].passes], recipes[job.split("+")[-1]]
    if recipe.quantizer is None:
        raise LookupError(f"{job} does not quantize")
    floats = optimize(store, tuple(dict.fromkeys(passes)), baseline) if passes else baseline
    processor = workers.spec("processor", Plain(inputs=inputs, names=tuple(spec.name for spec in inputs)))
    rows = _rows(Path(samples)) if recipe.calibrator is not None or recipe.quantizer.needs is Need.ROWS else None
    ranges = None
    if rows is not None and recipe.calibrator is not None:
        ranges = calibrate(store, recipe.calibrator, floats, processor, rows, rows)
    given = (processor, rows) if recipe.quantizer.needs is Need.ROWS else (None, None)
    print(quantize(store, recipe.quantizer, floats, ranges, *given).path)


def _rows(path: Path) -> Rows:
    arrays = load_arrays(path)
    count = len(next(iter(arrays.values())))
    return Rows(role="calibration", path=path, digest=array_digest(arrays), count=count, labelled=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
