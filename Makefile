# The commands of this project. `make` alone lists them.
#
#   PYTHON=python3.12 make demo      another interpreter for the virtual environment
#   make test ARGS="-k wire -x"      more arguments for pytest (or for the demo)

VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
ARGS   ?=

# $(call install,EXTRAS): torch by its exact pin first (constraints.txt says why), then this tree, editable.
define install
	@echo "==> Installing $$(sed -n '/^torch==/p' constraints.txt) (the largest download; once only)"
	@$(PIP) install --quiet "$$(sed -n '/^torch==/p' constraints.txt)" -c constraints.txt
	@echo "==> Installing Tandem with its extras $(1)"
	@$(PIP) install --quiet -e ".[$(1)]" -c constraints.txt
endef

.PHONY: help demo test lint format proto clean
.DEFAULT_GOAL := help

help: ## List these commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(VENV)/.demo ## Start a target on loopback, run the edge against it in every mode, compare them
	@$(BIN)/python -m benchmarks.demo $(ARGS)

test: $(VENV)/.test ## Check style and import rules, then run the whole test suite
	@echo "==> ruff" && $(BIN)/ruff check --quiet .
	@echo "==> import rules" && $(BIN)/lint-imports --no-logo
	@echo "==> pytest" && $(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.test ## Check style, formatting and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.test ## Rewrite the code in the project's format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

proto: $(VENV)/.test ## Make the gRPC stubs again from proto/
	@PYTHON=$(BIN)/python sh proto/generate.sh

clean: ## Remove the virtual environment, caches and build products
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are touched last, so that an installation which broke off is made again.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,edge$(comma)cloud)
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,edge$(comma)train$(comma)dev)
	@touch $@ $(VENV)/.demo

# Order-only: an interpreter's own timestamp says nothing about this tree.
$(BIN)/python:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Tandem needs Python 3.11 or newer. Name one: PYTHON=/path/to/python3.11 make ..." >&2; exit 1; }
	@echo "==> Creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Could not create $(VENV); on Debian and Ubuntu install the package python3-venv." >&2; exit 1; }

comma := ,
