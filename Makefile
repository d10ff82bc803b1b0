# Bare `make` lists what can be done here.

.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Servers, Lambdas and kernels start faster from bytecode.
unexport PYTHONDONTWRITEBYTECODE
READY := $(VENV)/.ready
# Most tests wait for a delivery; each process has a local AWS of its own.
TEST_PROCESSES ?= 4
TESTS ?= tests/unit tests/integration tests/notebooks tests/aws
PYTEST := $(BIN)/python -m pytest -q --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
STUDIO_IMAGES ?= $(wildcard tests/studio/v*.txt)
STUDIO_TESTS ?= tests/notebooks/test_execution.py
STUDIO_MORE ?= tests/integration/past tests/integration/proof/test_reconcile.py tests/integration/proof/test_repair.py \
	tests/integration/profile/test_profiling.py tests/integration/layers/test_layers.py tests/integration/sql/test_query.py
PICTURES := flow hourly delivery diff cost
STRIP := $(BIN)/nbstripout --keep-id --extra-keys "metadata.language_info metadata.papermill metadata.widgets cell.metadata.papermill cell.metadata.execution"

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- the environment ----

.PHONY: setup
setup: $(READY) ## Make the environment in .venv, exactly as it was tested

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Install Python 3.11 or newer, or name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old. Dynaberg needs 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python cannot make an environment. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) (a minute or so, once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV)/lib || true # on all cores, unlike pip; a few files are templates
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: lock
lock: $(READY) ## Compile requirements.lock anew from pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --extra local --extra dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-annotate --no-emit-index-url --custom-compile-command "make lock" --quiet -o requirements.lock

.PHONY: clean
clean: ## Stop the local AWS; remove its state, the gallery and all caches
	@test ! -x $(BIN)/dynaberg || $(BIN)/dynaberg local stop
	rm -rf build dist cdk.out data/local .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path "./$(VENV)/*" -type d -prune -exec rm -rf {} +

# ---- the workbench ----

.PHONY: demo
demo: $(READY) ## Run the notebooks in order and keep them as pages in build/gallery
	@$(BIN)/dynaberg walk --html build/gallery

.PHONY: lab
lab: $(READY) ## Open JupyterLab on the notebooks
	@$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/01_enable_cdc.ipynb

.PHONY: gallery
gallery: demo ## Run the demo and take README's pictures from it
	@cp $(PICTURES:%=build/gallery/images/%.png) notebooks/images/

# ---- the checks ----

.PHONY: test
test: $(READY) ## Run the unit, integration and notebook tests, except those that take long
	@$(PYTEST) -m "not aws and not thorough" $(TESTS)

.PHONY: thorough
thorough: $(READY) ## Run the tests that take long: the walk, faults, kills, days, permissions, packages
	@$(PYTEST) -m "thorough and not aws" $(TESTS)

.PHONY: faults
faults: $(READY) ## Break everything at once, in both patterns, and print what struck how often
	@$(BIN)/python -m pytest -q -s tests/integration/proof/test_faults_survived.py 2>/dev/null # progress bars

.PHONY: lint
lint: $(READY) ## Check style and formatting, and that no notebook holds outputs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(STRIP) --verify notebooks/*.ipynb

.PHONY: types
types: $(READY) ## Check the types
	@$(BIN)/mypy

.PHONY: format
format: $(READY) ## Format the code and strip the notebooks
	@$(STRIP) notebooks/*.ipynb
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

.PHONY: cdk
cdk: $(READY) ## Install the CDK's library (465 MB; Node runs it) and test the CDK app
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[cdk]'
	@$(BIN)/python -m pytest -q tests/integration/deploy/test_cdk.py

.PHONY: spark
spark: $(READY) ## Install Spark (350 MB; Java runs it) and test the snippets of other engines
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[spark]'
	@$(BIN)/python -m pytest -q tests/integration/sql/test_engines.py

.PHONY: dbt
dbt: $(READY) ## Install dbt (185 MB, into an environment of its own) and build its models on the local AWS
	@test -x build/dbt/bin/python || $(PYTHON) -m venv build/dbt
	@build/dbt/bin/python -m pip install --quiet --disable-pip-version-check "dbt-core==1.10.23" "dbt-athena==1.11.1"
	@$(BIN)/python -m pytest -q tests/integration/sql/test_dbt.py

# The local AWS pins botocore, so it runs from .venv, as it would from an environment of its own in Studio.
# Both images have the same pyiceberg, so the integration tests run with the older pyarrow only.
# All of them: make studio STUDIO_MORE=tests/integration
# One image: make studio STUDIO_IMAGES=tests/studio/v4.4.1.txt
# Each has the image's Python if this machine has it.
.PHONY: studio
studio: $(READY) ## Run the notebooks with the packages of SageMaker Studio's oldest and newest image
	@more="$(STUDIO_MORE)"; for pins in $(STUDIO_IMAGES); do \
		place=build/studio/$$(basename $$pins .txt); echo "== $$place"; \
		python=$$(sed -n 's/.*Python \(3\.[0-9]*\).*/python\1/p' $$pins); \
		test -x $$place/bin/python || $$python -m venv $$place 2>/dev/null || $(PYTHON) -m venv --clear $$place || exit 1; \
		$$place/bin/python -m pip install --quiet --disable-pip-version-check -c $$pins "setuptools>=70.1" hypothesis psutil pytest pytest-xdist || exit 1; \
		$$place/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c $$pins -e . || exit 1; \
		LOCAL_AWS_PYTHON=$(CURDIR)/$(BIN)/python $$place/bin/python -m pytest -q -p no:cacheprovider \
			--numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(STUDIO_TESTS) $$more || exit 1; \
		more=; \
	done

.PHONY: browser
browser: $(READY) ## Install Playwright (55 MB; chromium is Debian's); run the notebooks in a browser, keep others out
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[browser]'
	@$(BIN)/python -m pytest -q tests/browser

.PHONY: trino
trino: $(READY) ## Fetch Trino (821 MB; Java 24 runs it) and let it judge the SQL of the local Athena
	@$(BIN)/python -m tests.trino.judge

.PHONY: bench
bench: $(READY) ## Run every benchmark and print its figures
	@export TQDM_DISABLE=1; for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

.PHONY: figures
figures: $(READY) ## Measure what README states, and write it there
	@$(BIN)/python tests/benchmarks/bench_walk.py --write
