# What people and CI run. `make` alone lists the targets; only `make`, bash and a Python >= 3.11 must be there before.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHONS := $(PYTHON) python3 python3.13 python3.12 python3.11
SLOW := system or swap or vm or browser
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# Tests start thousands of processes, each of which would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-fast test-system test-browser test-vm check bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

setup: $(STAMP)  ## make .venv with everything (quick when nothing changed)

# UV_NATIVE_TLS: trust the system's certificates, as pip does.
# The stamp is as old as the last installation, so it is done again exactly when pyproject.toml changed.
$(STAMP): pyproject.toml
	@if ! $(BIN)/python -c '$(ENOUGH)' 2>/dev/null; then
	    python=
	    for candidate in $(PYTHONS); do
	        if "$$candidate" -c '$(ENOUGH)' 2>/dev/null; then python=$$candidate; break; fi
	    done
	    if [ -z "$$python" ]; then
	        echo "actorfaas needs Python 3.11 or newer; none of these is: $(PYTHONS)." >&2
	        echo "Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2
	        exit 1
	    fi
	    if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	        echo "installing Debian's python3-venv"
	        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
	    fi
	    if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
	        echo "$$python cannot make virtual environments. On Debian or Ubuntu: sudo apt install python3-venv" >&2
	        exit 1
	    fi
	    rm -rf $(VENV)
	    echo "making $(VENV) with $$($$python --version)"
	    "$$python" -m venv $(VENV)
	fi
	$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -qq --disable-pip-version-check uv || true
	echo "installing actorfaas and what its development needs"
	UV_NATIVE_TLS=1 $(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[dev]' \
	    || $(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	touch $@

demo: setup  ## start a node, deploy the example workflows, run them, show timings
	@$(BIN)/python -m workflows.demo

test: setup  ## all tests but those in a virtual machine
	@$(MAKE) --no-print-directory test-fast
	$(MAKE) --no-print-directory test-system

test-fast: setup  ## the tests that start no processes
	@$(BIN)/python -m pytest -q -n 2 -m 'not ($(SLOW))'

# Two files at a time, each as a whole, for the node that its tests share. Then, alone, what turns the machine's swap on.
test-system: setup  ## the tests that start real processes
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m '($(SLOW)) and not (swap or vm)'
	$(BIN)/python -m pytest -q -m swap tests/system/swap

test-browser: setup  ## the web page in a headless browser (root installs what it needs)
	@tests/browser/install.sh $(BIN)/python
	$(BIN)/python -m pytest -q -m browser tests/browser

test-vm: setup  ## the swapping tests under cgroup v2, in two virtual machines (7 minutes; root installs what it needs)
	@tests/vm/install.sh $(BIN)/python
	$(BIN)/python -m pytest -q -n 2 -m vm --durations=3 tests/vm

check: setup  ## format, lint, type-check, check import contracts, run the fast tests
	@$(BIN)/ruff format
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -n 2 -m 'not ($(SLOW))'

bench: setup  ## the benchmarks in their quick form (a minute each)
	@$(BIN)/python -m bench.all --quick

clean:  ## remove .venv, caches and build results
	@rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .actorfaas
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
