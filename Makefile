# The commands of this project. `make` alone lists them.
#
#   PYTHON=python3.12 make demo      another interpreter for the virtual environment
#   make test ARGS="-k wire -x"      more arguments for pytest (or for the demo, or for bench)

VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
ARGS   ?=
# A process a core and one more (tests/conftest.py says why), four at most: each may hold a torch of its own. Whoever is
# done takes over tests of others.
SPREAD := -n auto --maxprocesses 4 --dist worksteal --durations 20 --durations-min 10

# $(call install,EXTRAS): torch by its exact pin first (constraints.txt says why), then this tree, editable.
define install
	@echo "==> Installing $$(sed -n '/^torch==/p' constraints.txt) (the largest download; once only)"
	@$(PIP) install --quiet "$$(sed -n '/^torch==/p' constraints.txt)" -c constraints.txt
	@echo "==> Installing Tandem with its extras $(1)"
	@$(PIP) install --quiet -e ".[$(1)]" -c constraints.txt
endef

# $(call step,NAME,COMMAND): one line while it runs, and what it says only if it fails.
define step
	@echo "==> $(1)"; said=$$($(2) 2>&1) || { echo "$$said"; exit 1; }
endef

# transformers 5 has an environment of its own: optimum, by which most drafts are exported, wants transformers 4.
VENV5  := .venv-tf5
PIP5   := $(VENV5)/bin/python -m pip --disable-pip-version-check

# So has vLLM, which pins what it stands on; constraints-vllm.txt is all of that, so that nothing is resolved again.
VENVV  := .venv-vllm
PIPV   := $(VENVV)/bin/python -m pip --disable-pip-version-check

.PHONY: help demo bench check test test5 test-vllm coverage lint format proto clean
.DEFAULT_GOAL := help

help: ## List these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(VENV)/.demo ## Start a target on loopback, run the edge against it in every mode, compare them
	@$(BIN)/python -m benchmarks.demo $(ARGS)

bench: $(VENV)/.bench ## Measure every mode over every link, in half an hour, and write docs/benchmarks.md (ARGS=--quick: 3 minutes)
	@$(BIN)/python -m benchmarks $(ARGS)

check: lint ## Check format, style, types and import rules, and run the quick tests: before every commit
	@echo "==> quick tests" && $(BIN)/python -m pytest -q -m "not slow" $(or $(ARGS),$(SPREAD))

test: lint ## Check the same, and run every test
	@echo "==> tests" && $(BIN)/python -m pytest -q $(or $(ARGS),$(SPREAD))

# By itself, for it takes half as long again.
coverage: lint ## Run every test, and see that they reach what they must: before a release
	@echo "==> tests, traced" && $(BIN)/python -m pytest -q $(SPREAD) --cov --cov-report=term --cov-report=json
	@$(BIN)/python -m tests.coverage_floor

test5: $(VENV5)/.test ## Run the tests of targets and drafts under transformers 5
	@echo "==> tests under $$(sed -n '/^transformers==/p' constraints-tf5.txt)"
	@$(VENV5)/bin/python -m pytest -q $(or $(ARGS),$(SPREAD) -m "not slow" tests/cloud_target/engine tests/cloud_target/export tests/cloud_target/gguf)

test-vllm: $(VENVV)/.test ## Run the tests of the engine vLLM beside it, on the CPU: half a dozen minutes
	@echo "==> tests with $$(sed -n '/^vllm/p' constraints-vllm.txt)"
	@$(VENVV)/bin/python -m pytest -q $(or $(ARGS),tests/cloud_target/engine/vllm)

lint: $(VENV)/.test ## Check format, style, types and import rules
	$(call step,format,$(BIN)/ruff format --check .)
	$(call step,style,$(BIN)/ruff check .)
	$(call step,types,$(BIN)/python -m mypy)
	$(call step,import rules,$(BIN)/lint-imports --no-logo)

format: $(VENV)/.test ## Rewrite the code in the project's format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

proto: $(VENV)/.test ## Make the gRPC stubs again from proto/
	@PYTHON=$(BIN)/python sh proto/generate.sh

clean: ## Remove the virtual environment, caches and build products
	@rm -rf $(VENV) $(VENV5) $(VENVV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage* .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are touched last, so that an installation which broke off is made again.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,edge$(comma)cloud)
	@touch $@

$(VENV)/.bench: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,edge$(comma)export)
	@touch $@ $(VENV)/.demo

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,edge$(comma)train$(comma)dev$(comma)deploy)
	@# For its axe.min.js alone; what it depends on is another driver of browsers, and large.
	@$(PIP) install --quiet --no-deps axe-playwright-python -c constraints.txt
	@touch $@ $(VENV)/.demo $(VENV)/.bench

# A copy with what differs put in its place takes a fifth of the time that installing all of it takes. Its packages are
# links where the system has them, and safe ones: pip removes a file before it writes another of its name. What knows
# where it lies is made anew.
$(VENV5)/.test: $(VENV)/.test constraints-tf5.txt
	@rm -rf $(VENV5)
	@cp -al $(VENV) $(VENV5) 2>/dev/null || { rm -rf $(VENV5); cp -a $(VENV) $(VENV5); }
	@rm -rf $(VENV5)/bin $(VENV5)/pyvenv.cfg $(VENV5)/.test
	@$(BIN)/python -m venv --without-pip $(VENV5)
	@awk -F== '!seen[tolower($$1)]++' constraints-tf5.txt constraints.txt > $(VENV5)/constraints.txt
	@echo "==> Installing transformers 5 beside it, in $(VENV5)"
	@$(PIP5) uninstall --quiet --yes optimum optimum-onnx
	@rm -rf $(VENV5)/lib/python*/site-packages/optimum
	@$(PIP5) install --quiet -r constraints-tf5.txt -c $(VENV5)/constraints.txt
	@touch $@

$(VENVV)/.test: pyproject.toml constraints.txt constraints-vllm.txt | $(BIN)/python
	@rm -rf $(VENVV)
	@"$(PYTHON)" -m venv $(VENVV)
	@echo "==> Installing vLLM in $(VENVV) (3.6 GB; once only)"
	@$(PIPV) install --quiet "$$(sed -n '/^torch==/p' constraints.txt)" -c constraints.txt
	@$(PIPV) install --quiet --no-deps -r constraints-vllm.txt
	@$(PIPV) install --quiet --no-deps -e .
	@touch $@

# Order-only: an interpreter's own timestamp says nothing about this tree.
$(BIN)/python:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Tandem needs Python 3.11 or newer. Name one: PYTHON=/path/to/python3.11 make ..." >&2; exit 1; }
	@echo "==> Creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Could not create $(VENV); on Debian and Ubuntu install the package python3-venv." >&2; exit 1; }

comma := ,
