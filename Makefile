PYTHON := .venv/bin/python
LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate $(UPGRADE)
BUILD_REQUIRES := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")

.DEFAULT_GOAL := help
.PHONY: help setup check test fuzz faults incident deploy-checks scaleout release soak mutations bench bench-limits bench-stages bench-latency bench-rest bench-rebuild bench-curves bench-api demo lock

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## make .venv from requirements/dev.lock; does nothing while that and pyproject.toml stay the same
	@sh deploy/setup.sh

check: setup ## format, lint, types and import rules
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

test: setup ## all tests but those of the targets below; ARGS="-k ingest" passes options to pytest
	$(PYTHON) -m pytest $(ARGS)

fuzz: setup ## schemathesis, at least 20,000 cases against a running API with data
	$(PYTHON) -m pytest tests/fuzz --capture=no $(ARGS)

faults: setup ## each row of the fault matrix on Apache Kafka and Redis; FULL=1 for its own durations
	$(PYTHON) -m pytest tests/faults $(ARGS)

incident: setup ## what operators rely on: a day of incidents with its alerts, replay, trace, verify, rebuild, canary, watchdog
	$(PYTHON) -m pytest tests/incident $(ARGS)

deploy-checks: setup ## image steps, compose file and chart, as far as they can be checked without an engine
	$(PYTHON) -m pytest tests/deploy $(ARGS)

scaleout: setup ## clusters of servers, secured links, several workers, old builds beside new ones
	$(PYTHON) -m pytest tests/scaleout $(ARGS)

release: setup ## wheel, sdist, SBOM, chart and checksums of the last commit, in dist; the same bytes each time
	$(PYTHON) -m deploy.release $(ARGS)

soak: setup ## random faults for so long, then everything is compared; SEED=1 MINUTES=1
	$(PYTHON) -m tests.faults.soak --seed $(or $(SEED),1) --minutes $(or $(MINUTES),1) $(ARGS)

mutations: setup ## break each guarantee on purpose and see the named tests fail
	$(PYTHON) -m tests.mutations $(ARGS)

bench: setup ## two million events through the pipeline, three times, beside two baselines
	$(PYTHON) -m tests.bench $(ARGS)

bench-limits: setup ## what reading and decoding alone cost on this machine
	$(PYTHON) -m tests.bench.limits $(ARGS)

bench-stages: setup ## microseconds that an event costs in each step of ingest, the aggregator and Redis
	$(PYTHON) -m tests.bench.stages $(ARGS)

bench-latency: setup ## from acknowledgement to visible in the API, beside 1,000 to 47,000 events/s
	$(PYTHON) -m tests.bench.latency $(ARGS)

bench-rest: setup ## how soon `up` counts, and what idle roles use
	$(PYTHON) -m tests.bench.rest $(ARGS)

bench-rebuild: setup ## `tidemark rebuild` against the run that first counted the events, and freshness beside one
	$(PYTHON) -m tests.bench.rebuilding $(ARGS)

bench-curves: setup ## what throughput and memory depend on, as numbers and plots; takes an hour
	$(PYTHON) -m tests.bench.curves $(ARGS)

bench-api: setup ## latency of each operation of the query API beside a bare route, on Redis
	$(PYTHON) -m tests.bench.api $(ARGS)

demo: setup ## the whole pipeline on embedded servers, with simulated traffic and a verdict
	.venv/bin/tidemark demo $(ARGS)

lock: setup ## make requirements/*.lock anew; UPGRADE=--upgrade takes the newest versions allowed
	$(LOCK) pyproject.toml --output-file requirements/runtime.lock
	$(LOCK) pyproject.toml --extra local --output-file requirements/local.lock
	$(LOCK) pyproject.toml --all-extras --output-file requirements/dev.lock
	$(PYTHON) -c '$(BUILD_REQUIRES)' | $(LOCK) - --constraint requirements/dev.lock --output-file requirements/build.lock
