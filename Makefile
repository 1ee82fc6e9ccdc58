# airx. `make run` and `make test` are all a newcomer needs; `make help` lists the rest.

CARGO  ?= cargo
TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
AIRX   := target/$(TARGET)/debug/airx

.PHONY: help run test lint doc bench sim fuzz install claude docker-image kube-runner-image

help: ## This list
	@sed -n 's/^\([a-z-]*\): *##* *\(.*\)/  make \1\t\2/p;s/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | sort -u

run: ## Build, then run the demo job: no account, network or server needed
	$(CARGO) build --bin airx
	@AIRX=$(AIRX) sh assets/demo/run.sh

test: lint claude ## The whole suite
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  $(CARGO) nextest run --no-fail-fast; \
	else \
	  $(CARGO) test --no-fail-fast; \
	fi

lint: ## rustfmt and clippy, warnings are errors; the documentation builds
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps

claude: ## The pinned Claude Code CLI for the tests that need it, when npm is there
	@if command -v npm >/dev/null 2>&1; then \
	  sh tests/support/claude/install.sh >/dev/null; \
	else \
	  echo "npm is missing: tests with the real Claude CLI will be left out (or fail, with AIRX_TEST_REQUIRE=all)"; \
	fi

bench: ## The figures of the core beside the floor, in a release build
	$(CARGO) bench --bench core -- $(BENCH)

sim: ## Fresh storms in the simulator: make sim SECONDS=600 SEED=1
	AIRX_SIM_SECONDS=$(or $(SECONDS),60) AIRX_SIM_SEED=$(or $(SEED),$(shell date +%s)) \
	  $(CARGO) test --release --test simulation storm_for_as_long_as_wished -- --nocapture

FUZZ ?= transcript live banner
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1

fuzz: ## Fuzz the transcript readers: make fuzz SECONDS=60 FUZZ=live
	@for target in $(FUZZ); do \
	  mkdir -p fuzz/corpus/$$target fuzz/artifacts/$$target; \
	  (cd fuzz && RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) run --release --bin $$target -- -max_total_time=$(or $(SECONDS),60) \
	    -max_len=65536 -artifact_prefix=artifacts/$$target/ corpus/$$target ../tests/fixtures/claude) || exit 1; \
	done

install: ## Into ~/.cargo/bin
	$(CARGO) install --path . --locked

docker-image: ## An image for pools of containers, with the Claude Code CLI: localhost/airx-runner
	$(or $(DOCKER),docker) build -t localhost/airx-runner assets/docker

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

kube-runner-image: ## An image of the static program alone, for pods of any image, as an archive: IMAGE=… OUT=… BINARY=…
ifndef BINARY
	$(CARGO) build --release --bin airx
endif
	python3 assets/kubernetes/runner-image.py --binary $(or $(BINARY),target/$(TARGET)/release/airx) \
	  --image $(or $(IMAGE),localhost/airx-runner-static:$(VERSION)) --out $(or $(OUT),target/airx-runner-image.tar)
