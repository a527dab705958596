# Each target sets up what it needs in a virtual environment of its own. PYTHON and VENV can be given.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo tour test lint bench regress clean

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

REGRESS := artifacts/pglast/pglast-8.8/libpg_query/test/sql/postgres_regress

$(REGRESS): | $(VENV)/.ready
	mkdir -p artifacts/pglast
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest artifacts/pglast 'pglast==8.8'
	tar -xzf artifacts/pglast/pglast-8.8.tar.gz -C artifacts/pglast

# PostgreSQL's own regression SQL, direct and through the gateway (docs/regress.md): FILES="select join", ARGS="--left --lanes 4".
regress: $(VENV)/.ready $(REGRESS)
	$(BIN)/python -m tests.differential.regress $(ARGS) $(REGRESS) $(FILES)

clean:
	rm -rf $(VENV) build dist artifacts
