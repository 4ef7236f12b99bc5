"""The model's figures."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from fdpipe.interfaces import Exchange
from fdpipe.monitor.model import Model
from tests.contracts.monitor import RELEASE, MonitorContract, exchange, figures


class TestModel(MonitorContract):
    def monitor(self) -> Model:
        return Model()

    def test_predictions_by_label(self, registry: CollectorRegistry) -> None:
        probe = self.monitor().start(RELEASE, registry)
        probe.observe([exchange([[0, 0]] * 3, label=[1, 1, 2])], 0)
        probe.observe([Exchange(protocol="bentoml", status=200, seconds=0, answers={"p": np.eye(3, dtype=np.float32)[:1]})], 0)
        found = figures(registry)
        assert found["fdpipe_rows_total"] == 4
        assert found['fdpipe_predictions_total{label="1"}'] == 2
        assert found['fdpipe_predictions_total{label="2"}'] == 1
        assert found['fdpipe_predictions_total{label="0"}'] == 1

    def test_labels_are_bounded(self, registry: CollectorRegistry) -> None:
        probe = Model(max_labels=2).start(RELEASE, registry)
        for label in ("a", "b", "c", "d", "a"):
            probe.observe([exchange([[0, 0]], label=label)], 0)
        found = {name: figure for name, figure in figures(registry).items() if name.startswith("fdpipe_predictions_total")}
        assert found == {
            'fdpipe_predictions_total{label="a"}': 2,
            'fdpipe_predictions_total{label="b"}': 1,
            'fdpipe_predictions_total{label="other"}': 2,
        }

    def test_values_outside_the_range(self, registry: CollectorRegistry) -> None:
        probe = self.monitor().start(RELEASE, registry)
        probe.observe([exchange([[0.0, 1.0], [-0.1, 1.1]])], 0)
        probe.observe([exchange([[0.5, 0.5], [0.5, np.nan]])], 0)
        found = figures(registry)
        assert found['fdpipe_input_values_total{input="x"}'] == 8
        assert found['fdpipe_input_out_of_range_total{input="x"}'] == 2
        assert found['fdpipe_input_out_of_range_ratio{input="x"}'] == 0.25

    def test_missing_values(self, registry: CollectorRegistry) -> None:
        probe = self.monitor().start(RELEASE, registry)
        probe.observe([exchange([[np.nan, 1.0]], city="")], 0)
        found = figures(registry)
        assert found['fdpipe_input_missing_total{input="x"}'] == 1
        assert found['fdpipe_input_missing_total{input="city"}'] == 1

    def test_max_labels(self) -> None:
        with pytest.raises(ValueError, match="max_labels"):
            Model(max_labels=0)
