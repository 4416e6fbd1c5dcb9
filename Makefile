# `make run`   the default experiment (config/config.yaml) to results/report.html
# `make test`  linters, type checks and all tests but those that take long or need a cluster
# `make test-long`     tests that take long, and the examples in loops of other libraries
# `make test-cluster`  tests that submit to a SLURM which they start on this machine (root on Debian or Ubuntu;
#              skipped with a reason elsewhere)
# Each sets up what it needs in .venv first. `make PYTHON=python3.12 run` chooses the interpreter,
# `make PIP_ARGS="--extra-index-url ADDRESS" run` hands options to pip (with the address of the CPU-only build from
# https://pytorch.org/get-started/locally/ torch comes without CUDA),
# `make run ARGS="--configfile config/digits.yaml"` hands options to snakemake,
# `make test ARGS="-k splits"` to pytest.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PIP_ARGS ?=
BIN := $(abspath $(VENV))/bin
INSTALL := python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(PIP_ARGS)

# Without bytecode every job would compile torch's sources again (seconds each).
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(BIN):$(PATH)

.PHONY: run test test-long test-cluster lint install install-test install-long install-cluster

run: install
	snakemake $(ARGS)

test: lint
	python -m pytest --numprocesses auto --maxprocesses 4 --dist loadscope $(ARGS)

test-long: install-long
	python -m pytest -m long $(ARGS)

test-cluster: install-cluster
	python -m pytest -m cluster tests/cluster $(ARGS)

lint: install-test
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	snakemake --lint

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test
install-long: $(VENV)/.installed-long
install-cluster: $(VENV)/.installed-cluster

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) (torch with CUDA: some 5 GB, minutes) ..."
	$(INSTALL) --editable ".[workflow]"
	python -m compileall -q gradmix workflow_scripts
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) --editable ".[test]"
	@touch $@

$(VENV)/.installed-long: $(VENV)/.installed-test
	$(INSTALL) --editable ".[test,examples]"
	@touch $@

$(VENV)/.installed-cluster: $(VENV)/.installed-test
	$(INSTALL) --editable ".[test,slurm,generic]"
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, but this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
