# Every target sets up what it needs by itself: `make demo` and `make test` run from a fresh clone.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
DEMO ?= runs/demo

CONFIG ?=
DATA ?=
OUT ?=
CHECKPOINT ?=
GPUS ?= 1
RECORDS ?= runs
TABLE ?= all
ARGS ?=
WHEELS ?=
WHEELS_FOR ?= 3.12

LAUNCH = $(if $(filter-out 1,$(GPUS)),$(RUN) -m flsl launch $(GPUS),$(RUN) -m)
# Tests are spread over the cores, file by file; threads of one process would only wait for those of another.
SHARED = OMP_NUM_THREADS=1 $(RUN)
SPREAD = -n auto --dist loadfile --no-loadscope-reorder
# What a machine that has torch, timm and the usual scientific packages lacks of ours; compiled ones for Linux on x86-64.
LACKING = pydantic pydantic-core annotated-types typing-inspection simplejpeg onedl-mmengine addict termcolor yapf \
  platformdirs pycocotools faster-coco-eval terminaltables six imaug imagecorruptions-imaug shapely \
  ftfy wcwidth prettytable pytest-xdist execnet
# Published as source; without their operators, which torchvision has, they are Python alone.
LACKING_SOURCE = onedl-mmcv onedl-mmdetection onedl-mmsegmentation
PLATFORMS = manylinux_2_28_x86_64 manylinux_2_27_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64
# Results go beside a checkpoint file; those of a name such as random:vit_small/16 go to runs/.
BESIDE = $(if $(wildcard $(CHECKPOINT)),$(basename $(CHECKPOINT)),runs/$(subst /,-,$(subst :,-,$(CHECKPOINT))))
# A path with spaces is one word for the shell.
path = $(if $(word 2,$(1)),'$(1)',$(1))
need = $(if $($(1)),,$(error $(1) is not set. Usage: $(2)))

.DEFAULT_GOAL := help
.PHONY: docs help setup demo demo-full test test-all lint pretrain benchmarks leaderboard reproduce gpu-check gpu-wheels clean

help: ## this list
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED) ## create .venv and install the tested set of packages

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo 'error: Python 3.10 or newer is needed; name it with: make PYTHON=/path/to/python3.11 ...'; exit 2; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[detection,segmentation,test]'
	@# On a server without libGL the full OpenCV wheel cannot be imported: put the headless one over it.
	@$(RUN) -c 'import cv2' 2>/dev/null || \
	  $(RUN) -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps -c constraints.txt opencv-python-headless
	@touch $@

demo: $(INSTALLED) ## draw small data, pretrain a small ViT, ask whether it is better than none, train detectors (6 minutes on 2 cores)
	PATH="$(abspath $(VENV))/bin:$$PATH" bash configs/demo.sh $(DEMO)

demo-full: $(INSTALLED) ## the same, with detectors on the untrained encoder too: three seeds, mean and spread (an hour on a CPU)
	PATH="$(abspath $(VENV))/bin:$$PATH" bash configs/demo.sh $(DEMO) full

test: $(INSTALLED) ## the test suite, but for the slow tests
	$(SHARED) -m pytest $(SPREAD)

test-all: $(INSTALLED) ## the whole test suite, slow tests too
	$(SHARED) -m pytest $(SPREAD) -m 'slow or not slow'

lint: $(INSTALLED) ## check style, format and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

pretrain: $(INSTALLED) ## CONFIG=... DATA=... OUT=... [GPUS=8] [ARGS='--set key=value']
	$(call need,CONFIG,make pretrain CONFIG=configs/pretrain/flsl_vit-s16_in1k_300e.py DATA=imagenet OUT=runs/s16)
	$(call need,DATA,make pretrain CONFIG=... DATA=folder OUT=folder)
	$(call need,OUT,make pretrain CONFIG=... DATA=... OUT=folder)
	$(LAUNCH) pretrain $(call path,$(CONFIG)) --data $(call path,$(DATA)) --out $(call path,$(OUT)) $(ARGS)

eval-%: $(INSTALLED) ## CHECKPOINT=... DATA=... [OUT=...] [CONFIG=...] [GPUS=8] [ARGS=...]: eval-davis, eval-coco, ... (make benchmarks)
	$(call need,CHECKPOINT,make $@ CHECKPOINT=runs/s16/encoder.safetensors DATA=folder [OUT=folder])
	$(call need,DATA,make $@ CHECKPOINT=... DATA=folder [OUT=folder])
	$(LAUNCH) eval $* --checkpoint $(call path,$(CHECKPOINT)) --data $(call path,$(DATA)) --out $(call path,$(or $(OUT),$(BESIDE)-$*)) $(if $(CONFIG),--config $(call path,$(CONFIG))) $(ARGS)

benchmarks: $(INSTALLED) ## which benchmarks there are
	@$(RUN) -m eval --help

docs: $(INSTALLED) ## the documentation as a site in site/
	@$(RUN) -c 'import mkdocstrings, material' 2>/dev/null || \
	  $(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --clean

leaderboard: $(INSTALLED) ## [RECORDS=runs] -> results/leaderboard.csv and .html
	$(RUN) -m results leaderboard --records $(call path,$(RECORDS)) --out results/leaderboard.csv

reproduce: $(INSTALLED) ## TABLE=davis|coco|...|all CHECKPOINT=... DATA=... [OUT=...]: check published claims
	$(call need,CHECKPOINT,make reproduce TABLE=davis CHECKPOINT=file DATA=folder)
	$(call need,DATA,make reproduce TABLE=davis CHECKPOINT=file DATA=folder)
	@# make says 2 whatever fails: the program's own code is said in words.
	$(RUN) -m results reproduce $(TABLE) --checkpoint $(call path,$(CHECKPOINT)) --data $(call path,$(DATA)) $(if $(OUT),--out $(call path,$(OUT))) $(ARGS) || \
	  { code=$$?; echo "reproduce: exit code $$code (1: a claim does not hold, 2: something was not checked)" >&2; exit $$code; }

gpu-check: $(if $(WHEELS),,$(INSTALLED)) ## [OUT=...] [WHEELS=wheels PYTHON=...] [ARGS='--minutes 11 --only NAME ...']: prove it on a GPU (docs/gpu.md)
	$(if $(WHEELS),$(PYTHON),$(RUN)) -m flsl gpucheck --out $(or $(OUT),runs/gpu-check) $(if $(WHEELS),--wheels $(WHEELS)) $(ARGS)

gpu-wheels: $(INSTALLED) ## [WHEELS_FOR=3.12] -> wheels/, for gpu-check with WHEELS=wheels on a machine without network
	mkdir -p wheels && rm -f wheels/*.whl
	$(RUN) -m pip wheel --quiet --disable-pip-version-check --no-deps -c constraints.txt -w wheels $(LACKING_SOURCE)
	$(RUN) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version $(WHEELS_FOR) \
	  --implementation cp $(PLATFORMS:%=--platform %) -c constraints.txt -d wheels $(LACKING)
	@du -sm wheels | awk '{ print $$1 " MB of wheels"; exit $$1 > 60 }'

clean: ## delete runs/demo, site and what the tools leave behind; .venv and other runs stay
	rm -rf $(DEMO) build site *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
