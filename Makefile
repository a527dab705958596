# Each target sets up what it needs in a virtual environment of its own. PYTHON and VENV can be given.
PYTHON ?= python3
PYTHON312 ?= python3.12
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo tour test compiled dist renderings drivers lint bench fuzz regress suites clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/hoop demo

tour: $(VENV)/.ready
	$(BIN)/hoop demo --tour

# WORKERS=0: in one process.
WORKERS ?= 2
test: $(VENV)/.ready
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup

# The same tests on the compiled build: of the compiled modules and what calls them, and those of safety. A copy, so that no compiled
# file stays in the tree. Takes a C compiler and Python's headers.
SAFETY := tests/test_compiled.py tests/audit tests/masking tests/wire tests/session tests/relay tests/sql tests/policy tests/fuzz tests/corpus/test_bypass.py
COPY = rm -rf build/compiled && mkdir -p build/compiled && git ls-files -z | xargs -0 cp --parents -t build/compiled && \
  cd build/compiled && HOOP_COMPILE=1 $(abspath $(BIN))/python setup.py -q build_ext --inplace
compiled: $(VENV)/.ready
	$(COPY)
	cd build/compiled && HOOP_COMPILED=1 $(abspath $(BIN))/python -m pytest -q -n $(WORKERS) --dist loadgroup $(SAFETY)

# Two wheels: one for any machine, one compiled for machines like this one.
dist: $(VENV)/.ready
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	HOOP_COMPILE=1 $(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

# The stored renderings of cards (tests/bots/renderings), drawn anew: look at the diff.
renderings: $(VENV)/.ready
	$(BIN)/python -m tests.bots.rendering

# Every driver of docs/drivers.md: `make test` leaves out those that need a compiler or a newer Python. What is missing is
# skipped, with what to install; without Python 3.12 that is postgres-mcp. Then every query of masking.yaml in every way of
# psql, psycopg and asyncpg (some ten minutes), with the figures; `make test` does that in turns.
drivers: $(VENV)/.ready
	-$(MAKE) .venv-mcp/.ready
	$(BIN)/python -m pytest -q -m "" tests/e2e/test_matrix.py tests/e2e/test_mcp.py
	$(BIN)/python -m pytest -q -m heavy -rP tests/corpus/test_masking_drivers.py

# postgres-mcp asks for an old pglast; it runs with the one that we have.
.venv-mcp/.ready:
	$(PYTHON312) -m venv .venv-mcp
	.venv-mcp/bin/pip install --quiet --disable-pip-version-check --no-deps 'postgres-mcp==0.3.0'
	.venv-mcp/bin/pip install --quiet --disable-pip-version-check 'mcp[cli]<2' 'psycopg[binary]' psycopg-pool humanize \
	  instructor 'pglast>=8.8,<9' attrs
	touch $@

lint: $(VENV)/.ready
	$(BIN)/ruff format --check gateway bots tests bench
	$(BIN)/ruff check gateway bots tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hoop check policies.yaml

# Half an hour, on a machine that does nothing else; takes a C compiler, as `compiled` does. Debian's pgbouncer and haproxy are
# measured beside the gateway: root installs them, for others the output says what is missing.
bench: $(VENV)/.ready
	-if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pgbouncer haproxy >/dev/null; fi
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	$(COPY)
	cd build/compiled && $(abspath $(BIN))/python -m bench $(NAMES)
	cp -r build/compiled/bench/results/. bench/results

# An hour or more. TEXTS is a directory of SQL to begin with, as PostgreSQL's regression files (see regress); SEED tells runs apart.
SEED ?= 1
FUZZ = $(BIN)/python -m tests.fuzz --seed $(SEED) $(if $(TEXTS),--texts $(TEXTS))
fuzz: $(VENV)/.ready
	$(FUZZ) --count 10000000 frames
	$(FUZZ) --count 1000000 logins
	$(FUZZ) --count 1000000 sessions
	$(FUZZ) --count 1000000 classifier
	$(FUZZ) --count 50000 reads

REGRESS := artifacts/pglast/pglast-8.8/libpg_query/test/sql/postgres_regress

$(REGRESS): | $(VENV)/.ready
	mkdir -p artifacts/pglast
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest artifacts/pglast 'pglast==8.8'
	tar -xzf artifacts/pglast/pglast-8.8.tar.gz -C artifacts/pglast

# PostgreSQL's own regression SQL, direct and through the gateway (docs/regress.md): FILES="select join", ARGS="--left --lanes 4".
regress: $(VENV)/.ready $(REGRESS)
	$(BIN)/python -m tests.differential.regress $(ARGS) $(REGRESS) $(FILES)

# The drivers' own test suites, direct and through the gateway: the better part of an hour. psycopg's sdist has no tests: PSYCOPG is a checkout.
SDISTS := artifacts/sdists
suites: $(VENV)/.ready
	mkdir -p $(SDISTS)
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest $(SDISTS) 'asyncpg==0.32.0' 'pg8000==1.31.6'
	for each in asyncpg-0.32.0 pg8000-1.31.6; do tar -xzf $(SDISTS)/$$each.tar.gz -C $(SDISTS); done
	$(BIN)/python -m tests.differential.suites asyncpg $(SDISTS)/asyncpg-0.32.0
	$(BIN)/python -m tests.differential.suites pg8000 $(SDISTS)/pg8000-1.31.6
	test -z '$(PSYCOPG)' || $(BIN)/python -m tests.differential.suites psycopg '$(PSYCOPG)'

clean:
	rm -rf $(VENV) .venv-mcp build dist artifacts
