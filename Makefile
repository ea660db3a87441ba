# `make demo` shows Ingot; `make test` runs the tests. Both make what they need first.
PYTEST = .venv/bin/python -m pytest -n 4 --dist loadgroup -p no:cacheprovider --max-suite-reruns 3 --rerun-show-tracebacks

.PHONY: setup demo test test-long bench lint clean

setup:  ## .venv and the system packages (asks before it uses sudo)
	@scripts/setup

demo: setup  ## the workbench on a demo workspace, its first image already being built
	@.venv/bin/ingot demo

test:  ## what everybody runs: linters, units, screens, real tools, real builds
	@scripts/setup --tests
	$(PYTEST) -m "not long"

test-long:  ## the rest
	@scripts/setup --tests
	$(PYTEST) -m "long"

bench:  ## the budgets, measured as ratios in one run
	@scripts/setup --tests
	@failed=0; for bench in tests/bench/bench_*.py; do echo "$$bench"; .venv/bin/python "$$bench" || failed=1; done; exit $$failed

lint:  ## the linters alone (they are part of `make test` too)
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/pyright && .venv/bin/lint-imports

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis dist build *.egg-info
