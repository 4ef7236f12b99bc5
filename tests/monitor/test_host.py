"""The host's figures."""

import time

import psutil
import pytest
from prometheus_client import CollectorRegistry

from fdpipe.monitor.host import Host
from tests.contracts.monitor import RELEASE, MonitorContract, figures


class TestHost(MonitorContract):
    def monitor(self) -> Host:
        return Host(interval_s=60)

    def test_memory_and_processor(self, registry: CollectorRegistry) -> None:
        self.monitor().start(RELEASE, registry)
        found = figures(registry)
        assert found["fdpipe_host_memory_bytes"] == psutil.virtual_memory().total
        assert 0 < found["fdpipe_host_memory_used_bytes"] < found["fdpipe_host_memory_bytes"]
        assert 2**20 < found["fdpipe_process_resident_memory_bytes"] < found["fdpipe_host_memory_bytes"]
        assert 0 <= found["fdpipe_host_cpu_ratio"] <= 1

    def test_it_keeps_looking(self, registry: CollectorRegistry) -> None:
        probe = Host(interval_s=0.05).start(RELEASE, registry)
        name = "fdpipe_process_cpu_seconds_total"
        before, until = figures(registry)[name], time.monotonic() + 10
        while figures(registry)[name] <= before and time.monotonic() < until:
            sum(range(10_000))
        assert figures(registry)[name] > before
        probe.stop()

    def test_the_interval(self) -> None:
        with pytest.raises(ValueError, match="interval_s"):
            Host(interval_s=0)
