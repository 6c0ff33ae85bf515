# `make help` names the targets. Each makes what it needs; nothing has to be activated.
#   make run PORT=9000              another port
#   make run OPEN_API=0             takes tokens only, also on this host
#   make demo PYTHON=python3.12     another interpreter (3.11 or newer)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup setup-dev database demo run test test-fast test-scale lint bench bench-quality bench-safety bench-watermark bench-sd15 bench-gpu screenshots clean

PYTHON ?= python3
PORT ?= 8000
export PORT
OPEN_API ?= 1
ifneq ($(PORT),8000)
export SERVER_URL ?= http://127.0.0.1:$(PORT)
endif
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := .venv/bin
RUN := $(BIN)/python
WEIGHTS := generation/miniature/weights
UNET := unet/diffusion_pytorch_model.safetensors
# That run tests: one more than there are cores, since tests also wait; four need 8 GB of memory.
PROCESSES := $(shell cores=$$(nproc); echo $$((cores < 4 ? cores + 1 : 4)))
BENCHMARKS = $(filter-out measures fleet outages pixels quality watermark strangers likeness settings screenshots sd15 sd15_parts sd15_shaped gpu plain_diffusers plain_lora,$(patsubst benchmarks/%.py,%,$(wildcard benchmarks/*.py)))

help:
	@echo "make demo    five photos in, a picture out: trains, paints, says where the picture is"
	@echo "make run     web and worker on http://127.0.0.1:$(PORT), until Ctrl-C"
	@echo "make test    all tests, one whole training and generation among them"
	@echo "make test-fast   the tests that need no model, no browser and no other process, in a minute or two"
	@echo "make test-scale   the tests of jobs and of many machines, on servers of their own: PostgreSQL, RabbitMQ, Redis, S3"
	@echo "make lint    style, types of file, which folder imports which, migrations, settings"
	@echo "make bench   measurements, printed as tables"
	@echo "make bench-quality   what the pictures are worth: a table and a contact sheet, in two hours"
	@echo "make bench-safety   which forbidden and which harmless words of visitors are refused, in half a minute"
	@echo "make bench-watermark   how well the invisible watermark is hidden, and found again after changes, in half an hour"
	@echo "make bench-sd15   the whole road at Stable Diffusion 1.5's size, with random weights (7 GB of disk)"
	@echo "make bench-gpu    every step, isolation and training on a GPU, next to plain diffusers: table, CSV, plot"
	@echo "make screenshots   every page and state of studio and desk, in screenshots/"
	@echo "make clean   removes the environment, caches and working files; data/ stays"

# --- what the targets need ---------------------------------------------------------------------------

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@rm -rf .venv
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

.venv/installed: requirements.txt .venv/made
	@echo "Installing what Cartolina runs with (5 GB, some minutes the first time) ..."
	@$(RUN) -m pip install --quiet -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@echo "Installing what tests and lints it ..."
	@$(RUN) -m pip install --quiet -r requirements-dev.txt
	@touch $@

.venv/installed-scale: requirements-scale.txt .venv/installed-dev
	@echo "Installing what several machines need ..."
	@$(RUN) -m pip install --quiet -r requirements-scale.txt
	@touch $@

# The four-channel model is cut out of the nine-channel one, so that it isn't stored twice.
$(WEIGHTS)/detail/$(UNET): $(WEIGHTS)/inpaint/$(UNET) | .venv/installed
	@$(RUN) -m generation.miniature.assemble

setup: .venv/installed $(WEIGHTS)/detail/$(UNET)

setup-dev: setup .venv/installed-dev

database: setup
	@$(RUN) manage.py migrate --verbosity 0
	@$(RUN) manage.py load_demo

# --- what people type --------------------------------------------------------------------------------

demo: database
	@$(RUN) manage.py demo

run: export OPEN_API := $(OPEN_API)
run: database
	@echo "http://127.0.0.1:$(PORT)  (Ctrl-C stops it)"
	@$(RUN) -m honcho --env /dev/null start || test $$? -eq 130  # Ctrl-C is how it ends

test: setup-dev
	$(RUN) -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

test-fast: .venv/installed-dev
	$(RUN) -m pytest --fast --no-processes -n $(PROCESSES) --dist worksteal

test-scale: .venv/installed-scale
	$(RUN) -m pytest -p tests.fixtures.on_postgresql --fast tests/jobs tests/scale

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/shellcheck .ci/run restart-if-killed.bash training-app/launch.bash benchmarks/harness/simulated/python.bash
	$(BIN)/hadolint Dockerfile
	$(BIN)/yamllint --strict .
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml compose.scale.yaml
	$(BIN)/kubernetes-validate --strict --quiet docs/fleet/kubernetes/*.yaml
	$(RUN) manage.py check
	$(RUN) manage.py makemigrations --check --dry-run

bench: setup-dev
	@for name in $(BENCHMARKS); do echo "=== $$name"; $(RUN) -m benchmarks.$$name; done

bench-quality: setup-dev
	$(RUN) -m benchmarks.quality

bench-safety: setup-dev
	$(RUN) -m benchmarks.safety

bench-watermark: setup-dev
	$(RUN) -m benchmarks.watermark

bench-sd15: setup-dev
	$(RUN) -m benchmarks.sd15
	$(RUN) -m benchmarks.sd15_parts

bench-gpu: setup-dev
	$(RUN) -m benchmarks.gpu

screenshots: setup-dev
	$(RUN) -m benchmarks.screenshots screenshots

clean:
	rm -rf .venv .pytest_cache .ruff_cache staticfiles tmp_data $(WEIGHTS)/detail
	find training-app/training-input training-app/training-output -mindepth 1 ! -name .gitkeep -delete
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
