# Everything runs in .venv, which is made once and again only when pyproject.toml or constraints.txt change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-docs test-campaigns test-physics test-cluster test-globus test-faults bench lint docs clean

help:  ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "md-director needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "this Python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $@

demo: $(READY)  ## Run examples/minimal.py: 2 Directors, 4 logical nodes, 16 real simulations
	$(BIN)/python examples/minimal.py

# Most tests wait for processes that start, so several at once suit two cores.
test: $(READY)  ## Run the tests
	$(BIN)/python -m pytest -n 6 --dist loadfile --no-loadscope-reorder

test-docs: $(READY)  ## Type what the documentation says, and run the examples
	$(BIN)/python -m pytest -n 4 --dist loadfile tests/docs tests/examples

test-campaigns: $(READY)  ## Run campaigns, reasoners and teams on Directors, and kill them
	$(BIN)/python -m pytest -n 5 --dist loadfile tests/campaign_runs tests/agent_runs

test-physics: $(READY)  ## Compare the Tools with references: plain OpenMM, ASE, xtb, and what theory says
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/physics

test-cluster: $(READY)  ## Run the tests that need several nodes, in a Slurm cluster of namespaces (Debian, root)
	$(BIN)/python -m pytest -n 3 --dist loadfile tests/cluster

test-globus: $(READY)  ## Run the tests of Globus Compute: SDK, broker, endpoint and Slurm, in namespaces (Debian, root)
	$(BIN)/python -m pytest -n 3 --dist loadfile tests/globus

test-faults: $(READY)  ## Kill, fill up and take away everything, for a quarter of an hour: nothing is lost (Debian, root)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/faults

bench: $(READY)  ## Measure speed, memory and recovery, beside bare Parsl, Academy and OpenMM
	$(BIN)/python -m benchmarks

lint: $(READY)  ## Check style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)  ## Build the documentation into docs/_build/html
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:  ## Remove the environment, caches and runs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build runs dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
