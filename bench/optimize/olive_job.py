"""What Olive does with the two jobs; run in its own environment: `olive_job.py dynamic|static MODEL SAMPLES FOLDER`."""

import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(job: str, model: str, samples: str, folder: str) -> None:
    """Fuse and quantize dynamically (transformers), or quantize statically, as its defaults have it but for activations of
    uint8: with signed ones ONNX Runtime is as slow as in float on this kind of processor."""
    from olive.data.registry import Registry  # type: ignore[import-not-found]
    from olive.workflows import run  # type: ignore[import-not-found]

    arrays = dict(np.load(samples))

    class Rows:
        """The calibration rows one by one, as Olive's data loaders give them."""

        def __len__(self) -> int:
            return len(next(iter(arrays.values())))

        def __getitem__(self, row: int) -> Any:  # noqa: ANN401 - a tensor by name, and a label
            if row >= len(self):
                raise IndexError(row)
            return {name: array[row : row + 1] for name, array in arrays.items()}, 0

    @Registry.register_dataloader()  # type: ignore[untyped-decorator]
    def rows_of_the_bench(dataset: Any, **settings: Any) -> Rows:  # noqa: ANN401 - Olive's call
        return Rows()

    @Registry.register_dataset()  # type: ignore[untyped-decorator]
    def none_of_the_bench(**settings: Any) -> Rows:  # noqa: ANN401 - Olive's call
        return Rows()

    data = {
        "name": "rows",
        "load_dataset_config": {"type": "none_of_the_bench"},
        "pre_process_data_config": {"type": "skip_pre_process"},
        "post_process_data_config": {"type": "skip_post_process"},
        "dataloader_config": {"type": "rows_of_the_bench"},
    }
    fusion = {"type": "OrtTransformersOptimization", "model_type": "bert", "num_heads": 12, "hidden_size": 384}
    every: dict[str, dict[str, dict[str, Any]]] = {
        "dynamic": {"fuse": fusion, "quantize": {"type": "OnnxDynamicQuantization"}},
        "static": {"quantize": {"type": "OnnxStaticQuantization", "data_config": "rows", "activation_type": "uint8"}},
    }
    run(
        {
            "input_model": {"type": "OnnxModel", "model_path": model},
            "data_configs": [data],
            "passes": every[job],
            "systems": {
                "here": {
                    "type": "LocalSystem",
                    "accelerators": [{"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}],
                }
            },
            "host": "here",
            "target": "here",
            "no_artifacts": False,
            "cache_dir": str(Path(folder) / "cache"),
            "output_dir": str(Path(folder) / "output"),
            "log_severity_level": 2,
        }
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
