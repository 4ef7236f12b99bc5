"""What every processor must do."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import Batch, in_batches
from fdpipe.artifacts import SourceModel, WorkerSpec
from fdpipe.interfaces import Processor


class ProcessorContract:
    """Inherit it, with the fixtures `processor` (unbound), `bound`, `model` (that it accepts), `records` for it, and
    `tensors` (what becomes of the records)."""

    def test_accepts_its_own_kind_of_inputs(self, processor: Processor, model: SourceModel) -> None:
        assert processor.accepts(model)
        assert not processor.accepts(replace(model, columns=not model.columns))

    def test_is_made_again_from_json_when_bound(self, bound: Processor) -> None:
        text = msgspec.json.encode(workers.spec("processor", bound))
        assert workers.build_spec(msgspec.json.decode(text, type=WorkerSpec)) == bound

    def test_records_become_tensors(self, bound: Processor, records: Batch, tensors: Batch) -> None:
        assert_same(bound.prepare(records), tensors)

    def test_one_row_at_a_time_is_the_same(self, bound: Processor, records: Batch, tensors: Batch) -> None:
        assert_same(in_batches(records, 1, bound.prepare), tensors)

    def test_answers_come_through(self, bound: Processor) -> None:
        outputs = {"label": np.array([1, 2]), "probabilities": np.array([[0.1, 0.9], [0.8, 0.2]])}
        assert_same(bound.finish(outputs), outputs)

    def test_a_missing_name_is_told(self, bound: Processor, records: Batch) -> None:
        first, *others = records
        with pytest.raises(ValueError, match=first) as caught:
            bound.prepare({name: records[name] for name in others})
        assert "\n" not in str(caught.value)

    def test_an_unknown_name_is_told(self, bound: Processor, records: Batch) -> None:
        with pytest.raises(ValueError, match="surplus"):
            bound.prepare({**records, "surplus": next(iter(records.values()))})

    def test_no_rows_give_no_rows(self, bound: Processor, records: Batch) -> None:
        prepared = bound.prepare({name: array[:0] for name, array in records.items()})
        assert {len(array) for array in prepared.values()} == {0}

    def test_needs_nothing_heavy_at_serve_time(self, processor: Processor) -> None:
        code = f"import sys, {type(processor).__module__}; sys.stdout.write(' '.join(sys.modules))"
        loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
        assert not {"pandas", "mlflow", "sklearn", "onnx", "hydra", "prefect"} & set(loaded)


def assert_same(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    """Names, dtypes, shapes and values."""
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
