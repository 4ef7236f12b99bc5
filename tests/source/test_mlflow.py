"""Models of a registry."""

import logging
import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from fdpipe.artifacts import Appraisal, TensorSpec
from fdpipe.content import tree_digest
from fdpipe.errors import SourceError
from fdpipe.interfaces import Archive
from fdpipe.progress import Event
from fdpipe.source.mlflow import Mlflow
from fdpipe.stages.deploy import appraise
from tests.contracts.settings import built
from tests.contracts.source import SourceContract
from tests.models import logged_people, logged_two_inputs, new_registry, register


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = new_registry(tmp_path_factory.mktemp("registry"))
    register(uri, "people", logged_people, ("old",))
    register(uri, "people", logged_people, ("candidate",))
    register(uri, "pair", logged_two_inputs)
    return uri


def appraisal(*files: Path) -> Appraisal:
    """What a run found."""
    return Appraisal(
        run="20261124-1", target="cpu", verdict="pass", figures={"accuracy": 0.97, "original.accuracy": 0.98},
        settings={"candidate": "onnxruntime/none"}, rows_digest="a" * 64, files=files,
    )  # fmt: skip


def stored_files(uri: str, version: str = "2") -> Path:
    """Where the files of a version of `people` lie."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    return Path(client.get_model_version_download_uri("people", version).removeprefix("file:"))


@pytest.mark.usefixtures("home")
class TestMlflow(SourceContract):
    @pytest.fixture
    def source(self, uri: str) -> Mlflow:
        return Mlflow(tracking_uri=uri)

    def test_keeps_evaluations(self, source: Mlflow) -> None:
        assert isinstance(source, Archive)

    @pytest.fixture
    def reference(self) -> str:
        return "people@candidate"

    @pytest.fixture
    def unknown(self) -> str:
        return "nosuch@candidate"

    @pytest.mark.parametrize(
        ("reference", "version"),
        [("people/1", "1"), ("models:/people/2", "2"), ("models:/people@old", "1"), ("people@candidate", "2")],
    )
    def test_references(self, source: Mlflow, reference: str, version: str) -> None:
        ref = source.resolve(reference)
        assert (ref.name, ref.version, ref.uri) == ("people", version, f"models:/people/{version}")
        assert ref.run_id

    @pytest.mark.parametrize(
        ("reference", "told"),
        [
            ("pair", "needs an alias or a version: write one of pair/1"),
            ("people@nosuch", "has no alias 'nosuch'; there are: people@candidate"),
            ("people/9", "has no version 9; there are: people@candidate"),
            ("it's@candidate", 'no model "it\'s" is registered; there are: pair, people'),
            ("a/b/c", "'a/b/c' is no reference: write name@alias or name/version"),
            ("people/latest", "is no reference"),
            ("", "is no reference"),
        ],
    )
    def test_what_is_allowed_is_told(self, source: Mlflow, reference: str, told: str) -> None:
        with pytest.raises(SourceError) as caught:
            source.resolve(reference)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_columns_are_specs_of_one_axis(self, source: Mlflow, tmp_path: Path) -> None:
        model = source.download(source.resolve("people@candidate"), tmp_path / "model")
        assert (model.flavour, model.serialization, model.columns) == ("sklearn", "skops", True)
        assert model.inputs == tuple(
            TensorSpec(name=name, dtype=dtype, shape=("rows",))
            for name, dtype in (("age", "float64"), ("home town", "string"), ("children", "float64"))
        )

    def test_tensors_are_specs_with_rows(self, source: Mlflow, tmp_path: Path) -> None:
        model = source.download(source.resolve("pair/1"), tmp_path / "model")
        assert (model.flavour, model.columns) == ("onnx", False)
        assert model.inputs == (
            TensorSpec(name="a", dtype="float32", shape=("rows", 3)),
            TensorSpec(name="b", dtype="float32", shape=("rows", "b_1")),
        )
        assert model.outputs == (TensorSpec(name="output", dtype="float32", shape=("rows", 2)),)

    def test_changed_files_have_another_digest(self, source: Mlflow, uri: str) -> None:
        before = source.resolve("people/1")
        (stored_files(uri, "1") / "added").write_text("something")
        assert source.resolve("people/1").digest != before.digest

    @pytest.mark.parametrize("target", ["/etc/hostname", "../../..", "."])
    def test_links_out_of_the_folder_are_refused(self, source: Mlflow, uri: str, target: str) -> None:
        link = stored_files(uri) / "link"
        link.symlink_to(target)
        try:
            with pytest.raises(SourceError, match="link is a link"):
                source.resolve("people@candidate")
        finally:
            link.unlink()

    def test_a_link_inside_counts_as_its_content(self, source: Mlflow, uri: str, tmp_path: Path) -> None:
        link = stored_files(uri) / "link"
        link.symlink_to("MLmodel")
        try:
            ref = source.resolve("people@candidate")
            assert tree_digest(source.download(ref, tmp_path / "model").path) == ref.digest
        finally:
            link.unlink()

    def test_files_that_are_gone_are_told(self, source: Mlflow, uri: str, tmp_path: Path) -> None:
        files = stored_files(uri)
        shutil.move(files, tmp_path / "kept")
        try:
            with pytest.raises(SourceError, match="is not there"):
                source.resolve("people@candidate")
        finally:
            shutil.move(tmp_path / "kept", files)

    def test_a_verdict_is_written_on_the_version(self, source: Mlflow, uri: str) -> None:
        source.publish(
            source.resolve("people/1"), {"fdpipe.cpu.verdict": "pass", "fdpipe.cpu.accuracy": "0.97"}, "deployed-cpu"
        )
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = client.get_model_version_by_alias("people", "deployed-cpu")
        assert (found.version, found.tags["fdpipe.cpu.accuracy"]) == (1, "0.97")

    def test_a_refusal_sets_no_alias(self, source: Mlflow, uri: str) -> None:
        source.publish(source.resolve("pair/1"), {"fdpipe.cpu.verdict": "fail"}, None)
        assert MlflowClient(tracking_uri=uri, registry_uri=uri).get_registered_model("pair").aliases == {}

    def test_a_version_that_is_gone_cannot_be_marked(self, source: Mlflow) -> None:
        gone = replace(source.resolve("pair/1"), version="99")
        with pytest.raises(SourceError, match="pair version 99 cannot be marked"):
            source.publish(gone, {"fdpipe.cpu.verdict": "fail"}, None)

    def test_many_can_publish_at_once(self, source: Mlflow) -> None:
        ref, failed = source.resolve("people/2"), []

        def publish(number: int) -> None:
            try:
                source.publish(ref, {f"fdpipe.t{number}.verdict": "pass"}, "deployed-many")
            except SourceError as error:
                failed.append(error)

        threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []

    def test_an_evaluation_is_kept_beside_the_version(self, source: Mlflow, uri: str, tmp_path: Path) -> None:
        report = tmp_path / "report.html"
        report.write_text("<!doctype html>")
        run_id = source.appraise(source.resolve("people/2"), appraisal(report))
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        version = client.get_model_version("people", "2")
        assert version.tags["fdpipe.cpu.evaluation_run"] == run_id
        run = client.get_run(run_id)
        assert (run.info.run_name, run.info.status) == ("fdpipe 20261124-1", "FINISHED")
        assert run.data.metrics == {"accuracy": 0.97, "original.accuracy": 0.98}
        assert run.data.params["candidate"] == "onnxruntime/none"
        assert run.data.tags["fdpipe.verdict"] == "pass"
        assert [one.path for one in client.list_artifacts(run_id)] == ["report.html"]
        assert run.info.experiment_id == client.get_run(version.run_id).info.experiment_id
        assert [one.dataset.digest for one in run.inputs.dataset_inputs] == ["a" * 36]
        logged = client.get_logged_model(version.source.removeprefix("models:/"))
        assert {one.key: (one.value, one.dataset_name) for one in logged.metrics if one.run_id == run_id} == {
            "accuracy": (0.97, "evaluation"), "original.accuracy": (0.98, "evaluation"),
        }  # fmt: skip

    def test_a_version_that_no_run_made_has_an_experiment_of_ours(self, source: Mlflow, uri: str, home: Path) -> None:
        ref = replace(source.resolve("pair/1"), run_id=None)
        run_id = source.appraise(ref, appraisal())
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment = client.get_experiment(client.get_run(run_id).info.experiment_id)
        assert experiment.name == "fdpipe"
        assert Path(experiment.artifact_location.removeprefix("file://")).is_relative_to(home)

    def test_where_the_files_cannot_be_kept_the_figures_are(self, source: Mlflow, uri: str, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"has no report\.html") as caught:
            source.appraise(source.resolve("people/1"), appraisal(tmp_path / "report.html"))
        assert "\n" not in str(caught.value)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        run = client.get_run(client.get_model_version("people", "1").tags["fdpipe.cpu.evaluation_run"])
        assert run.data.metrics["accuracy"] == 0.97

    def test_its_file_is_the_default(self) -> None:
        assert built("source", "mlflow") == Mlflow()


@pytest.mark.usefixtures("home")
class TestRegistriesThatCannotBeUsed:
    def test_one_that_cannot_be_written_keeps_no_evaluation_and_says_so(self, tmp_path: Path, events: list[Event]) -> None:
        uri = new_registry(tmp_path / "closed")
        register(uri, "pair", logged_two_inputs)
        source = Mlflow(tracking_uri=uri)
        ref = source.resolve("pair/1")
        with sqlite3.connect(uri.removeprefix("sqlite:///")) as database:
            refusal = "BEGIN SELECT RAISE(ABORT, 'this registry is closed'); END"
            database.execute(f"CREATE TRIGGER closed BEFORE INSERT ON runs {refusal}")
        with pytest.raises(SourceError, match=r"pair version 1 cannot be evaluated in .*this registry is closed"):
            source.appraise(ref, appraisal())
        appraise(source, ref, appraisal())
        assert [event.kind for event in events if event.step == "appraise"] == ["start", "note", "done"]
        told = next(event.detail for event in events if event.kind == "note")
        assert told.startswith("the registry keeps no evaluation of this run: pair version 1 cannot be evaluated")

    def test_one_that_is_not_there_is_told_and_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="no model is registered"):
            Mlflow(tracking_uri=f"sqlite:///{tmp_path / 'nosuch.db'}").resolve("people@candidate")
        assert not (tmp_path / "nosuch.db").exists()

    def test_the_default_is_below_the_state_folder(self, home: Path) -> None:
        with pytest.raises(SourceError, match=str(home)):
            Mlflow().resolve("people@candidate")

    def test_a_broken_one_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "broken.db").write_text("nonsense " * 1000)
        with pytest.raises(SourceError, match="cannot be opened") as caught:
            Mlflow(tracking_uri=f"sqlite:///{tmp_path / 'broken.db'}").resolve("people@candidate")
        assert "\n" not in str(caught.value)

    def test_an_unknown_scheme_is_told(self) -> None:
        with pytest.raises(SourceError, match="unsupported URI"):
            Mlflow(tracking_uri="nosuch://place").resolve("people@candidate")

    def test_a_server_that_does_not_answer_is_told_without_its_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9 cannot say.*refused") as caught:
            Mlflow(tracking_uri="http://user:secret@127.0.0.1:9").resolve("people@candidate")
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_nothing_is_said_while_it_is_made(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        from fdpipe.tracking import connect

        logging.getLogger("mlflow").setLevel(logging.INFO)
        assert connect(f"sqlite:///{tmp_path / 'new.db'}").search_registered_models() == []
        assert capfd.readouterr() == ("", "")
