# From a fresh clone with nothing but python3 (3.11 or newer) and make:
# make quickstart   run a notebook with a real model on this machine
# make test         run every check and every test
# A second run installs nothing; PYTHON=python3.13 selects another interpreter.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
QUICKSTART := notebooks/01_quickstart.ipynb
REPLAYED := notebooks/00_tutorial.ipynb notebooks/01_quickstart.ipynb notebooks/02_cost_and_errors.ipynb notebooks/04_resilience.ipynb notebooks/05_replay_in_ci.ipynb notebooks/07_compare.ipynb notebooks/08_half_price.ipynb notebooks/09_practices.ipynb
FAST := tests/test_session.py tests/test_engine.py tests/test_end_to_end.py tests/prompts tests/pricing tests/usage tests/pipeline tests/providers/openai tests/providers/anthropic tests/providers/pydantic_ai tests/providers/http tests/testing tests/batch/files
LIVE := notebooks/00_tutorial.ipynb notebooks/01_quickstart.ipynb notebooks/02_cost_and_errors.ipynb notebooks/03_batch.ipynb notebooks/08_half_price.ipynb
# One test file per process at a time, the longest files first (tests/conftest.py); one process more than cores,
# because many tests wait.
SIDE_BY_SIDE = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# If it is set, each of the hundreds of Python processes of tests and notebooks compiles the whole package: 0.5 s of
# CPU.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help quickstart lab model test tests test-fast tests-fast test-all live check format notebooks notebooks-replayed notebooks-live bench bench-peers prices reliability docs screenshots clean

help:
	@echo 'make quickstart  install, fetch the small model (98 MB), run the first notebook and print its answers'
	@echo 'make lab         open the notebooks in JupyterLab'
	@echo 'make test        format, lint, types, import contracts, tests, notebooks'
	@echo 'make test-all    the same with the slow suites'
	@echo 'make live        ask real services one cheap question each, where their keys are set'
	@echo 'make bench       print the table of figures'
	@echo 'make reliability print the table of promises under faults, each tried now'
	@echo 'make docs        build the documentation into build/site'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'ainb needs Python 3.11 or newer; call make with PYTHON=python3.11'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo 'python3 cannot make a virtual environment; on Debian: apt-get install python3-venv'; exit 1; }

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[lab,local]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

model: $(VENV)/.installed
	@$(BIN)/python -m ainb pull smollm2

quickstart: model
	@$(BIN)/python notebooks/run.py $(QUICKSTART)
	@echo
	@echo 'To open it in JupyterLab: make lab'

lab: model
	$(BIN)/jupyter lab $(QUICKSTART)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_import_graph.py

# The checks, and the tests that need no server, browser or model: minutes rather than a quarter of an hour.
test-fast: $(VENV)/.installed-dev
	$(MAKE) --no-print-directory --jobs check tests-fast

tests-fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m 'not slow and not browser and not redis and not local_model' $(SIDE_BY_SIDE) $(FAST)

# In parallel: the checks, the tests, and the notebooks with the model on this machine. The replay of the notebooks
# is part of the tests, and the import graph part of the checks.
test: $(VENV)/.installed-dev model
	$(MAKE) --no-print-directory --jobs check tests notebooks-live

# With AGAIN=yes, as in CI, tests that failed are run once more, one at a time; both results are printed.
tests: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m 'not slow' --ignore tests/test_import_graph.py $(SIDE_BY_SIDE) $(if $(AGAIN),|| $(BIN)/python -m pytest -m 'not slow' --last-failed --last-failed-no-failures none)

# Property tests try other examples in each run; in the other targets they try the same ones.
test-all: check model
	AINB_TEST_EXAMPLES=random $(BIN)/python -m pytest $(SIDE_BY_SIDE)
	$(MAKE) --no-print-directory notebooks

# Asks the real services whose keys are set, for a fraction of a cent each. No other target sends requests to
# services.
live: $(VENV)/.installed-dev
	$(BIN)/python -m tests.live

# Twice: replayed from the cassettes without a model, where outputs must be identical; and live with the model on
# this machine, where outputs may differ and every cell must run.
notebooks: notebooks-replayed notebooks-live
	$(BIN)/python notebooks/run.py --quiet notebooks/06_team.ipynb

notebooks-replayed: $(VENV)/.installed-dev
	AINB_MODEL_DIR=$(CURDIR)/build/no-models $(BIN)/python -m pytest -p no:cacheprovider --nbval $(REPLAYED) --nbval-current-env --nbval-cell-timeout=120 --nbval-sanitize-with notebooks/sanitize.cfg

notebooks-live: $(VENV)/.installed-dev
	$(BIN)/python notebooks/run.py --quiet $(LIVE)
	AINB_DISPLAY=static AINB_REPLAY=off $(BIN)/python -m pytest -p no:cacheprovider --nbval-lax $(QUICKSTART) --nbval-current-env --nbval-cell-timeout=120

bench: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/run.py

# The same batch with other packages, which are installed into separate environments; curator needs its own, because
# it requires older versions of openai and litellm.
bench-peers: $(VENV)/.installed-dev
	@test -x $(VENV)-peers/bin/python || $(PYTHON) -m venv $(VENV)-peers
	@test -x $(VENV)-curator/bin/python || $(PYTHON) -m venv $(VENV)-curator
	$(VENV)-peers/bin/python -m pip --disable-pip-version-check install --quiet openai litellm
	$(VENV)-curator/bin/python -m pip --disable-pip-version-check install --quiet bespokelabs-curator
	$(BIN)/python tests/benchmarks/peers/run.py $(VENV)-peers/bin/python $(VENV)-curator/bin/python

# Every promise under faults with the tests that try to break it; SLOW=--slow adds the long variants.
reliability: $(VENV)/.installed-dev
	$(BIN)/python -m tests.reliability $(SLOW)

# Strict: fails on a broken link, and on a public name, option or error class without documentation. tests/docs runs
# the examples of the pages.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo 'Open build/site/index.html'

# The pictures of the README, from made-up calls in a real JupyterLab.
screenshots: $(VENV)/.installed-dev
	$(BIN)/python -m tests.panels.screenshots

# For a release: compile the published prices into the package's data.
prices: $(VENV)/.installed-dev
	$(BIN)/python -m ainb.pricing.compile

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(VENV)-peers .venv-newest build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
