# Ostiary, every day. "make" lists what there is; what each target does in detail is in the program that it runs.
.DEFAULT_GOAL := help
FUZZTIME ?= 10s
# scrypt is made to be slow, and is eight times slower with the race detector in it, in which it has nothing to find.
RACE = -race -gcflags=golang.org/x/crypto/scrypt=-race=false
# A program with the race detector in it waits for a second before it ends, for reports of other threads; tests start hundreds of them.
# 20 ms are for one that is being written.
export GORACE = atexit_sleep_ms=20
LINT = $(CURDIR)/bin/golangci-lint run --config $(CURDIR)/.golangci.yml

help: ## List the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1\t/' | expand -t 10

build: ## Build both programs into bin/, and for every other platform into bin/cross/, where the plugin's tests must compile, too
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...
	go run -C tools ./crossbuild

# End to end, results are never taken from the cache: it does not see the programs that those tests run. Those are built once, ahead of
# all; much of what the tests do is waiting, most of all in the package that comes first, so more of them run at a time than there are
# processors. "make lint" vets.
E2E = OSTIARY_E2E_RACE=1 OSTIARY_E2E_BUILT=1 go test -C e2e -race -vet=off -count=1 -timeout 60m -p 3 -parallel 6
E2E_PACKAGES = ./login ./...

test: programs ## Run every test of every module with the race detector, end to end included, but for "make k9s"
	go test $(RACE) -vet=off ./...
	go test -C tools -race -vet=off ./...
	$(E2E) $(E2E_PACKAGES)

long: programs ## Run the end-to-end tests with the counts of a release
	OSTIARY_E2E_LONG=1 $(E2E) $(E2E_PACKAGES)

programs: ## Build what the end-to-end tests run
	cd e2e && OSTIARY_E2E_RACE=1 go run ./cmd/programs

lint: ## Run the linters of .golangci.yml over every module
	go build -C tools -o ../bin/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	$(LINT)
	cd tools && $(LINT)
	cd e2e && $(LINT) --build-tags k9s

fmt: ## Format every module as the linters want it
	go build -C tools -o ../bin/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint fmt

gen: ## Rewrite everything that is generated: schema, configuration reference, go.mod files
	go run -C tools ./schema
	go mod tidy
	cd tools && go mod tidy
	cd e2e && go mod tidy

check: gen lint test ## Do everything that must hold before a push, and that the tree is clean after it
	git diff --exit-code

fuzz: ## Run every fuzz target for FUZZTIME (10s), one after the other
	go run -C tools ./fuzzall -time $(FUZZTIME) ..

e2e: programs ## Run the end-to-end tests alone
	$(E2E) -v $(E2E_PACKAGES)

diff: ## Compare the gate's decisions with kube-apiserver's on N generated requests of a SEED
	DIFF_N=$(or $(N),5000) DIFF_SEED=$(or $(SEED),1) go test -C e2e -count=1 -v -timeout 24h -run TestDifferential ./decisions

chaos: ## Revoke CHAOS_TRIALS (10000) times while replicas and etcd are stopped, killed and cut off, by a CHAOS_SEED
	CHAOS_TRIALS=$(or $(CHAOS_TRIALS),10000) CHAOS_SEED=$(CHAOS_SEED) go test -C e2e -count=1 -v -timeout 24h -run 'TestRevocationsHold|TestOneMemberLost' ./chaos

k9s: ## Build k9s from source, which takes long, and have it show pods through the gate
	go test -C e2e -tags k9s -count=1 -timeout 40m -v -run TestK9s ./login

bench: ## Measure Ostiary beside a plain reverse proxy, a full ledger beside an empty one (RECORDS), and parts beside Kubernetes' own
	cd e2e && go run ./cmd/bench $(if $(RECORDS),-records $(RECORDS))
	go test -run '^$$' -bench 'FirstSight|Review|Mirror' ./internal/authn ./internal/tokenreview ./internal/ledger

demo: ## Show it at work on a real API server, then stay up until Ctrl-C; DEMO=once ends by itself
	cd e2e && go run ./cmd/demo $(if $(DEMO),-$(DEMO))

vuln: ## Look for known vulnerabilities in what the programs call; needs the online database
	go build -C tools -o ../bin/ golang.org/x/vuln/cmd/govulncheck
	bin/govulncheck ./cmd/...

release: check long k9s build ## Do all checks, then write the checksums of the programs in bin/cross/
	cd bin/cross && sha256sum *ostiary-* > SHA256SUMS

.PHONY: help build test long programs lint fmt gen check fuzz e2e diff chaos k9s bench demo vuln release
