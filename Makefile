# The two commands that matter are `make demo` and `make test`. Everything else is for those who change the code.

VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# The tests start hundreds of programs: Python shall compile each module once, whatever the machine's habit is.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check format bench lock schema pictures clean servers

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(READY)  ## the whole system with simulated meters, on http://127.0.0.1:8080
	$(BIN)/headend demo

test: $(READY) servers  ## set-up and the default test suite
	$(BIN)/pytest -n 2 --dist worksteal

test-slow: $(READY) servers  ## the tests that take minutes
	$(BIN)/pytest -m slow -n 2 --dist worksteal

check: $(READY)  ## lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## make the code look as `make check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) servers  ## benchmark tables
	$(BIN)/python -m benchmarks

lock:  ## pin the newest versions the bounds allow (needs uv)
	uv pip compile --upgrade --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --group dev pyproject.toml -o requirements.lock

schema: $(READY)  ## write docs/wire.schema.json anew from the models
	$(BIN)/python -c 'import json; from headend.collect.wire import json_schema; \
	    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))' > docs/wire.schema.json

pictures: $(READY) servers  ## take the README's pictures anew
	$(BIN)/python -m tests.take_pictures

clean:  ## remove what was made
	rm -rf $(VENV) .foreign demo-data build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Real servers for the tests. Without root, or without apt, the tests that want them skip and say so.
servers:
	@sh tests/install-servers.sh

# A virtual environment with uv where it is there, else with venv and pip. Everything is pinned, with hashes.
$(READY): requirements.lock pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	    uv venv --quiet --clear --python $(PYTHON) $(VENV) && \
	    uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
	    uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	    $(PYTHON) -m venv --clear $(VENV) && \
	    $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	    $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@
