"""What a built service carries."""

import sys
from pathlib import Path

from fdpipe import shipment
from tests.serving import plugin


def test_everything_that_may_be_imported_is_reached(tmp_path: Path) -> None:
    with plugin.installed(tmp_path):
        found = shipment.reached(["carried_plugin.monitor.calm"])
    names = ("__init__", "deep/__init__", "deep/inner", "late", "monitor/__init__", "monitor/calm", "other")
    assert list(found) == [f"carried_plugin/{name}.py" for name in names]
    assert all(file.is_file() for file in found.values())
    assert "carried_plugin" not in sys.modules


def test_the_serving_code_reaches_nothing_heavy() -> None:
    found = shipment.reached(["fdpipe.serving"])
    assert {"fdpipe/__init__.py", "fdpipe/serving/service.py", "fdpipe/workers.py", "fdpipe/content.py"} <= set(found)
    heavy = {"fdpipe/pipeline.py", *(f"fdpipe/{name}/__init__.py" for name in ("plan", "config", "store"))}
    assert not heavy & set(found)


def test_the_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    files = {"x.py": tmp_path / "a"}
    assert shipment.source_digest(files) == shipment.source_digest(dict(files))
    assert shipment.source_digest(files) != shipment.source_digest({"y.py": tmp_path / "a"})
    assert shipment.source_digest(files) != shipment.source_digest({"x.py": tmp_path / "b"})


def test_pins_are_closed_and_exact() -> None:
    import numpy

    found = shipment.pinned(["Prometheus_Client", "httpx", "numpy", "no-such-distribution"])
    assert found["numpy"] == numpy.__version__
    assert {"prometheus-client", "httpx", "httpcore", "h11", "anyio", "certifi"} <= set(found)
    assert "no-such-distribution" not in found
    assert "socksio" not in found
    assert list(found) == sorted(found)
