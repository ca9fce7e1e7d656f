# The verbs of the project. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
INSTALLED_DEMO := $(VENV)/installed-demo

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0]) if not (3, 11) <= sys.version_info < (3, 14) else None'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED_DEMO): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[standalone]'
	@touch $@

$(INSTALLED): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@ $(INSTALLED_DEMO)

.PHONY: demo
demo: $(INSTALLED_DEMO) ## a real incident on real data, on this machine, in a minute or two
	@$(BIN)/driftsonde demo $(ARGS)

# Many tests wait for servers more than they compute. Tests that share a server stay in one process, in their order.
SHARED := -n 2 --no-loadscope-reorder

.PHONY: test
test: $(INSTALLED) ## all tests that can run on this machine, but for the long ones; ARGS='-n 0': in one process
	$(BIN)/python -m pytest -m 'not slow' $(SHARED) $(ARGS)

.PHONY: quick
quick: $(INSTALLED) ## the tests without input or output: seconds
	$(BIN)/python -m pytest -m 'not io and not slow' $(ARGS)

.PHONY: faults
faults: $(INSTALLED) ## kill, cut, slow down, poison: the fault tests with their long forms, on Apache Kafka
	$(BIN)/python -m pytest tests/faults $(ARGS)

.PHONY: handled
handled: $(INSTALLED) ## from drift to the new champion or back, with Apache Kafka, Prefect and MLflow as they are
	$(BIN)/python -m pytest tests/handled $(ARGS)

# The day of a run is told, not read: results say when they were taken.
BENCH := PYTHONPATH=tests $(BIN)/python -m bench
DATE ?= $(shell date -u +%F)

.PHONY: bench
bench: $(INSTALLED) ## how fast it is: every figure of the README and docs/capacity.md, in a quarter of an hour
	$(BENCH) --date $(DATE) $(ARGS)

.PHONY: capacity
capacity: $(INSTALLED) ## write the figures of docs/capacity.md out of the last bench
	$(BENCH).page

.PHONY: soak
soak: $(INSTALLED) ## all services at a steady rate for 20 minutes: memory, lag and windows, as a table and a drawing
	PYTHONPATH=tests $(BIN)/python -m bench.soak --date $(DATE) $(ARGS)

.PHONY: bench-quick
bench-quick: $(INSTALLED) ## the same on little data, to see that it works: its figures mean nothing
	$(BENCH) --date $(DATE) --scale quick --out build/bench $(ARGS)

.PHONY: bench-guard
bench-guard: $(INSTALLED) ## has something become slow, by the ratio to a reference on the same data
	$(BENCH).guard $(ARGS)

.PHONY: bench-detection
bench-detection: $(INSTALLED) ## how soon changes are found, at which cost of false alarms, beside others; ELEC2=FILE adds elec2
	$(BENCH).detection --date $(DATE) $(if $(ELEC2),--elec2 $(ELEC2)) $(ARGS)

.PHONY: docs
docs: $(INSTALLED) ## write docs/reference out of the code
	$(BIN)/python docs/reference.py

.PHONY: screenshots
screenshots: $(INSTALLED) ## take the pictures of docs/console.md anew; needs Chromium
	PYTHONPATH=tests $(BIN)/python tests/screenshots.py docs/images

.PHONY: check
check: $(INSTALLED) ## format, lint, types, layering
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(INSTALLED) ## format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: constraints
constraints: ## resolve the newest versions into constraints.txt
	rm -rf build/constraints && $(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install --quiet '.[test]'
	build/constraints/bin/python -m pip freeze --exclude driftsonde --exclude-editable \
	  | grep -v ' @ ' > constraints.txt

.PHONY: clean
clean: ## remove what the verbs made
	rm -rf $(VENV) build dist out
