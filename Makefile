# Every target stands on its own: it sets up what it needs first. `make help` lists them.
RECIPE ?= default
OUT ?= out
DEVICE ?= cpu
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(DEVICE)
STEPS := ingest split score filter dedup caption mix pack
FLAGS = --out "$(OUT)" $(if $(IN),--in "$(IN)") $(foreach setting,$(SET),--set '$(setting)')

.DEFAULT_GOAL := help
.PHONY: help setup run plan $(STEPS) inspect report tune verify mend test check doctor bench gpu-check train clients lock clean

help: ## Show the targets and their variables
	@awk -F':.*## ' '/^[a-z][a-z ]*:.*## /{printf "  make %-10s %s\n", $$1, $$2} /^\$$\(STEPS\):.*## /{printf "  make %-10s %s\n", "STEP", $$2}' $(MAKEFILE_LIST)
	@echo "  STEP is one of: $(STEPS)"
	@echo "  Variables: IN=folder OUT=$(OUT) RECIPE=$(RECIPE) SET=\"split.detector=content run.workers=1\" DEVICE=cpu|gpu"

setup: $(READY) ## Make the environment from the lock (DEVICE=gpu takes the CUDA builds)

$(READY): requirements/$(DEVICE).lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements/$(DEVICE).lock
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

run: setup ## Run every step: on the demo corpus, or with IN=folder on your own media
ifeq ($(IN)$(filter-out default,$(RECIPE)),)
	@$(BIN)/python -m pipeline.demo --out "$(OUT)" $(foreach setting,$(SET),--set '$(setting)')
else
	@$(BIN)/reelmix run "$(RECIPE)" $(FLAGS)
	@$(BIN)/reelmix verify "$(OUT)"
endif

plan: setup ## Say what a run would do (without IN, on the demo corpus of OUT); starts nothing
	@$(BIN)/reelmix plan "$(RECIPE)" $(FLAGS) $(if $(IN)$(filter-out default,$(RECIPE)),,$(if $(wildcard $(OUT)/demo/corpus),--in "$(OUT)/demo/corpus"))

$(STEPS): setup ## Run one step on what the earlier ones left
	@$(BIN)/reelmix run "$(RECIPE)" --only $@ $(FLAGS)

inspect: setup ## Count rows by step, rule and corpus
	@$(BIN)/reelmix inspect "$(OUT)"

report: setup ## Write OUT/report.html, a page of the run to look at
	@$(BIN)/reelmix report "$(OUT)"

tune: setup ## Open the tuning page on loopback (SAVE=mine.toml lets it write there, RECIPE names the rules)
	@$(BIN)/reelmix tune "$(OUT)" --recipe "$(RECIPE)" $(foreach setting,$(SET),--set '$(setting)') $(if $(SAVE),--save "$(SAVE)")

verify: setup ## Check every hash, index and count again
	@$(BIN)/reelmix verify "$(OUT)"

mend: setup ## Remove what verify finds broken, so that the next run makes it again
	@$(BIN)/reelmix verify "$(OUT)" --mend

doctor: setup ## Check this machine
	@$(BIN)/reelmix doctor "$(OUT)"

test: setup ## Run the tests
	$(BIN)/python -m pytest

check: setup ## Format, lint, types, tests: all that CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

bench: setup ## Measure the model stages against bare forward loops, split and cutting against bare decodes and peers, rules and the tuning page on a million rows (benchmarks/)
	@$(BIN)/python -m benchmarks.models
	@$(BIN)/python -m benchmarks.split
	@$(BIN)/python -m benchmarks.cutting
	@$(BIN)/python -m benchmarks.rules

gpu-check: ## Check and time the model stages on this machine's GPU; PYTHON needs torch, without Ray or vLLM
	@$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu_check

train: setup ## Train the two embedded models anew on drawn clips (about an hour of two cores)
	$(BIN)/python -m pipeline.demo.training

clients: setup ## Read packed datasets with megatron-energon and mlcroissant, in an environment of their own
	test -x .clients/bin/python || $(PYTHON) -m venv .clients
	$(BIN)/python -m uv pip sync --quiet --compile-bytecode --python .clients/bin/python requirements/clients.lock
	.clients/bin/python benchmarks/clients.py $(or $(DATASETS),$(dir $(wildcard $(OUT)/pack/*/dataset.json)))

lock: setup ## Resolve requirements/*.in anew
	cd requirements && for device in cpu gpu; do ../$(BIN)/python -m uv pip compile --quiet --generate-hashes --no-emit-index-url \
		--no-header --python-version 3.11 --override overrides.txt $$device.in -o $$device.lock; done

clean: ## Remove the environments; work directories stay
	rm -rf $(VENV) .clients
