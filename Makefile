# make run    install into .venv and train the example rig        make test     all tests
# make lint   style, types, import contracts                      make targets  every figure the project promises
# make mutants   faults put into the core one by one, which its mirrored tests must notice (most of an hour)
# make system-packages   install mosquitto, Verilator, chromium, sigrok-cli, lxi-tools and ngspice, which tests drive
#                        (Debian, Ubuntu; as root)
# make test-torch   install PyTorch (CPU) and run the tests of stacks and their tables, which `make test` skips without it
# make release-check   build wheel and sdist, install each with the lowest and the newest dependencies allowed, run it
# make docs   build the documentation site in docs/_build/html: its notebooks are executed, its links checked
# Windows has no make: the README shows the same commands for it.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# Where the environment forbids bytecode, each of the hundreds of programs that the tests start would compile all modules.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test test-torch lint targets mutants wheel-smoke release-check system-packages docs clean

help:
	@sed -n '/^#/!q;s/^# //p' Makefile

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "labrhel needs Python 3.11 or later; name one with: make PYTHON=/path/to/python3.11 run"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python's venv is missing: install it with 'sudo apt install python3-venv' (Debian, Ubuntu) or take Python from python.org."; exit 1; }

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[dev,gateware]"
	@touch $@ $(VENV)/.run

run: $(VENV)/.run
	$(BIN)/labrhel run examples/coupled_oscillators.yaml

# Three for two cores: tests of wires and of killed programs wait, and a third of them has the core meanwhile.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 --dist worksteal

# Without these programs the tests that need them are skipped, and the last line of the run counts them.
system-packages:
	@.ci/system-packages

# PyTorch is an extra; the version is one that was run, and where it cannot be had, any that pip finds will do.
TORCH ?= torch==2.13.0
$(VENV)/.torch: pyproject.toml | $(VENV)/.dev
	@$(BIN)/python -c 'import torch' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet "$(TORCH)" || $(BIN)/python -m pip install --quiet torch
	$(BIN)/python -m pip install --quiet --editable ".[dev,gateware,torch]"
	@touch $@

test-torch: $(VENV)/.torch
	$(BIN)/python -c 'import torch; print("PyTorch", torch.__version__)'
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/simbackend/recurrent/stacks tests/simbackend/recurrent/tables

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

targets: $(VENV)/.dev
	$(BIN)/python -m benchmarks.targets

mutants: $(VENV)/.dev
	$(BIN)/python -m benchmarks.mutants

# The installed wheel, away from the checkout: -P keeps the working folder off the path, so only the wheel can answer.
wheel-smoke: $(VENV)/.dev
	@set -e; away=$$(mktemp -d); trap 'rm -rf "$$away"' EXIT; \
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir "$$away/dist" .; \
	$(PYTHON) -m venv "$$away/venv"; \
	"$$away/venv/bin/python" -m pip install --quiet "$$away"/dist/*.whl pytest; \
	cp tests/test_packaging.py "$$away/"; cd "$$away"; \
	venv/bin/python -P -m pytest -q -o pythonpath= -p no:cacheprovider test_packaging.py; \
	venv/bin/labrhel run coupled_oscillators --steps 3

# Only what is run here is claimed in pyproject.toml; name other Pythons with: make release-check PYTHONS="python3.12 ..."
PYTHONS ?= python3.11 python3.12 python3.13
release-check: $(VENV)/.dev
	@PATH="$(abspath $(BIN)):$$PATH" .ci/release-check $(PYTHONS)

$(VENV)/.docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	@touch $@ $(VENV)/.run

# Whatever is not as it should be is an error: a warning, a reference that leads nowhere, a notebook that fails.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -E -W -n --keep-going -j 2 docs docs/_build/html

clean:
	rm -rf $(VENV) docs/_build dist build runs .pytest_cache .ruff_cache .hypothesis
