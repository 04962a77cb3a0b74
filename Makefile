# Everything runs in $(VENV); a second call of any target installs nothing.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
# Which torch: on Linux the default index serves the CUDA build. For the small CPU build, name an index that has it.
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
# Extras of pyproject.toml, such as s3,eval
EXTRAS ?=

PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
MADE := $(VENV)/.made
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_VLLM := $(VENV)/.installed-vllm
COMMA := ,
INSTALLED_EXTRAS := $(if $(EXTRAS),$(VENV)/.extras-$(subst $(COMMA),-,$(EXTRAS)))
SOURCES := evolgrid prompts cluster actors pipelines bundled benchmarks scripts tests

.PHONY: help install quickstart check quick-tests test docs gpu-check faults soak lint models vllm clean

help: ## list the targets (default)
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' \
	  | while IFS=$$'\t' read -r target text; do printf '  make %-12s %s\n' "$$target" "$$text"; done
	@printf '\n  PYTHON=%s VENV=%s TORCH=%s TORCH_INDEX=%s\n' '$(PYTHON)' '$(VENV)' '$(TORCH)' '$(TORCH_INDEX)'

install: $(INSTALLED) $(INSTALLED_EXTRAS) ## make the environment only (EXTRAS=s3,eval: with these extras)

quickstart: $(INSTALLED) ## install and run a complete study on this machine; ends with the report's path
	@echo "==> Running studies/quickstart.yaml"
	@$(VENV)/bin/evolgrid run studies/quickstart.yaml

check: $(INSTALLED_DEV) ## check style and types and run the tests that need neither Ray nor torch: minutes
	@$(MAKE) --no-print-directory --jobs=2 lint quick-tests

quick-tests: $(INSTALLED_DEV)
	@$(VENV)/bin/pytest -n 2 --check

test: $(INSTALLED_DEV) $(INSTALLED_VLLM) ## run all tests (installs vLLM too, where there is a build for this machine)
	@$(VENV)/bin/pytest -n 2

docs: $(INSTALLED_DEV) ## build the documentation as a site in build/docs
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --quiet
	@echo "build/docs/index.html; with search: $(VENV)/bin/python -m http.server --directory build/docs"

STAGES ?=
gpu-check: $(INSTALLED) $(INSTALLED_VLLM) ## check this machine's GPU, in under 8 minutes (STAGES="scores ray": these only)
	@$(VENV)/bin/python -m benchmarks.gpu_check $(STAGES)

faults: $(INSTALLED_DEV) ## inject every fault of the table with five seeds each: about an hour
	@EVOLGRID_FAULT_SEEDS=5 $(VENV)/bin/pytest -m "case or faults" --durations=0 --durations-min=60

N ?= 200
soak: $(INSTALLED_DEV) ## kill N random processes of a running study (N=200)
	@$(VENV)/bin/python -m tests.faults.soak --kills $(N)

lint: $(INSTALLED_DEV) ## check style and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/pyright

models: $(INSTALLED) ## train the bundled models again
	@$(VENV)/bin/python -m bundled.make

vllm: $(INSTALLED_VLLM) ## add vLLM to the environment, the build for this machine's GPUs or CPUs

clean: ## remove caches and build outputs; the environment and the results stay
	@rm -rf build dist ./*.egg-info .pytest_cache .ruff_cache
	@find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "evolgrid needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." \
	       "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv module. On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@echo "==> Creating the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# torch goes first, alone: it may come from another index than the rest
$(INSTALLED): pyproject.toml | $(MADE)
	@echo "==> Installing $(TORCH) (the largest download)"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)'
	@echo "==> Installing evolgrid and its libraries"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.extras-%: $(INSTALLED)
	@echo "==> Installing the extras $(EXTRAS)"
	@$(PIP) --editable '.[$(EXTRAS)]'
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	@echo "==> Installing the tools for tests and checks"
	@$(PIP) --editable '.[dev]'
	@touch $@

$(INSTALLED_VLLM): scripts/install_vllm.py | $(INSTALLED)
	@echo "==> Installing vLLM"
	@$(VENV)/bin/python scripts/install_vllm.py
	@touch $@
