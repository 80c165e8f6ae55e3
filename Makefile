# Retort. `make demo` shows what it does, `make test` proves it, `make help` lists the rest.
# Packages are tested one after the other: the engine's threads spin, and two of them at once slow each other down.
# Tests read the engine, starter models and Python that `retort setup` brings; they write only to folders of their own.

GO       ?= go
FUZZTIME ?= 10s
OLLAMA   ?= $(HOME)/.cache/retort-ollama
STATIC    = $(GO) tool -modfile=.ci/tools.mod staticcheck
TESTHOME  = RETORT_TEST_HOME="$${RETORT_TEST_HOME:-$$(bin/retort config get home)}"

.PHONY: help build setup demo test check race e2e fuzz bench bench-peers bench-dataset test-ollama fmt clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/' | expand -t 15

build: ## build bin/retort
	$(GO) build -trimpath -o bin/retort ./cmd/retort

setup: build ## fetch the engine, the starter models and the Python environment (once)
	bin/retort setup

demo: setup ## run the whole loop once on real input
	bin/retort demo

test: setup check ## run every test: Go, the real engine, real training, Python
	$(TESTHOME) $(GO) test -p 1 -timeout 20m ./...
	$(TESTHOME) && PYTHONPATH=scripts "$$RETORT_TEST_HOME/python/bin/python" -m unittest discover -s scripts/tests

check: ## formatting, vet (on three systems) and staticcheck
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	  test -z "$$unformatted" || { echo "$$unformatted"; echo "run make fmt"; exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	$(STATIC) ./...

# The detector would let each of some thousand processes wait a second before it ends.
race: setup ## run the Go tests under the race detector, without real training
	$(TESTHOME) GORACE=atexit_sleep_ms=20 $(GO) test -p 1 -race -short -timeout 20m ./...

e2e: setup ## run the scripts that drive the real program
	$(TESTHOME) $(GO) test -timeout 20m -run TestScripts ./cmd/retort

fuzz: ## run every fuzz target for FUZZTIME each
	@$(GO) list ./... | while read -r pkg; do \
	  $(GO) test -list '^Fuzz' "$$pkg" | grep '^Fuzz' | while read -r name; do \
	    echo "$$pkg $$name"; $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$pkg" || exit 1; \
	  done || exit 1; done

bench: setup ## measure: store, engine, and the training step against TRL's default
	$(TESTHOME) $(GO) test -run '^$$' -bench . -benchtime 1x ./dataset ./local/llamacpp
	$(TESTHOME) && for id in smollm2-135m-instruct gemma-3-270m; do \
	  base="$$RETORT_TEST_HOME/cache/bench/$$id"; python="$$RETORT_TEST_HOME/python/bin/python"; \
	  "$$python" scripts/unpack.py "$$RETORT_TEST_HOME/models/$$id/model.gguf" "$$base" && \
	  "$$python" scripts/bench.py "$$base" || exit 1; done

test-ollama: setup ## run the Ollama tests against a real server: one built here, or the one at RETORT_TEST_OLLAMA
	@test -n "$$RETORT_TEST_OLLAMA" || .ci/ollama.sh $(OLLAMA)
	$(TESTHOME) RETORT_TEST_OLLAMA_BIN="$$(test -x $(OLLAMA)/ollama && echo $(OLLAMA)/ollama)" \
	  $(GO) test -p 1 -count=1 -timeout 20m -v -run '^TestOllama_' ./local/ollama ./cmd/retort

bench-peers: setup ## measure against Ollama and llama-server, which it installs and starts; BENCH holds flags of `retort bench`
	.ci/bench-peers.sh "$$(bin/retort config get home)/cache/bench/peers" $(BENCH)

bench-dataset: build ## measure the example store against Badger, SQLite and datasketch; BENCH holds flags of `retort bench dataset`
	.ci/bench-dataset.sh "$$(bin/retort config get home)/cache/bench/peers" $(BENCH)

fmt: ## format the Go code
	git ls-files -co --exclude-standard '*.go' | xargs gofmt -w

clean: ## remove what was built
	rm -rf bin
