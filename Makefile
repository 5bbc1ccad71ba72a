# Every target makes and uses .venv in this folder on first need.
# PYTHON: the Python (3.11 or later) to make it with. TORCH_INDEX: a package index to take torch from, such as
# https://download.pytorch.org/whl/cpu for the CPU build on Linux (without it pip takes the index's own default build).

PYTHON ?= python3
TORCH_INDEX ?=
TORCH = torch>=2.9,<2.14
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: song test test-long check format bench clean

song: .venv/.ready-to-play
	@.venv/bin/partita generate "mellow lofi beat with warm electric piano, 80 bpm, in D minor" --duration 20 --seed 3

test: .venv/.ready-to-develop
	.venv/bin/python -m pytest

test-long: .venv/.ready-to-develop
	.venv/bin/python -m pytest -m long --timeout 3600
	HYPOTHESIS_PROFILE=search .venv/bin/python -m pytest -m 'not long'

check: .venv/.ready-to-develop
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports --no-cache
	.venv/bin/pyright

format: .venv/.ready-to-develop
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/.ready-to-develop
	$(PIP) -e ".[bench]"
	.venv/bin/python benches/run.py

clean:
	rm -rf .venv

.venv/.ready-to-play: pyproject.toml
	@echo "Setting up .venv: this downloads torch (about 200 MB as a CPU build; several GB with CUDA, which pip takes on"
	@echo "Linux unless TORCH_INDEX=https://download.pytorch.org/whl/cpu is given) and about 150 MB of other packages."
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@$(PIP) "$(TORCH)" $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	@$(PIP) -e .
	@touch $@

.venv/.ready-to-develop: .venv/.ready-to-play
	@echo "Adding what the tests and checks need (about 150 MB)."
	@$(PIP) -e ".[dev]"
	@touch $@
