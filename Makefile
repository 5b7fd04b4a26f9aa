# Every target that needs the environment makes it first. `make help` lists the targets.

PROFILE ?=
BUILD ?=
SOURCES ?=
METAFILE ?=
RELEASE ?=
EVAL ?=
SET ?=
RETRY ?=
REFETCH ?=
ID ?=
CORPUS ?=
CODE ?=
FILE ?=
ROWS ?=
FROM ?=
COMPANION ?=
OUT ?=
DATA ?=
LABELS ?=
PRECISION ?=
MODEL ?=
START ?=
LIST ?=
REPAIR ?=
PURGE ?=
QUICK ?=
RESUME ?=
VERBOSE ?=
STAGE ?=
N ?=
RATER ?=
HALF ?=
SEED ?=
RESULTS ?=
PORT ?=
FORMAT ?=

# Values reach the program whole, in the environment: blanks, quotes, $ and # mean nothing to make or a shell there.
SAID := PROFILE BUILD RELEASE SOURCES METAFILE EVAL SET RETRY REFETCH ID CORPUS CODE FILE ROWS FROM COMPANION OUT DATA LABELS PRECISION MODEL START LIST REPAIR PURGE QUICK RESUME VERBOSE STAGE N RATER HALF SEED RESULTS PORT FORMAT
unexport $(SAID)
$(foreach name,$(SAID),$(eval export RS5M_$(name) := $$(value $(name))))

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
UI_HOME := build/.prefect
# A run started while `make ui` serves shows there; PREFECT_API_URL=… names another server, empty none.
# By env: make then starts no shell, which would die of a SIGTERM to make and leave the program running.
CLI := env RS5M_UI_HOME=$(UI_HOME) $(PY) -m flows.make
STAGES := inventory filter withdraw safety plan download labelled sample screen embed dedup outliers caption match geometa gpe contamination shard stats
BENCHES := $(patsubst tests/benchmarks/bench_%.py,%,$(wildcard tests/benchmarks/bench_*.py))

.DEFAULT_GOAL := help
.PHONY: help demo build preflight weights inventory peek new-corpus tables stats verify explain show report status fates compare release-metadata rebuild card export eval-hashes rate audit gc withdraw config train-detector calibrate ui demo-models test check docs format bench

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  stages: $(STAGES)"
	@echo "  PROFILE=demo|light|paper|workstation|from-metafile|from-release|FILE.toml  SOURCES=DIR  METAFILE=FILE|DIR  BUILD=DIR"
	@echo "  SET=\"section.key=value …\"  EVAL=DIR|FILE|none  RETRY=transient  REFETCH=REASON,…|all  VERBOSE=1"
	@echo "  peek: CORPUS=CODE  FILE=PATH  ROWS=5  FROM=0  COMPANION=PATH"
	@echo "  e.g. make stage-dedup PROFILE=demo SET=\"dedup.max_distance=6\""

$(READY): pyproject.toml constraints.txt
	@python=; for p in $$PYTHON python3.11 python3.12 python3; do \
	  if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then python=$$p; break; fi; done; \
	if [ -z "$$python" ]; then echo "Python 3.11 or 3.12 is needed; say which with PYTHON=…"; exit 1; fi; \
	echo "making the virtual environment $(VENV) with $$($$python --version)"; $$python -m venv $(VENV)
	@echo "installing the pinned packages: some 9 GB, most of it torch, in 2 to 10 minutes; pip's log: $(VENV)/install.log"
	@started=$$(date +%s); \
	$(PY) -m pip install --disable-pip-version-check --progress-bar off --no-compile -c constraints.txt -e '.[models,ui,dev]' > $(VENV)/install.log 2>&1 & \
	pip=$$!; while kill -0 $$pip 2>/dev/null; do sleep 1; n=$$(( $$(date +%s) - started )); \
	  if [ $$((n % 30)) -eq 0 ]; then echo "  $$n s: $$(grep -c '^Collecting' $(VENV)/install.log) packages found, $$(du -sm $(VENV) | cut -f1) MB installed"; fi; done; \
	if ! wait $$pip; then grep -E '^ *(ERROR|error)' $(VENV)/install.log || tail -20 $(VENV)/install.log; exit 1; fi; \
	$(PY) -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true; \
	echo "installed in $$(( $$(date +%s) - started )) s"
	@# Compiled on all cores and without the packages' own tests, in a third of pip's time; a few files of no use fail.
	@# img2dataset installs a backport of dataclasses that shadows the standard library's.
	@$(PY) -m pip uninstall --quiet --yes dataclasses
	@# The trainer of open_clip 3 refuses the webdataset of this project: its test puts this one before it.
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/open_clip_webdataset webdataset==0.2.86
	@# Without bytecode, as where PYTHONDONTWRITEBYTECODE is set, each process takes half a second longer to start.
	@$(PY) -m compileall -q flows stages schemas
	@# Machine code too, in some 7 s: the first build would do it, and a forecast from it count it for the rows.
	@$(PY) -m stages.dedup.compiling
	@touch $@

demo: $(READY)  ## build the demo profile from start to finish (BUILD=build/demo)
	@$(CLI) demo

build: $(READY)  ## bring all stages up to date and publish BUILD/dataset
	@$(CLI) build

preflight: $(READY)  ## print everything that is missing and the cost of a build, before anything runs: PROFILE=paper SOURCES=…
	@$(CLI) preflight

weights: $(READY)  ## fetch the weights of the profile's models (a stopped fetch goes on), and compare their digests: PROFILE=paper
	@$(CLI) weights

stage-%: $(READY)  ## bring one stage up to date and print its table
	@$(CLI) stage '$*'

inventory: $(READY)  ## print how much of each corpus is under SOURCES, its rights, and how to get the rest
	@$(CLI) inventory

peek: $(READY)  ## print the first rows of a source file as its reader sees them: CORPUS=cc3m FILE=…
	@$(CLI) peek

new-corpus: $(READY)  ## draft the manifest of a corpus from one of its files: CODE=mycorpus FILE=…
	@$(CLI) new-corpus

stats: stage-stats  ## regenerate the published statistics tables

tables: $(READY)  ## print all tables of a build
	@$(CLI) tables

verify: $(READY)  ## check the whole build from its files (REPAIR=yes sets damaged files aside; QUICK=yes, RESUME=yes)
	@$(CLI) verify

explain: $(READY)  ## print what became of one sample, stage by stage: ID=laion2b_0_12
	@$(CLI) explain

show: $(READY)  ## write the image of one sample to a file: ID=laion2b_0_12 (OUT=laion2b_0_12.jpg)
	@$(CLI) show

report: $(READY)  ## write two pages of a build, finished or not: figures and pictures (OUT=BUILD/report.html), and adjustable thresholds (outliers.html beside it)
	@$(CLI) report

status: $(READY)  ## print partitions done, stale, missing and failed, rows and disk
	@$(CLI) status

fates: $(READY)  ## write one row per sample: which stage decided, and why (OUT=fates.csv)
	@$(CLI) fates

compare: $(READY)  ## compare a build with a list of RS5M (METAFILE=…), or its images with a release (RELEASE=…); rows to OUT=compare.csv
	@$(CLI) compare

release-metadata: $(READY)  ## write URLs, texts, digests and splits to OUT=release-metadata.parquet, to share without images
	@$(CLI) release-metadata

rebuild: $(READY)  ## make a published dataset again from such a file, and count lost and changed samples: FROM=FILE (SOURCES=DIR for labelled images, OUT=rebuild.csv)
	@$(CLI) rebuild

eval-hashes: $(READY)  ## write the hashes of a build's evaluation sets to OUT=evaluation-hashes.parquet, to share without images
	@$(CLI) eval-hashes

# The trap: without it the shell of the recipe dies of Ctrl-C, and make prints "Interrupt" below the figures.
rate: $(READY)  ## serve a local page to rate captions: N=200 RATER=name (HALF=rs3|pub11; RESULTS=yes prints the figures alone)
	@trap : INT; $(CLI) rate

audit: $(READY)  ## serve a local page to judge decisions: STAGE=filter|dedup|outliers|contamination|caption|gpe N=200 RATER=name
	@trap : INT; $(CLI) audit

card: $(READY)  ## write the dataset's card, build.json, Croissant, citation, licences again: SET="dataset.doi=…"
	@$(CLI) card

export: $(READY)  ## write the samples of a finished build as folders or parquet: FORMAT=folders|parquet OUT=folder
	@$(CLI) export

gc: $(READY)  ## remove files that no current receipt names (PURGE=yes destroys the bytes of what is withdrawn or hash-listed)
	@$(CLI) gc

withdraw: $(READY)  ## take samples, URLs, hosts or images out of a build, and rewrite the tars that hold them: LIST=FILE
	@$(CLI) withdraw

config: $(READY)  ## print all settings of a profile with their meanings
	@$(CLI) config

train-detector: $(READY)  ## train detectors of remote sensing images: DATA=folder with rs/ and other/ (MODEL=lite0|yolo OUT=models EVAL=evaluation sets)
	@$(CLI) train-detector

calibrate: $(READY)  ## set the thresholds for outliers by labelled images: LABELS=folder with rs/ and other/, or table (PRECISION=0.97 OUT=calibrated.toml)
	@$(CLI) calibrate

ui: $(READY)  ## serve the Prefect UI on loopback until Ctrl-C (PORT=4200): start, schedule, cancel, retry runs there
	@$(PY) -m flows.watch.ui $(UI_HOME) $(or $(PORT),4200)

check: $(READY)  ## format, lint, types, unit tests: some minutes
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(PY) -m pytest -q -n 2 tests/unit

test: $(READY)  ## all tests, the slow ones beside the fast ones; prints what was skipped and why
	@$(VENV)/bin/ruff check .
	@$(PY) -m flows.readme --check
	@$(PY) -m tests.run_all

docs: $(READY)  ## write the generated tables in docs/
	@$(PY) -m flows.readme

format: $(READY)  ## format and sort imports
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

demo-models: $(READY)  ## train and measure the small models of the demo again; pin their digests by hand afterwards
	@$(PY) -m flows.demo.models all
	@$(PY) -m flows.demo.models.nltk_small

bench: $(addprefix bench-,$(BENCHES))  ## all benchmarks; results in build/bench

bench-%: $(READY)  ## one benchmark, e.g. bench-ledger
	@$(PY) -m tests.benchmarks.bench_$*

# A target that does not exist: name the nearest one.
.DEFAULT:
	@python3 -c "import difflib, re, sys; \
	known = [t for t in re.findall(r'^([a-z][a-z-]*):', open('Makefile').read(), re.M)]; \
	near = difflib.get_close_matches(sys.argv[1], known, 1, 0.5); \
	print('no target ' + repr(sys.argv[1]) + (': did you mean ' + near[0] + '?' if near else '') + ' (make help lists all)')" '$@'; exit 2
