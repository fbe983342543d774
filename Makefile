# From a clean clone, `make search` and `make test` do all their own set-up in .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
DECLARED := pyproject.toml constraints.txt

.PHONY: help search test format benchmark fuzz mutants clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:  ## What can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 18

search: .venv/installed-mcu  ## Search a network for the default board; ARGS="--max-latency 300ms"
	@$(BIN)/micronas search $(ARGS)

test: .venv/installed-dev  ## Format, lint, types, floors, tests and examples: what CI runs
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto --dist worksteal -m "slow or not slow" $(ARGS)

format: .venv/installed-dev  ## Rewrite the code as `make test` wants it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

benchmark: .venv/installed-dev  ## Every script in benchmarks/, one after the other
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

fuzz: .venv/installed-dev  ## Damaged inputs for every reader, thousands each: minutes; ARGS="--only table --seed 3"
	@$(BIN)/python -m tools.fuzz $(ARGS)

mutants: .venv/installed-mutants  ## Wrong edits of the source that tests must notice; ARGS="--seed 3 --only search", "--again"
	@$(BIN)/python -m tools.mutants $(ARGS)

clean:  ## Forget .venv and what the tools cached here
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache .mutants

.venv/bin/python:
	@$(if $(shell $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) and print("ok")' 2>&1 | grep -x ok),,$(error \
	  micronas needs Python 3.11 or newer, and "$(PYTHON)" is $(or $(shell $(PYTHON) --version 2>/dev/null),not there): \
	  name another, as in  make $(or $(MAKECMDGOALS),test) PYTHON=python3.12))
	$(PYTHON) -m venv .venv

.venv/installed-mcu: $(DECLARED) | .venv/bin/python
	@echo "Installing into .venv, a minute or two ..."
	$(PIP_INSTALL) ".[mcu]"
	@touch $@

.venv/installed-dev: $(DECLARED) | .venv/bin/python
	@echo "Installing into .venv, a minute or two ..."
	$(PIP_INSTALL) ".[mcu,dev]"
	@touch .venv/installed-mcu $@

.venv/installed-mutants: $(DECLARED) | .venv/bin/python
	@echo "Installing into .venv, a minute or two ..."
	$(PIP_INSTALL) ".[mcu,dev,mutants]"
	@touch .venv/installed-mcu .venv/installed-dev $@
