# The two commands: `make demo` and `make test`. Both set up .venv by themselves, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_CONFIG ?= agent/demo/demo.yaml
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint proof bench fix clean

help:  ## what can be made
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(VENV)/.stamp  ## .venv with everything, from the pinned constraints

# Runs again only when what it installs from changes.
$(VENV)/.stamp: pyproject.toml constraints.txt .ci/venv
	@sh .ci/venv $(PYTHON) $(VENV)
	@touch $@

demo: $(VENV)/.stamp  ## a real machine's failure, and a subscriber that hears it, within a minute
	@$(BIN)/tocsin demo $(ARGS)

test: $(VENV)/.stamp  ## the tests that need no root
	$(BIN)/python -m pytest -n logical --dist loadfile $(ARGS)

lint: $(VENV)/.stamp  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then set -x; $(BIN)/mypy; \
	else echo "types are checked on Python 3.11 and newer: numpy's own differ before"; fi

check: lint test  ## lint, then test

proof: $(VENV)/.stamp  ## boots systemd in a Debian tree, emulates aarch64: root, Debian, about 1 GB under .proof
	$(BIN)/python -m pytest -m proof -s tests/proof $(ARGS)

bench: $(VENV)/.stamp  ## what each monitor of the demo costs on this very machine
	@$(BIN)/tocsin bench --config $(DEMO_CONFIG) $(ARGS)

fix: $(VENV)/.stamp  ## format, and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## forget .venv and what was built (not .proof)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
