# `make help` lists the targets. Two are all that a newcomer needs: dev and test.

GO      ?= go
SUDO    ?= $(shell [ "$$(id -u)" = 0 ] || echo sudo)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)
LINT     = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/diaphone
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/diaphone ./cmd/diaphone

.PHONY: dev
dev: build ## build and run the gateway with simulated phones on 127.0.0.1:6001-6003
	./bin/diaphone dev $(ARGS)

.PHONY: test
test: deps lint ## run all tests, installing what they need first
	$(GO) test -race -timeout 10m ./...

.PHONY: conformance
conformance: deps ## run the acceptance list of Pusher Channels and write docs/conformance.md
	$(GO) test -race -count 1 -timeout 5m ./test/conformance -rewrite

.PHONY: deps
deps: test/node_modules/.package-lock.json clients/js/node_modules/.package-lock.json ## install what the tests need: a C compiler for the race detector, Chromium, npm packages
	@command -v cc >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends gcc libc6-dev; }
	@command -v "$${CHROMIUM:-chromium}" >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends chromium; }

%/node_modules/.package-lock.json: %/package-lock.json
	npm ci --prefix $* --no-audit --no-fund --ignore-scripts

.PHONY: e2e-webpush
e2e-webpush: ## send to a real, headless Firefox, installing it first (90 MB)
	@command -v firefox-esr >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends firefox-esr; }
	$(GO) test -v -count 1 -tags firefox -timeout 5m ./test/webpush

.PHONY: torture
torture: ## kill gateways, fill their disks and fail their providers under load, and audit what came of it (4 minutes, Linux; ARGS=-seed=N repeats the draws)
	@command -v strace >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends strace; }
	$(GO) test -v -count 1 -timeout 30m ./test/torture -whole $(ARGS)

.PHONY: clock
clock: ## set the clock of a running gateway by an hour; builds a Go whose clock can be set (minutes, the first time)
	$(GO) test -v -count 1 -tags clock -timeout 20m ./test/clock

.PHONY: lint
lint: bin/golangci-lint ## gofmt, go vet and golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -d $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	bin/golangci-lint run

bin/golangci-lint: Makefile
	GOBIN=$(CURDIR)/bin $(GO) install $(LINT)
	@touch $@

.PHONY: bench
bench: build ## print the speed tables (a quarter of an hour)
	$(GO) test -run '^$$' -bench . -benchtime 1x -count 1 -timeout 30m ./test/bench

.PHONY: bench-asleep
bench-asleep: ## print the speed table of the asleep side (ARGS=-devices=100000: a smaller large store)
	$(GO) test -run '^$$' -bench Asleep -benchtime 1x -count 1 -timeout 30m ./test/bench $(ARGS)

.PHONY: bench-sockets
bench-sockets: ## print the speed table of the live side (gateway on core 0, load on core 1)
	$(GO) test -run '^$$' -bench Sockets -benchtime 1x -count 1 -timeout 30m ./test/bench $(ARGS)

.PHONY: clean
clean: ## remove what was built and installed here
	rm -rf bin test/node_modules clients/js/node_modules
