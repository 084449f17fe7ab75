# Each target does all set-up by itself; it needs Python 3.11 or later and make, nothing else.
#   make demo             runs the example on this machine           make demo ARGS="--generate 500"
#   make test             the tests that every change must pass      make test ARGS="tests/kernel -x"
#   make test-long        the tests that take minutes
#   make lint             ruff, mypy --strict, import-linter
#   make check            lint and test
#   make bench            measures the engine beside raw SQLite and DBOS; writes build/bench/
#   make docs             writes the reference pages that come from docstrings

SHELL = /bin/sh
VENV = .venv
BIN = $(VENV)/bin
PYTHON =
ARGS =
JOBS = 2
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-long lint style types imports check bench docs clean
.DEFAULT_GOAL := check

# Stamps: a second call has nothing to install and starts at once.
$(VENV)/.ready: pyproject.toml
	@python=; old=; \
	for name in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$name"; break; fi; \
	  if [ -z "$$old" ]; then old=`"$$name" -c 'import platform; print(platform.python_version())' 2>/dev/null || :`; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  if [ -n "$$old" ]; then found="the python3 here is $$old"; else found="there is no python3 here"; fi; \
	  echo "Procession needs Python 3.11 or later, and $$found: install one, or name it, as in: make demo PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "$$python cannot make a virtual environment: install its venv package (Debian and Ubuntu: apt install python3-venv), then run make again." >&2; exit 1; \
	fi; \
	if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "Making $(VENV) with $$python"; "$$python" -m venv --clear $(VENV) || exit 1; \
	fi
	@echo "Installing Procession into $(VENV)"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@echo "Installing the tools for tests and checks into $(VENV)"
	@$(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/.ready-bench: $(VENV)/.ready
	@echo "Installing the benchmark's peer into $(VENV)"
	@$(INSTALL) --editable '.[bench]'
	@touch $@

demo: $(VENV)/.ready
	@$(BIN)/procession demo $(ARGS)

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not long" $(ARGS)

test-long: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

lint: style types imports

style: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready-dev
	$(BIN)/mypy

imports: $(VENV)/.ready-dev
	$(BIN)/lint-imports --no-cache

check: lint test

bench: $(VENV)/.ready-bench
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.ready
	$(BIN)/python docs/generate.py

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
