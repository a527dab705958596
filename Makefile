# Each target sets up what it needs in a virtual environment of its own. PYTHON and VENV can be given.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo tour test lint bench clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/hoop demo

tour: $(VENV)/.ready
	$(BIN)/hoop demo --tour

test: $(VENV)/.ready
	$(BIN)/python -m pytest -q

lint: $(VENV)/.ready
	$(BIN)/ruff format --check gateway bots tests bench
	$(BIN)/ruff check gateway bots tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hoop check policies.yaml

bench: $(VENV)/.ready
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) build dist artifacts
