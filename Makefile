# `make run`   the default experiment (config/config.yaml) to results/report.html
# `make test`  linters, type checks and all tests
# Both set up what they need in .venv first. `make PYTHON=python3.12 run` chooses the interpreter,
# `make run ARGS="--configfile config/digits.yaml"` hands options to snakemake,
# `make test ARGS="-k splits"` to pytest.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(abspath $(VENV))/bin

# Without bytecode every job would compile torch's sources again (seconds each).
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(BIN):$(PATH)

.PHONY: run test lint install install-test

run: install
	snakemake $(ARGS)

test: lint
	python -m pytest $(ARGS)

lint: install-test
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	snakemake --lint

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) (torch with CUDA: some 5 GB, minutes) ..."
	python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	python -m compileall -q gradmix workflow_scripts
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test]"
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, but this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
