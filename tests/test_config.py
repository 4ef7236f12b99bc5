"""The one door: overrides become a plan, and every mistake one line."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from fdpipe import config
from fdpipe.errors import ConfigError, Exit
from fdpipe.plan import Orchestrator, Plan
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.runtime.openvino import OpenVino
from fdpipe.workers import describe

MODEL = "model=digits@candidate"

Write = Callable[[str, str], Path]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def write(project: Path) -> Write:
    """Write a file of the project."""

    def write_one(name: str, text: str) -> Path:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_one


def refused(project: Path, *overrides: str, config_dirs: tuple[Path, ...] = ()) -> str:
    """The one line with which the overrides are refused."""
    with pytest.raises(ConfigError) as found:
        config.load(overrides, project=project, config_dirs=config_dirs)
    text = str(found.value)
    assert "\n" not in text
    assert found.value.exit_code == Exit.CONFIGURATION
    return text


# --- what is chosen ---------------------------------------------------------------------------------------------------


def test_the_defaults(project: Path) -> None:
    plan = config.load([MODEL], project=project)
    assert (plan.model, plan.target.name, plan.orchestrator) == ("digits@candidate", "cpu", Orchestrator.PREFECT)
    assert list(plan.runtime) == ["onnxruntime", "openvino", "native", "by_rows"]
    assert list(plan.recipe)[:3] == ["none", "fused", "transformer"]
    assert {"int8_dynamic", "int8_static", "int8_weights", "nncf_int8", "nncf_weights"} <= set(plan.recipe)
    assert type(plan.search).__name__ == "Auto"
    assert (plan.budget.max_trials, plan.budget.max_seconds) == (40, 600)
    assert list(plan.metric) == ["accuracy"]
    assert len(plan.gate) == 6
    assert list(plan.monitor) == ["service", "host", "model"]
    assert plan.data.calibration is not None
    assert plan.data.training is None
    assert plan.recipe["none"].passes == ()
    assert (plan.recipe["none"].calibrator, plan.recipe["none"].quantizer) == (None, None)
    assert [type(one).__name__ for one in plan.recipe["fused"].passes] == ["Fuse"]
    assert type(plan.recipe["int8_static"].calibrator).__name__ == "MinMax"
    assert type(plan.recipe["int8_static"].quantizer).__name__ == "Int8Static"


def test_without_a_target_it_is_cpu_and_says_so(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="fdpipe.progress")
    config.load([MODEL, "+target=cpu"], project=project)
    assert "no target given" not in caplog.text
    config.load([MODEL], project=project)
    assert "no target given: cpu" in caplog.text


@pytest.mark.parametrize("override", ["+target=gpu", "target=gpu", "++target=gpu"])
def test_a_target_brings_its_runtimes_and_recipes(project: Path, override: str) -> None:
    plan = config.load([MODEL, override], project=project)
    assert plan.target.name == "gpu"
    assert "onnxruntime_cuda" in plan.runtime
    assert not {"openvino", "native", "by_rows"} & set(plan.runtime)
    assert "int8_dynamic" not in plan.recipe


def test_the_user_beats_the_target(project: Path) -> None:
    plan = config.load([MODEL, "+target=gpu", "recipe=int8_dynamic", "runtime=[onnxruntime]"], project=project)
    assert list(plan.recipe) == ["int8_dynamic"]
    assert list(plan.runtime) == ["onnxruntime"]


def test_the_last_choice_wins(project: Path) -> None:
    plan = config.load([MODEL, "+target=gpu", "metric=f1", "target=cpu", "metric=[rmse,f1]", "model=a/1"], project=project)
    assert (plan.target.name, list(plan.metric), plan.model) == ("cpu", ["rmse", "f1"], "a/1")


def test_one_more_of_a_list(project: Path) -> None:
    assert list(config.load([MODEL, "+metric=f1"], project=project).metric) == ["accuracy", "f1"]
    assert list(config.load([MODEL, "+metric=f1", "+metric=[rmse,accuracy]"], project=project).metric) == [
        "accuracy",
        "f1",
        "rmse",
    ]
    assert list(config.load([MODEL, "+metric=f1", "metric=rmse"], project=project).metric) == ["rmse"]


def test_one_less_of_a_list(project: Path) -> None:
    assert "speed" not in config.load([MODEL, "~gate=speed"], project=project).gate
    assert "speed" not in config.load([MODEL, "~gate.speed"], project=project).gate


def test_roles_of_data(project: Path) -> None:
    plan = config.load(
        [MODEL, "dataset@data.evaluation=files", "data.evaluation.path=rows.npz", "dataset@data.calibration=null"],
        project=project,
    )
    assert describe(plan.data.evaluation)["path"] == "rows.npz"
    assert plan.data.calibration is None
    assert config.load([MODEL, "+dataset@data.training=mlflow_training"], project=project).data.training is not None


def test_what_compares_the_converted_model_with_the_original(project: Path) -> None:
    """Where no chosen runtime opens it: on any target, and outside of what the target allows."""
    assert config.load([MODEL, "+target=rtx"], project=project).certifier == OnnxRuntime()
    assert config.load([MODEL, "+target=rtx", "runtime@certifier=openvino"], project=project).certifier == OpenVino()
    assert config.load([MODEL, "runtime@certifier=null"], project=project).certifier is None


def test_values(project: Path) -> None:
    plan = config.load(
        [
            MODEL,
            "gate.max_drop=-0.5",
            "benchmark={seconds: 1, batch_sizes: [1, 2]}",
            "service.port=4000",
            "orchestrator=none",
            "metric.accuracy={}",
        ],
        project=project,
    )
    assert describe(plan.gate["quality"])["max_drop"] == -0.5
    assert (plan.benchmark.seconds, plan.benchmark.batch_sizes, plan.benchmark.trial_seconds) == (1.0, (1, 2), 0.1)
    assert (plan.service.port, plan.orchestrator) == (4000, Orchestrator.NONE)


def test_a_value_may_refer_to_another(project: Path) -> None:
    plan = config.load([MODEL, "gate.incumbent_drop=0.003", "gate.max_drop=${gate.incumbent_drop}"], project=project)
    assert describe(plan.gate["quality"])["max_drop"] == 0.003


def test_a_recipe_is_changed_inside(project: Path) -> None:
    plan = config.load(
        [
            MODEL,
            "recipe.int8_static.calibrator=entropy",
            "recipe.int8_static.quantizer.per_channel=false",
            "recipe.fused.passes=[{fuse: {level: basic}}]",
            "recipe.none.passes=[fuse]",
            "recipe.none.passes.0.level=basic",
        ],
        project=project,
    )
    static = plan.recipe["int8_static"]
    assert type(static.calibrator).__name__ == "Entropy"
    assert static.quantizer is not None
    assert describe(static.quantizer)["per_channel"] is False
    assert describe(plan.recipe["fused"].passes[0])["level"] == "basic"


def test_a_recipe_of_a_project(project: Path, write: Write) -> None:
    write(
        "conf/recipe/mine.yaml",
        "# @package recipe.mine\npasses: [{fuse: {level: basic}}, fuse]\ncalibrator: {minmax: }\nquantizer: int8_static\n",
    )
    found = config.load([MODEL, "recipe=mine"], project=project).recipe["mine"]
    assert [describe(one)["level"] for one in found.passes] == ["basic", "extended"]


# --- folders in front of the packaged one -----------------------------------------------------------------------------


def test_a_project_adds_a_file_and_shadows_one(project: Path, write: Write) -> None:
    write(
        "conf/target/edge.yaml", "# @package _global_\ntarget: {name: edge, runtimes: [onnxruntime]}\nbenchmark: {threads: 1}\n"
    )
    write("conf/benchmark/default.yaml", "seconds: 9\n")
    plan = config.load([MODEL, "+target=edge"], project=project)
    assert (plan.target.name, plan.benchmark.threads, plan.benchmark.seconds) == ("edge", 1, 9.0)


def test_a_new_converter_or_processor_needs_no_existing_file(project: Path, write: Write) -> None:
    write("conf/converter/again.yaml", "# @package converter.again\n_target_: fdpipe.converter.onnx.Onnx\n")
    assert "again" in config.load([MODEL], project=project).converter
    assert list(config.load([MODEL, "converter=[onnx]"], project=project).converter) == ["onnx"]


def test_a_config_dir_stands_in_front_of_the_project(project: Path, write: Write, tmp_path: Path) -> None:
    write("conf/benchmark/default.yaml", "seconds: 9\n")
    write("other/benchmark/default.yaml", "seconds: 8\n")
    write("other/config.yaml", "service: {port: 5001}\n")
    write("conf/config.yaml", "service: {port: 5002, timeout_s: 7}\n")
    plan = config.load([MODEL], project=project, config_dirs=[project / "other"])
    assert (plan.benchmark.seconds, plan.service.port, plan.service.timeout_s) == (8.0, 5001, 7.0)


def test_a_folder_of_any_name(tmp_path: Path) -> None:
    project = tmp_path / "a, b = [c] 'd' é"
    (project / "conf" / "benchmark").mkdir(parents=True)
    (project / "conf" / "benchmark" / "mine.yaml").write_text("seconds: 9\n")
    assert config.load([MODEL, "benchmark=mine"], project=project, config_dirs=[project / "conf"]).benchmark.seconds == 9.0


def test_a_missing_config_dir(project: Path) -> None:
    assert "--config-dir nosuch: there is no such folder" in refused(project, MODEL, config_dirs=(Path("nosuch"),))


def test_the_projects_own_settings_extend_the_packaged_ones(project: Path, write: Write) -> None:
    write(
        "conf/config.yaml", "model: digits@candidate\nmetric: [f1]\nbenchmark: {seconds: 1}\ngate.max_drop: 0.05\ntarget: gpu\n"
    )
    plan = config.load([], project=project)
    assert (plan.model, list(plan.metric), plan.benchmark.seconds, plan.target.name) == ("digits@candidate", ["f1"], 1.0, "gpu")
    assert describe(plan.gate["quality"])["max_drop"] == 0.05
    assert len(plan.gate) == 6
    assert list(config.load(["metric=rmse", "+target=cpu"], project=project).metric) == ["rmse"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metric: [", "cannot be read"),
        ("- a", "must be a mapping"),
        ("defaults: [a]", "defaults stands only in"),
        ("nosuch: 1", "there is no setting 'nosuch'"),
        ("metric: nosuch", "there is no metric 'nosuch'"),
        ("metric: {mine: {_target_: os.system}}", "_target_ may stand only in a YAML file of a configuration folder"),
        ("hydra: {run: {dir: x}}", "hydra's own settings"),
        ("benchmark: {seconds: '${oc.env:HOME}'}", "is not allowed"),
    ],
)
def test_a_wrong_file_of_settings_is_named(project: Path, write: Write, text: str, words: str) -> None:
    write("conf/config.yaml", text)
    line = refused(project, MODEL)
    assert words in line
    assert "conf/config.yaml" in line


def test_an_empty_file_of_settings(project: Path, write: Write) -> None:
    write("conf/config.yaml", "# nothing yet\n")
    assert config.load([MODEL], project=project).model == "digits@candidate"


# --- the roster -------------------------------------------------------------------------------------------------------


def test_project_then_roster_then_user(project: Path, write: Write) -> None:
    write("conf/config.yaml", "metric: [rmse]\nbenchmark: {seconds: 1, warmup_calls: 1}\nservice: {port: 5001}\n")
    write(
        "registry/digits/model.yaml",
        "name: digits\noverrides: ['metric=[f1]', benchmark.seconds=2, benchmark.warmup_calls=2]\n",
    )
    plan = config.load(["benchmark.warmup_calls=3"], project=project)
    assert (plan.benchmark.warmup_calls, plan.benchmark.seconds, plan.service.port) == (3, 2.0, 5001)
    assert (plan.model, list(plan.metric)) == ("digits@candidate", ["f1"])
    for model in ("model=digits/3", "model=models:/digits/3", "model=models:/digits@best"):
        assert list(config.load([model], project=project).metric) == ["f1"]
    assert list(config.load(["model=other@x"], project=project).metric) == ["rmse"]


def test_without_a_model_the_names_are_listed(project: Path, write: Write) -> None:
    assert "no model is given" in refused(project)
    assert "the roster is empty" in refused(project)
    write("registry/a/model.yaml", "name: a\nalias: best\n")
    assert config.load([], project=project).model == "a@best"
    write("registry/b/model.yaml", "name: b\n")
    assert "the roster has a@best, b@candidate" in refused(project)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("gate.max_dorp=1", "there is no setting 'gate.max_dorp'"),
        ("metric=nosuch", "there is no metric 'nosuch'"),
        ("model=other@x", "name and alias say the model"),
        ("metric.accuracy._target_=os.system", "_target_ may stand only"),
        ("hydra.run.dir=x", "hydra's own settings"),
        ("metric=[", "cannot be read"),
        ("metric=f1,rmse", "several values need --multirun"),
        ("metric", "this is no override"),
    ],
)
def test_a_wrong_override_of_the_roster_is_named(project: Path, write: Write, override: str, words: str) -> None:
    write("registry/digits/model.yaml", yaml.safe_dump({"name": "digits", "overrides": [override]}))
    line = refused(project, MODEL)
    assert words in line
    assert "registry/digits/model.yaml" in line


def test_what_the_roster_says_of_something_not_chosen_is_moot(project: Path, write: Write) -> None:
    write(
        "registry/digits/model.yaml",
        "name: digits\noverrides:\n- metric=[f1]\n- metric.f1.average=micro\n- gate.max_drop=0.1\n"
        "- recipe.int8_dynamic.passes=[fuse]\n",
    )
    plan = config.load([MODEL, "gate=[speed]", "metric=[accuracy]", "+target=gpu"], project=project)
    assert (list(plan.gate), list(plan.metric)) == (["speed"], ["accuracy"])
    assert "there is no setting 'gate.max_drop'" in refused(project, MODEL, "gate=[speed]", "gate.max_drop=0.1")
    write("conf/config.yaml", "gate: [speed]\n")
    assert list(config.load([MODEL], project=project).gate) == ["speed"]


@pytest.mark.parametrize(
    ("said", "checks"),
    [
        (["gate=[speed]", "+slicer=by_label"], ["speed", "slices"]),
        (["gate=[speed]", "corruption=[noise,shift]", "slicer=[by_column]"], ["speed", "slices", "robustness"]),
        (["gate=[speed,slices]", "+slicer=by_label"], ["speed", "slices"]),
        (["gate=[speed]", "+slicer=by_label", "~gate=slices"], ["speed"]),
        (["gate=[speed]", "+slicer=by_label", "slicer=[]"], ["speed"]),
    ],
)
def test_what_is_to_be_looked_at_brings_its_check_into_the_gate(project: Path, said: list[str], checks: list[str]) -> None:
    assert list(config.load([MODEL, *said], project=project).gate) == checks


def test_what_is_added_stands_beside_what_is_chosen(project: Path, write: Write) -> None:
    assert list(config.load([MODEL, "gate=[speed]", "+gate=quality"], project=project).gate) == ["speed", "quality"]
    write("conf/config.yaml", "gate: [speed]\n")
    assert list(config.load([MODEL, "+gate=quality", "+gate=speed"], project=project).gate) == ["speed", "quality"]


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("+target=nosuch", ["+target=nosuch", "there is no target 'nosuch'", "choose from ", " cpu, gpu"]),
        ("recipe=nosuch", ["recipe=nosuch", "choose from ", "fused, ", "int8_dynamic, ", "none, "]),
        ("recipe=[none,int8_statik]", ["there is no recipe 'int8_statik'", "did you mean int8_static?"]),
        ("recipe=3", ["there is no recipe '3'"]),
        ("gate.max_drop=abc", ["gate.max_drop must be a number (float), got 'abc'"]),
        ("gate.max_drop=[1]", ["gate.max_drop must be a number (float), got [1]"]),
        ("gate.max_drop=nan", ["gate.max_drop must be a finite number"]),
        ("gate.drop=both", ["gate.drop must be one of absolute, relative, got 'both'"]),
        ("benchmark.seconds=-1", ["benchmark.seconds=-1", "above 0"]),
        ("benchmark.batch_sizes=[a]", ["benchmark.batch_sizes must be a whole number (int), got ['a']"]),
        ("service.port=80", ["service.port=80: port must be 0, or from 1024"]),
        ("orchestrator=airflow", ["orchestrator=airflow", "choose from none, prefect"]),
        ("nosuch=1", ["there is no setting 'nosuch'", "choose from benchmark, "]),
        ("+nosuch=1", ["there is no setting 'nosuch'"]),
        ("bench.seconds=1", ["there is no setting 'bench'", "did you mean benchmark?"]),
        ("gate.max_dorp=0.1", ["there is no setting 'gate.max_dorp'", "did you mean max_drop?"]),
        ("+gate.max_dorp=0.1", ["there is no setting 'gate.max_dorp'", "did you mean max_drop?"]),
        ("+benchmark.second=1", ["benchmark.second is no setting of Benchmark", "did you mean seconds?"]),
        ("benchmark={second: 1}", ["there is no setting 'benchmark.second'", "did you mean seconds?"]),
        ("+metric.accuracy.x=1", ["metric.accuracy.x is no setting of Accuracy"]),
        ("+metric.mine=1", ["metric.mine must be a worker chosen from conf/metric, got 1"]),
        ("metric.f1.average=micro", ["f1 is not chosen in metric: add +metric=f1"]),
        ("model.name=x", ["model is a value and has no 'name'"]),
        ("data=x", ["data is a group of settings: set one of evaluation, calibration"]),
        ("+data.test=x", ["there is no setting 'data.test'", "choose from calibration, evaluation, training"]),
        ("metric.accuracy=x", ["metric.accuracy has no settings"]),
        ("~orchestrator", ["orchestrator=None: choose from none, prefect"]),
        ("recipe.fused.passes=fuse", ["recipe.fused.passes must be a list, got 'fuse'"]),
        ("~data.evaluation", ["data.evaluation must be chosen"]),
        ("data.training.path=x", ["dataset@data.training=files"]),
        ("dataset@data.evaluation=files", ["data.evaluation.path", "issing"]),
        ("dataset=files", ["write dataset@data.evaluation or"]),
        ("dataset@data.nosuch=files", ["dataset@data.nosuch is not chosen like this"]),
        ("metric@gate=accuracy", ["metric@gate is not chosen like this: write metric"]),
        ("x@y=z", ["x is no group"]),
        ("passes=fuse", ["a recipe names its passes"]),
        ("search=[grid]", ["search takes one choice, as search=grid"]),
        ("search=null", ["search must be a worker chosen from conf/search"]),
        ("target=null", ["target.name must be set"]),
        ("~gate", ["~gate: name the one to leave out"]),
        ("~gate=nosuch", ["there is no setting 'gate.nosuch'"]),
        ("gate=[]", ["gate is empty"]),
        ("+gate=slices", ["gate=slices has nothing to look at: choose a slicer, as +slicer=by_label"]),
        ("gate=[quality,robustness]", ["gate=robustness has nothing to look at: choose a corruption, as +corruption=noise"]),
        ("metric=[]", ["metric is empty"]),
        ("runtime=onnxruntime_cuda", ["runtime=onnxruntime_cuda is not allowed on target cpu"]),
        ("recipe.int8_static.calibrator=null", ["recipe.int8_static: the quantizer needs ranges"]),
        ("recipe.int8_static.calibrator=nosuch", ["there is no calibrator 'nosuch': choose from entropy, minmax, "]),
        ("recipe.fused.passes=[{fuse: {nosuch: 1}}]", ["recipe.fused.passes.0.nosuch is no setting of Fuse"]),
        ("recipe.fused.passes=[1]", ["recipe.fused.passes=1: write a name of conf/passes"]),
        ("+recipe.fused.x=1", ["there is no setting 'recipe.fused.x'"]),
        ("x=[", ["x=[: cannot be read"]),
        ("digits@candidate", ["digits@candidate: this is no override: write key=value"]),
        ("model=[a,b]", ["model=[a,b]: model must be text"]),
        ("+metric='a\nb'", ["there is no metric"]),
        ("model=3", ["model=3: model must be text"]),
        ("+target=cpu,gpu", ["several values need --multirun"]),
        ("gate.max_drop=${gate.nosuch}", ["gate.max_drop", "gate.nosuch", "not found"]),
        ("gate.drop=${gate.quality.drop}", ["gate.drop", "Recursive"]),
        ("metric.accuracy._target_=os.system", ["metric.accuracy._target_=os.system", "_target_ may stand only"]),
        ("+metric.mine={_target_: os.system}", ["_target_ may stand only"]),
        ("recipe.fused.passes=[{fuse: {_target_: os.system}}]", ["_target_ may stand only"]),
        ("model='a _target_ b'", ["_target_ may stand only"]),
        ("hydra.searchpath=[x]", ["hydra's own settings may stand only"]),
        ("hydra/launcher=basic", ["hydra's own settings may stand only"]),
        ("+hydra={run: 1}", ["hydra's own settings may stand only"]),
        ("model=${oc.env:HOME}", ["${oc.env:HOME}", "is not allowed"]),
        ("+benchmark={x: '${now:%Y}'}", ["is not allowed"]),
    ],
)
def test_a_mistake_is_one_line(project: Path, override: str, words: list[str]) -> None:
    line = refused(project, MODEL, override)
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("os.system", "metric.mine._target_ 'os.system' is not allowed in metric: it must begin with fdpipe.metric."),
        ("fdpipe.gate.quality.Quality", "is not allowed in metric"),
        ("fdpipe.metric.nosuch.Mine", "cannot be loaded: ModuleNotFoundError"),
        ("fdpipe.metric.accuracy.Nosuch", "cannot be loaded: AttributeError"),
        ("fdpipe.metric.accuracy.np", "is no worker"),
        ("[1]", "is not allowed in metric"),
    ],
)
def test_a_target_of_a_file_must_be_a_worker_of_its_room(project: Path, write: Write, target: str, words: str) -> None:
    write("conf/metric/mine.yaml", f"# @package metric.mine\n_target_: {target}\n")
    assert words in refused(project, MODEL, "metric=mine")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("metric/mine", "# @package metric.mine\n_target_: [", "mine.yaml"),
        ("metric/mine", "# @package metric.mine\n- a\n", "metric"),
        ("metric/mine", "# @package metric.mine\nx: ${oc.env:HOME}\n", "metric: '${oc.env:HOME}' is not allowed"),
        ("metric/mine", "# @package metric.mine\nx: ${${gate.drop}:HOME}\n", "is not allowed"),
        ("metric/mine", "# @package metric.mine\nx: 1\n", "metric.mine must be a worker"),
        ("metric/mine", "# @package _global_\nnosuch: 1\n", "there is no setting 'nosuch'"),
        ("metric/mine", "# @package _global_\nhydra: {searchpath: [x]}\n", "hydra.searchpath"),
        ("metric/mine", "# @package _global_\nmetric: 3\n", "metric"),
        ("metric/mine", "# @package _global_\nhydra: 3\n", "composed"),
        ("metric/mine", "# @package _global_\nhydra: {job: {env_copy: [NO_SUCH_VARIABLE]}}\n", "NO_SUCH_VARIABLE"),
        ("metric/mine", "# @package a.b[\nx: 1\n", "there is no setting 'a'"),
        ("metric/mine", "defaults: [{a: b, c: d}]\n", "Too many keys in default item"),
        ("metric/mine", "defaults: [{a: 1}]\n", "defaults"),
        ("metric/mine", "defaults: [3]\n", "defaults"),
        ("metric/mine", "defaults: [mine]\n", "recursion"),
        ("metric/mine", "defaults: [nosuch]\n", "nosuch"),
        ("metric/mine", "defaults: {a: b}\n", "defaults"),
        ("target/mine", "# @package _global_\ndefaults: [{override /recipe: [nosuch]}]\n", "recipe/nosuch"),
        ("target/mine", "# @package _global_\ntarget: {name: mine}\n", "target.runtimes must be set: Target needs it"),
        ("recipe/mine", "# @package recipe.mine\npasses: [nosuch]\n", "there is no pass 'nosuch'"),
        ("recipe/mine", "# @package recipe.mine\npasses: {fuse: 1, x: 2}\n", "recipe.mine.passes"),
    ],
)
def test_a_wrong_file_is_one_line(project: Path, write: Write, name: str, text: str, words: str) -> None:
    write(f"conf/{name}.yaml", text)
    group, choice = name.split("/")
    assert words in refused(project, MODEL, f"{group}={choice}")


def test_a_wrong_file_of_a_pass_is_named(project: Path, write: Write) -> None:
    write("conf/passes/fuse.yaml", "_target_: [")
    assert "passes/fuse.yaml cannot be read" in refused(project, MODEL)


# --- the plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_a_composed_plan_goes_through_json(project: Path, target: str) -> None:
    plan = config.load([MODEL, f"+target={target}", "+metric=[f1,rmse]", "recipe=[none,fused,int8_static]"], project=project)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.digest == plan.digest


def test_the_digest_is_of_what_is_asked_not_of_how(project: Path) -> None:
    one = config.load([MODEL, "+target=cpu", "metric=[accuracy,f1]", "gate.max_drop=0.02"], project=project)
    other = config.load([MODEL, "gate={max_drop: 0.02}", "+metric=f1"], project=project)
    assert one.digest == other.digest
    assert one.digest != config.load([MODEL, "+metric=f1"], project=project).digest


# --- the other doors --------------------------------------------------------------------------------------------------


def test_show_is_yaml_of_what_is_composed(project: Path) -> None:
    found = yaml.safe_load(config.show([MODEL, "gate.max_drop=0.07"], project=project))
    assert found["gate"]["max_drop"] == 0.07
    assert found["gate"]["quality"]["max_drop"] == "${gate.max_drop}"
    assert found["recipe"]["fused"]["passes"][0]["_target_"].endswith(".Fuse")
    assert "hydra" not in found


def test_options(project: Path, write: Write) -> None:
    write("conf/target/edge.yaml", "# @package _global_\n# A small board.\ntarget: {}\n")
    found = {choice.name: choice.about for choice in config.options("target", project=project)}
    assert {"cpu", "edge", "gpu"} <= set(found)
    assert list(found) == sorted(found)
    assert found["edge"] == "A small board."
    with pytest.raises(ConfigError, match=r"there is no 'metrics' to choose from: .*did you mean metric\?"):
        config.options("metrics", project=project)


@pytest.mark.parametrize(
    ("overrides", "jobs"),
    [
        ([], [[]]),
        ([MODEL, "gate.max_drop=1"], [[MODEL, "gate.max_drop=1"]]),
        (["+target=cpu,gpu"], [["+target=cpu"], ["+target=gpu"]]),
        (
            ["model=a@x,b@y", "recipe=[none,fused]"],
            [["model=a@x", "recipe=[none,fused]"], ["model=b@y", "recipe=[none,fused]"]],
        ),
        (["a=1,2", "b=x,y"], [["a=1", "b=x"], ["a=1", "b=y"], ["a=2", "b=x"], ["a=2", "b=y"]]),
        (["recipe=[none],[none,fused]"], [["recipe=[none]"], ["recipe=[none,fused]"]]),
        (["a=range(1,3)"], [["a=1"], ["a=2"]]),
        (["a='x,y'"], [["a='x,y'"]]),
        (["~gate"], [["~gate"]]),
    ],
)
def test_expand(overrides: list[str], jobs: list[list[str]]) -> None:
    assert config.expand(overrides) == jobs


@pytest.mark.parametrize("override", ["a=glob(*)", "a=interval(0,1)"])
def test_a_sweep_that_cannot_be_counted(override: str) -> None:
    with pytest.raises(ConfigError, match="one by one"):
        config.expand([override])
    with pytest.raises(ConfigError, match="cannot be read"):
        config.expand(["a=["])


# --- what it leaves alone ---------------------------------------------------------------------------------------------


def test_nothing_is_left_behind(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    config.load([MODEL])
    refused(project, MODEL, "recipe=nosuch")
    assert not GlobalHydra.instance().is_initialized()
    assert list(project.rglob("*")) == []


def test_what_was_composed_is_remembered_by_what_was_read(project: Path, home: Path) -> None:
    """The second time needs no Hydra; any file that matters, or another override, is composed anew."""
    home.mkdir()

    def limit(*overrides: str) -> str:
        code = (
            "import sys; from fdpipe import config\n"
            f"plan = config.load({[MODEL, *overrides]!r})\n"
            "print(plan.gate['quality'].max_drop, 'hydra' in sys.modules)"
        )
        return subprocess.run(
            [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert limit() == "0.01 True"
    assert limit() == "0.01 False"
    assert limit("gate.max_drop=0.5") == "0.5 True"
    (project / "conf").mkdir(exist_ok=True)
    (project / "conf" / "config.yaml").write_text("gate: {max_drop: 0.2}\n")
    assert limit() == "0.2 True"
    assert limit() == "0.2 False"


def test_composing_needs_no_heavy_library(project: Path) -> None:
    code = (
        "import sys\n"
        "from fdpipe import config\n"
        f"config.load(['{MODEL}', '+target=gpu'])\n"
        "heavy = ('onnx', 'onnxruntime', 'mlflow', 'sklearn', 'skl2onnx', 'pandas', 'prefect', 'bentoml', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_plug_in_brings_workers_and_configuration(tmp_path: Path, project: Path) -> None:
    """A package that is installed beside fdpipe, with its conf/ inside it and another's beside it."""
    site = tmp_path / "place"
    for name, folder in (("inside", "inside/conf"), ("beside", "conf")):
        (site / name / "metric").mkdir(parents=True)
        (site / name / "metric" / "mine.py").write_text(
            "from dataclasses import dataclass\n"
            "@dataclass(frozen=True, kw_only=True)\n"
            "class Mine:\n"
            "    weight: float = 1.0\n"
            "    higher_is_better = True\n"
            "    unit = ''\n"
            "    needs_labels = True\n"
            "    def score(self, answers, labels):\n"
            "        return self.weight\n"
        )
        (site / folder / "metric").mkdir(parents=True, exist_ok=True)
        (site / folder / "metric" / f"of_{name}.yaml").write_text(
            f"# @package metric.of_{name}\n_target_: {name}.metric.mine.Mine\nweight: 2\n"
        )
        (site / name / "metric" / "broken.py").write_text("def (:\n")
        info = site / f"{name}-3.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.0\n")
        (info / "entry_points.txt").write_text(f"[fdpipe.plugins]\n{name} = {name}\n")
    gone = site / "gone-1.0.dist-info"
    gone.mkdir()
    (gone / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1.0\n")
    (gone / "entry_points.txt").write_text("[fdpipe.plugins]\na = gone\nb = gone.below\n")
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from fdpipe import config\n"
        f"plan = config.load(['{MODEL}', 'metric=[of_inside,of_beside]'])\n"
        "print({name: (type(one).__module__, one.weight) for name, one in plan.metric.items()}, dict(plan.versions))\n"
        "print(config.Plan.from_json(plan.to_json()) == plan)\n"
        "from fdpipe import errors, workers\n"
        "try:\n"
        "    workers.build('metric', {'_target_': 'inside.metric.broken.Mine'})\n"
        "except errors.ConfigError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert "'of_inside': ('inside.metric.mine', 2.0), 'of_beside': ('beside.metric.mine', 2.0)" in done.stdout
    assert "'beside': '3.0', 'gone': '1.0', 'inside': '3.0'" in done.stdout
    same, broken = done.stdout.splitlines()[1:]
    assert same == "True"
    assert "_target_ 'inside.metric.broken.Mine' cannot be loaded: SyntaxError" in broken
