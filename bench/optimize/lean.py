"""The best recipe known for each job, as a script of its own without fdpipe: `lean.py int8|weights MODEL SAMPLES FOLDER`.

`int8` is NNCF's static quantization, `weights` its compression of weights alone, for dynamic activations.
"""

import logging
import sys
from pathlib import Path

import numpy as np

WITHHELD = ("openvino_telemetry", "torch")
"""Modules that are not to be found: OpenVINO's telemetry, and torch, which NNCF would load to no end."""


def main(job: str, model: str, samples: str, folder: str) -> None:
    """Write `model.xml` into the folder."""
    sys.modules.update(dict.fromkeys(WITHHELD))  # type: ignore[arg-type]
    import nncf
    import openvino

    logging.getLogger("nncf").setLevel(logging.ERROR)
    found = openvino.Core().read_model(model)
    if job == "weights":
        found = nncf.compress_weights(found, mode=nncf.CompressWeightsMode.INT8_SYM)
    else:
        arrays = dict(np.load(samples))
        rows = len(next(iter(arrays.values())))
        data = [{name: array[row : row + 1] for name, array in arrays.items()} for row in range(rows)]
        kind = nncf.ModelType.TRANSFORMER if "input_ids" in arrays else None
        found = nncf.quantize(found, nncf.Dataset(data), subset_size=rows, model_type=kind)
    openvino.save_model(found, str(Path(folder) / "model.xml"), compress_to_fp16=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
