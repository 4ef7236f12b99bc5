"""The service's figures."""

import pytest
from prometheus_client import CollectorRegistry

from fdpipe.interfaces import Exchange
from fdpipe.monitor.service import Service
from tests.contracts.monitor import RELEASE, MonitorContract, exchange, figures


class TestService(MonitorContract):
    def monitor(self) -> Service:
        return Service()

    def test_requests_errors_and_time(self, registry: CollectorRegistry) -> None:
        probe = self.monitor().start(RELEASE, registry)
        probe.observe([exchange([[0, 0]]), Exchange(protocol="bentoml", status=413, seconds=0.2, error="too_large")], 0)
        found = figures(registry)
        assert found['fdpipe_requests_total{protocol="oip_rest",status="2xx"}'] == 1
        assert found['fdpipe_requests_total{protocol="bentoml",status="4xx"}'] == 1
        assert found['fdpipe_errors_total{kind="too_large"}'] == 1
        assert found['fdpipe_request_seconds_bucket{le="0.1",protocol="bentoml"}'] == 0
        assert found['fdpipe_request_seconds_bucket{le="0.25",protocol="bentoml"}'] == 1
        assert found['fdpipe_request_seconds_sum{protocol="oip_rest"}'] == pytest.approx(0.003)

    def test_in_flight(self, registry: CollectorRegistry) -> None:
        probe = self.monitor().start(RELEASE, registry)
        assert figures(registry)["fdpipe_requests_in_flight"] == 0
        probe.observe([exchange([[0, 0]])], 1)
        assert figures(registry)["fdpipe_requests_in_flight"] == 1

    def test_which_release_answers(self, registry: CollectorRegistry) -> None:
        self.monitor().start(RELEASE, registry)
        (line,) = (name for name in figures(registry) if name.startswith("fdpipe_release_info"))
        assert f'release="{RELEASE.digest}"' in line
        assert 'version="3"' in line

    @pytest.mark.parametrize("buckets", [(), (0.0, 1.0), (1.0, 0.5), (1.0, 1.0)])
    def test_buckets_that_do_not_rise(self, buckets: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="buckets_s"):
            Service(buckets_s=buckets)
