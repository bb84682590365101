# The commands of this repository. They need python3, make and a network to the package index, and nothing else.
#
#   make PYTHON=python3.12 test     another interpreter
#   make VENV=/tmp/env test         another place for the virtual environment
#   make PYTEST="-k landlock" test  arguments for pytest

PYTHON ?= python3
VENV ?= .venv
PYTEST ?=
# What is run a second time as an ordinary user when `make test` is started by root; left out is what has the same way
# through the kernel for everybody.
USER_SUITES ?= tests/kernel tests/escape tests/faults tests/integration \
	$(addprefix --ignore=tests/integration/,test_notebooks.py test_benchmarks.py test_benchmarks_tools.py test_cli.py \
	test_failing_servers.py test_tools_cli.py)
# Further interpreters (make FURTHER="python3.12 python3.13" test), and what is run on them.
FURTHER ?=
FURTHER_SUITES ?= tests/kernel tests/escape --ignore=tests/escape/test_tool_floods.py
export USER_SUITES FURTHER FURTHER_SUITES PYTHON

BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo hour code-mode test lint fix bench bench-tools lock clean environment-demo environment-dev

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '  make %-11s %s\n' "$$name" "$$text"; done

demo: environment-demo ## three model-written programs on real data, each in its own sandbox
	@$(BIN)/python examples/demo.py

hour: environment-demo ## an agent's hour in one live sandbox, every claim of it asserted
	@$(BIN)/python examples/long_session.py

code-mode: environment-demo ## three MCP servers and two functions, joined by one program; what that saves
	@$(BIN)/python examples/code_mode.py

test: lint ## everything CI checks; as root, half of it as an ordinary user too, beside the rest
	@scripts/test-all $(BIN)/python $(PYTEST)

lint: environment-dev ## format, lint, types and layers, without the tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

fix: environment-dev ## let ruff repair what it can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: environment-dev ## measure, and write docs/benchmarks.md
	$(BIN)/python benchmarks/run.py

bench-tools: environment-dev ## the same for tools, on real MCP servers; writes docs/benchmarks-tools.md (needs node, git)
	$(BIN)/python benchmarks/tools_run.py

lock: ## write requirements/ anew from pyproject.toml (needs uv)
	scripts/lock

clean: ## remove the environment, the caches and what the demo made
	rm -rf $(VENV) .venv-3.* .venv-servers .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist examples/out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment-demo:
	@scripts/venv $(VENV) demo $(PYTHON)

environment-dev:
	@scripts/venv $(VENV) dev $(PYTHON)
