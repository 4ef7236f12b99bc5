"""The host: processor and memory, of the machine and of this process."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdpipe.artifacts import Manifest
from fdpipe.interfaces import Exchange

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


@dataclass(frozen=True, kw_only=True)
class Host:
    """Looked at every `interval_s` seconds, in a thread of its own: a scrape only reads what is there."""

    interval_s: float = 5.0

    def __post_init__(self) -> None:
        """Ranges."""
        if self.interval_s <= 0:
            raise ValueError("interval_s must be above 0")

    def start(self, release: Manifest, registry: "CollectorRegistry") -> "HostProbe":
        """Register the metrics, fill them, and keep looking."""
        probe = HostProbe(registry)
        probe.look()
        threading.Thread(target=probe.keep_looking, args=(self.interval_s,), daemon=True, name="fdpipe-host").start()
        return probe


class HostProbe:
    """Has nothing to do with requests."""

    def __init__(self, registry: "CollectorRegistry") -> None:
        import psutil
        from prometheus_client import Counter, Gauge

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"fdpipe_{name}", text, registry=registry, multiprocess_mode="mostrecent")

        self._psutil = psutil
        self._process = psutil.Process()
        self._seconds_before = 0.0
        self._stopped = threading.Event()
        self.cpu_seconds = Counter("fdpipe_process_cpu_seconds_total", "This process's processor time", registry=registry)
        self.resident = gauge("process_resident_memory_bytes", "This process's memory")
        self.cpu_ratio = gauge("host_cpu_ratio", "The share of the host's processors in use since the last look, 0 to 1")
        self.memory_used = gauge("host_memory_used_bytes", "The host's memory that is not available")
        self.memory_total = gauge("host_memory_bytes", "The host's memory")

    def observe(self, exchanges: Sequence[Exchange], in_flight: int) -> None:
        """Nothing."""

    def keep_looking(self, interval_s: float) -> None:
        """Until `stop`, or the process ends."""
        while not self._stopped.wait(interval_s):
            self.look()

    def stop(self) -> None:
        """End the looking."""
        self._stopped.set()

    def look(self) -> None:
        """Read processor and memory now."""
        times = self._process.cpu_times()
        seconds = times.user + times.system
        self.cpu_seconds.inc(max(0.0, seconds - self._seconds_before))
        self._seconds_before = seconds
        self.resident.set(self._process.memory_info().rss)
        self.cpu_ratio.set(self._psutil.cpu_percent() / 100)
        memory = self._psutil.virtual_memory()
        self.memory_used.set(memory.total - memory.available)
        self.memory_total.set(memory.total)
