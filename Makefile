# Everything a developer or a build machine runs. `make` alone explains the targets.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO       ?= go
FUZZTIME ?= 30s
BENCH    ?= .
# Packages that `make test`, `make test-go`, `make bench` and `make fuzz` look at; e2e and the session, which
# compare throughputs, always run by themselves: their timing must not compete with the compiler and other suites.
PKGS     ?= ./...

# What is shipped, vetted and linted is compiled once, the same way: without cgo and without paths of this machine.
PLAIN    := CGO_ENABLED=0 GOFLAGS='$(strip $(filter-out -trimpath,$(shell $(GO) env GOFLAGS)) -trimpath)'
LINT     := tools/bin/golangci-lint
LINTVER  := $(shell sed -n 's|.*golangci/golangci-lint/v2 v\([0-9.]*\).*|\1|p' tools/go.mod)
TESTSUM  := tools/bin/testsum
# The module of the validators that judge what stellagen exports, and what npm leaves there when it is done.
ARTIFACTS := e2e/artifacts
# The module that holds the gateway's HTTP/2 against h2spec.
H2SPEC    := e2e/h2spec
# The module of the example that moves in, which has a router of others.
MIGRATION := examples/migration
NPMTOOLS := $(ARTIFACTS)/node_modules/.package-lock.json

# Test output is read in logs.
export GINKGO_NO_COLOR := TRUE
export NO_COLOR        := 1
# A program with the race detector sleeps for a second before it exits, in case something else still runs: suites check
# that nothing does.
export GORACE          := atexit_sleep_ms=50

.PHONY: help
help: ## explain the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/stellagen, bin/stellavet, bin/stella-gateway, bin/billing and bin/echo
	@mkdir -p bin
	$(PLAIN) $(GO) build -o bin/ ./generator/cmd/stellagen ./generator/cmd/stellavet ./gateway/cmd/stella-gateway ./examples/billing/cmd/billing ./examples/echo/cmd/echo

.PHONY: run
run: build ## start the gateway and the billing example, and print commands to try; Ctrl-C ends both
	@exec scripts/run.sh

.PHONY: test
test: test-deps modules npm-tools build $(TESTSUM) ## all tests with the race detector, then the end-to-end suite and the validators of artifacts
	E2E_BIN=$(CURDIR)/bin $(TESTSUM) \
		-- env CGO_ENABLED=1 $(GO) test -race -timeout 5m $$($(GO) list $(PKGS) | grep -vE '/e2e$$|/transports/(rabbitmq|session)$$') \
		-- env CGO_ENABLED=1 $(GO) test -race -timeout 10m -count=1 -p 1 ./transports/rabbitmq ./transports/session ./e2e \
		-- env CGO_ENABLED=1 $(GO) -C $(MIGRATION) test -race -timeout 5m -count=1 ./... \
		-- env CGO_ENABLED=0 $(GO) -C $(ARTIFACTS) test -timeout 10m -count=1 ./... \
		-- env CGO_ENABLED=0 $(GO) -C $(H2SPEC) test -timeout 5m -count=1 ./...

.PHONY: test-go
test-go: modules build $(TESTSUM) ## what Go alone can test: no race detector (it needs gcc), no specs that run curl, no brokers
	E2E_BIN=$(CURDIR)/bin $(TESTSUM) \
		-- env CGO_ENABLED=0 $(GO) test -tags nobrokers -timeout 5m $$($(GO) list $(PKGS) | grep -vE '/e2e$$|/transports/(brokertest|rabbitmq|valkey)$$') \
		-- env CGO_ENABLED=0 $(GO) test -tags nobrokers -timeout 10m -count=1 ./e2e -args -ginkgo.label-filter='!curl' \
		-- env CGO_ENABLED=0 $(GO) -C $(MIGRATION) test -timeout 5m -count=1 ./... \
		-- env CGO_ENABLED=0 $(GO) -C $(H2SPEC) test -timeout 5m -count=1 ./...

# Suites compile modules of their own without the network: every module of go.mod has to be there, needed by a build or not.
.PHONY: modules
modules:
	@$(GO) mod download
	@$(GO) -C $(MIGRATION) mod download

.PHONY: test-deps
test-deps:
	@scripts/install-test-deps.sh

# Validators that come from the npm registry, in the versions of package-lock.json.
.PHONY: npm-tools
npm-tools: test-deps
	@$(MAKE) -s --no-print-directory $(NPMTOOLS)

$(NPMTOOLS): $(ARTIFACTS)/package.json $(ARTIFACTS)/package-lock.json
	@echo "installing the npm tools of $(ARTIFACTS)"
	@cd $(ARTIFACTS) && npm ci --no-audit --no-fund --loglevel=error || \
	{ echo "npm ci failed in $(ARTIFACTS): the tests need its packages, from the registry or npm's cache; or run make test-go" >&2; exit 1; }
	@touch $@

.PHONY: check
check: build check-format check-vet check-generated check-endpoints check-modules check-imports check-lint ## formatting, vet, lint, generated code, endpoints, go.mod, import rules

.PHONY: check-format check-vet check-generated check-endpoints check-modules check-imports check-lint
check-format:
	@out=$$(find . -name '*.go' -not -path '*/testdata/*' -print0 | xargs -0 gofmt -l); \
	if [ -n "$$out" ]; then printf 'gofmt wants to change these files, run gofmt -w on them:\n%s\n' "$$out"; exit 1; fi

check-vet:
	$(PLAIN) $(GO) vet ./...
	$(PLAIN) $(GO) -C $(ARTIFACTS) vet ./...
	$(PLAIN) $(GO) -C $(H2SPEC) vet ./...
	$(PLAIN) $(GO) -C $(MIGRATION) vet ./...

check-generated:
	bin/stellagen check ./...
	bin/stellagen export overrideschema ./examples/billing --out examples/billing --check
	cd benchmarks && ../bin/stellagen check ./...
	cd $(MIGRATION) && ../../bin/stellagen check ./...

check-endpoints:
	bin/stellagen lint --fail-on info ./examples/...
	$(GO) vet -vettool=$(CURDIR)/bin/stellavet ./examples/...

check-modules:
	$(GO) mod tidy -diff
	$(GO) -C $(ARTIFACTS) mod tidy -diff
	$(GO) -C $(H2SPEC) mod tidy -diff
	$(GO) -C $(MIGRATION) mod tidy -diff

check-imports:
	$(PLAIN) $(GO) test -count=1 -run '^TestImportRules$$' ./e2e

check-lint: lint-tool
	$(PLAIN) $(LINT) run ./...
	cd $(ARTIFACTS) && $(PLAIN) ../../$(LINT) run ./...
	cd $(H2SPEC) && $(PLAIN) ../../$(LINT) run ./...
	cd $(MIGRATION) && $(PLAIN) ../../$(LINT) run ./...

# The linter is pinned by tools/go.mod, and is built when it is missing or another version: that takes minutes.
.PHONY: lint-tool
lint-tool:
	@if ! $(LINT) version --short 2>/dev/null | grep -qxF '$(LINTVER)'; then \
		echo "building golangci-lint $(LINTVER)"; \
		(cd tools && $(PLAIN) $(GO) build -o bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint); \
	fi

$(TESTSUM): $(wildcard scripts/testsum/*.go)
	$(PLAIN) $(GO) build -o $@ ./scripts/testsum

.PHONY: docs-check
docs-check: test-deps modules build ## run the commands of README, docs and examples, and say which are not run, and why
	E2E_BIN=$(CURDIR)/bin CGO_ENABLED=0 $(GO) test -count=1 -v -run TestEndToEnd ./e2e -args -ginkgo.no-color -ginkgo.label-filter='docs' | grep -vE '^(S+|=== RUN.*)$$'

.PHONY: bench
bench: ## run the benchmarks with allocations (BENCH=regexp, PKGS=./...)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PKGS)
	cd benchmarks && $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME each (30s)
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh $(PKGS)

.PHONY: soak
soak: ## run the tests that take long, with the race detector, and once more without it what is about waiting
	env CGO_ENABLED=1 $(GO) test -race -tags soak -timeout 60m -count=1 -v -run '^TestSoak' $(PKGS)
	$(GO) test -tags soak -timeout 10m -count=1 -v -run '^TestSoakSlowClients$$' $(PKGS)

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf bin .run tools/bin $(ARTIFACTS)/node_modules
