# `make` lists the targets. Everything runs in .venv, made on first use; ARGS='…' passes further flags on.

.DEFAULT_GOAL := help
.PHONY: score test test-all coverage train bench flink prism stores torture lint format lock clean help

python := .venv/bin/python
quick := not flink and not slow and not registry
# The same result on any machine: no local wheels or settings, for the oldest Python of pyproject.toml and on.
compile := UV_FIND_LINKS= UV_CUSTOM_COMPILE_COMMAND='make lock' .venv/bin/uv pip compile --quiet \
	--no-config --universal --python-version 3.11 --generate-hashes
slim = $(compile) pyproject.toml --group build --excludes deploy/slim/left_out.txt \
	--constraint locks/requirements-dev.lock

score: ## Score the sample files under data/ with the shipped model into output/
	@sh scripts/setup_venv.sh runtime
	$(python) -m pipelines.score --input 'data/observations/*' --output output $(ARGS)

test: ## Run the tests, but for what test-all runs: 8 minutes on two cores (ARGS='-k csv' selects some)
	@sh scripts/setup_venv.sh dev
	$(python) -m pytest --numprocesses 2 --dist worksteal -m '$(quick)' $(ARGS)

# By file: what shares a cluster or an environment is in one file.
test-all: ## Run the rest: on Flink, with a package registry, and what takes long: 17 minutes
	@sh scripts/setup_venv.sh dev
	$(python) -m pytest --numprocesses 2 --dist loadfile -m 'not ($(quick))' $(ARGS)

coverage: ## Measure which lines and branches `make test` runs, in its subprocesses too
	@sh scripts/setup_venv.sh dev
	$(python) -m coverage run -m pytest --numprocesses 2 --dist worksteal -m '$(quick)' $(ARGS)
	$(python) -m coverage combine --quiet
	$(python) -m coverage report

train: ## Retrain the model: models/, with its card and plots
	@sh scripts/setup_venv.sh runtime
	$(python) -m penguin_model.train $(ARGS)

bench: ## Compare our rate with the peers' (docs/performance.md); fetches 6 GB into .bench on first use
	@sh scripts/setup_venv.sh runtime
	$(python) -m benchmarks $(ARGS)

flink: ## Fetch Flink and Beam's job server into .flink/, checked; needs Java (docs/flink.md)
	@sh scripts/setup_venv.sh runtime
	$(python) -m deploy.flink.parts

prism: ## Build Beam's Prism into .prism/; needs Go (docs/prism.md)
	@sh scripts/setup_venv.sh runtime
	$(python) -m deploy.prism.build

stores: ## Make the S3 servers that the tests use beside moto, in .stores/; needs Go and npm (docs/filesystems.md)
	@sh scripts/setup_venv.sh dev
	$(python) -m tests.support.stores.fetch

torture: ## Kill, fill, mutate: ten minutes that must lose no row (docs/reliability.md)
	@sh scripts/setup_venv.sh dev
	$(python) -m tests.torture $(ARGS)

lint: ## Check style, types, and which room imports which
	@sh scripts/setup_venv.sh dev
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	.venv/bin/lint-imports --no-cache

format: ## Format the code and fix what ruff can fix
	@sh scripts/setup_venv.sh dev
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

lock: ## Write the lock files from pyproject.toml (ARGS=--upgrade takes newer releases)
	@sh scripts/setup_venv.sh empty
	$(python) -m pip install --quiet --no-deps --require-hashes --requirement locks/tools.lock
	$(compile) --group lock --output-file locks/tools.lock $(ARGS)
	$(compile) pyproject.toml --group build --extra onnx --output-file locks/requirements.lock $(ARGS)
	$(compile) pyproject.toml --group build --extra onnx --group test --group lint \
		--constraint locks/requirements.lock --output-file locks/requirements-dev.lock $(ARGS)
	$(compile) pyproject.toml --group build --extra gcp --constraint locks/requirements-dev.lock \
		--output-file deploy/dataflow/requirements.lock $(ARGS)
	$(slim) --output-file deploy/slim/flink.lock $(ARGS)
	$(slim) --extra gcp --output-file deploy/slim/dataflow.lock $(ARGS)
	$(python) -m benchmarks.locks $(ARGS)
	$(compile) deploy/nightly/airflow.in --output-file deploy/nightly/airflow.lock $(ARGS)

clean: ## Remove .venv, output/, builds and caches
	rm -rf .venv .airflow .bench .flink .prism .pythons .stores lab output build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage*
	find . -name __pycache__ -prune -exec rm -rf {} +

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile
