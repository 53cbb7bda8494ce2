# Everything a fresh machine needs is one target away.
#
#   make quickstart   an environment, konomi in it, and the whole way from text to an aligned model
#   make test         the tests (make test-long: those of hours, too)
#   make lint types docs
#   make clean        remove what this file made; artifacts (.konomi) and runs stay
#
# PYTHON=/path/to/python chooses the interpreter, VENV=folder the environment, JOBS=n the processes of the tests.
# On a machine without a GPU, PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu saves some gigabytes of CUDA.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
VENV ?= .venv
JOBS ?= auto
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: quickstart test test-long lint types docs clean

quickstart: $(VENV)/.installed
	$(BIN)/konomi run quickstart

test: $(VENV)/.installed-dev
	@status=0; \
	$(PYTEST) -n $(JOBS) -m "not slow and not long" --doctest-modules tests plugins/konomi || status=1; \
	$(PYTEST) -n $(JOBS) --dist loadfile -m "slow and not long" || status=1; \
	exit $$status

test-long: $(VENV)/.installed-dev
	$(PYTEST) -m long

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/sphinx-build -W -b html docs docs/_build

clean:
	rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find plugins conf recipes tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	$(call environment,.)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	$(call environment,.[dev])
	@touch $@ $(VENV)/.installed

define environment
	@test -n "$(PYTHON)" || { echo "konomi needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e '$(1)'
endef
