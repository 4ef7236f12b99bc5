"""The service: requests, latency, errors, how many are in flight, and which release answers."""

from collections import Counter as Counts
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdpipe.artifacts import Manifest
from fdpipe.interfaces import Exchange

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

RELEASE_LABELS = ("service", "release", "model", "version", "target", "candidate")


@dataclass(frozen=True, kw_only=True)
class Service:
    """`buckets_s` are the histogram's upper bounds of a request's time, in seconds, rising."""

    buckets_s: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

    def __post_init__(self) -> None:
        """Ranges."""
        if not self.buckets_s or self.buckets_s[0] <= 0 or sorted(set(self.buckets_s)) != list(self.buckets_s):
            raise ValueError("buckets_s must be at least one number, above 0 and rising")

    def start(self, release: Manifest, registry: "CollectorRegistry") -> "ServiceProbe":
        """Register the metrics, and say which release this is."""
        return ServiceProbe(self, release, registry)


class ServiceProbe:
    """Sees every request."""

    def __init__(self, settings: Service, release: Manifest, registry: "CollectorRegistry") -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self.requests = Counter("fdpipe_requests_total", "Requests that have ended", ["protocol", "status"], registry=registry)
        self.seconds = Histogram(
            "fdpipe_request_seconds", "From the request's first byte to the answer's last", ["protocol"],
            buckets=settings.buckets_s, registry=registry,
        )  # fmt: skip
        self.errors = Counter("fdpipe_errors_total", "Requests that were refused or failed", ["kind"], registry=registry)
        self.cache = Counter(
            "fdpipe_cache_requests_total", "Answers by how they were found, where some are kept", ["outcome"], registry=registry
        )
        self.in_flight = Gauge(
            "fdpipe_requests_in_flight", "Requests under way", registry=registry, multiprocess_mode="mostrecent"
        )
        self.in_flight.set(0)
        info = Gauge(
            "fdpipe_release_info", "1, with the release that answers", RELEASE_LABELS, registry=registry,
            multiprocess_mode="mostrecent",
        )  # fmt: skip
        info.labels(
            service=release.service, release=release.digest, model=release.model.name, version=release.model.version,
            target=release.target, candidate=release.candidate.name,
        ).set(1)  # fmt: skip

    def observe(self, exchanges: Sequence[Exchange], in_flight: int) -> None:
        """Their times, their outcomes."""
        self.in_flight.set(in_flight)
        for (protocol, status), count in Counts((one.protocol, f"{one.status // 100}xx") for one in exchanges).items():
            self.requests.labels(protocol, status).inc(count)
        for kind, count in Counts(one.error for one in exchanges if one.error).items():
            self.errors.labels(kind).inc(count)
        for outcome, count in Counts(one.cache for one in exchanges if one.cache).items():
            self.cache.labels(outcome).inc(count)
        for one in exchanges:
            self.seconds.labels(one.protocol).observe(one.seconds)
