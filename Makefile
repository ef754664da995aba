# Plain recipes, one set-up script. `make` alone lists the targets.
PYTHON = python3
BIN = .venv/bin

# What is missing is said in one line; nothing is installed outside .venv/.
SETUP = @command -v $(PYTHON) >/dev/null || { echo "Set-up: $(PYTHON) is missing. \
Install Python 3.11 (Debian, Ubuntu: sudo apt install python3.11 python3.11-venv)." \
>&2; exit 1; }; $(PYTHON) .ci/setup.py

.PHONY: help lab test site bench labs clips lint house lock

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-6s %s\n", $$1, $$2}' Makefile

lab: ## open the course in the browser; the first time, install it
	$(SETUP) course
	@$(BIN)/securetrain lab

# All tests take two processes, which share them as tests/conftest.py says.
TWO = -n 2

test: ## run every test, as CI does; ARGS="-k name" picks some
	$(SETUP) dev
	$(BIN)/python -m pytest $(if $(ARGS),,$(TWO)) $(ARGS)

site: ## make the course as web pages in build/site/, offline
	$(SETUP) dev
	$(BIN)/python docs/site/build.py

bench: ## measure speed and memory on this machine, beside a peer's
	$(SETUP) dev
	$(BIN)/python tests/bench/bench.py

labs: ## tidy the notebooks, list the units at home, make labs/ from solutions/
	$(SETUP) dev
	$(BIN)/securetrain tidy
	$(BIN)/securetrain release

clips: ## film the clips whose source has changed; ARGS="NAME" films one anyhow
	$(SETUP) dev
	$(BIN)/securetrain clips $(ARGS)

lint: ## check style and tidiness
	$(SETUP) dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/securetrain tidy --check

house: ## hold the course to its own checklist; pack, sign and check a release
	$(SETUP) dev
	$(BIN)/python .ci/house.py $(if $(KEY),--key $(KEY))

COMPILE = uv pip compile --quiet pyproject.toml
HOW = --group build --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url

lock: ## recompile both locks with uv; ARGS=--upgrade takes newer versions
	@command -v uv >/dev/null || { echo "uv is missing: pipx install uv" >&2; exit 1; }
	$(COMPILE) --extra course --extra grading $(HOW) -o requirements.lock $(ARGS)
	$(COMPILE) --all-extras $(HOW) -c requirements.lock -o requirements-dev.lock $(ARGS)
