# The targets that people type and CI calls. `make run` needs Python 3.11, make and a package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
FORMATS := .venv/.formats
MODELS := $(patsubst registry/%/model.yaml,%,$(wildcard registry/*/model.yaml))

.PHONY: setup run run-all smoke stop test test-all check bench formats docs clean $(addprefix run-,$(MODELS))

run: run-digits

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv && $(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e . && touch $@

# The formats that tests convert: torch first and by its exact version, since anything else brings gigabytes of CUDA.
$(FORMATS): $(READY) requirements-formats.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-formats.lock && touch $@

run-all: $(addprefix run-,$(MODELS))

$(addprefix run-,$(MODELS)): run-%: $(READY)
	@$(BIN)/fdpipe train $* --if-missing
	@$(BIN)/fdpipe run model=$*@candidate +target=cpu

smoke: $(READY)
	@$(BIN)/python .ci/smoke $(BIN)/fdpipe

stop: $(READY)
	@$(BIN)/fdpipe stop

test: $(FORMATS)
	$(BIN)/coverage erase && $(BIN)/coverage run -m pytest -q -n 2 --dist loadscope
	$(BIN)/coverage combine -q && $(BIN)/coverage report

test-all: $(FORMATS)
	$(BIN)/coverage erase && $(BIN)/coverage run -m pytest -q -n 2 --dist loadscope -m "slow or not slow"
	$(BIN)/coverage combine -q && $(BIN)/coverage report

check: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/python -m pip check

bench: $(READY)
	$(BIN)/python -m bench

bench-%: $(READY)
	$(BIN)/python -m bench $*

# Every format, in an environment for each family of libraries, and the architectures of transformers. Half an hour.
formats: $(FORMATS)
	$(BIN)/python -m bench.formats; table=$$?; $(BIN)/python -m bench.architectures && exit $$table

docs: $(READY)
	$(BIN)/python -m bench.reference && $(BIN)/python -m bench.conformance

clean:
	rm -rf .venv build dist .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
