# Needs Go, git and make; every other tool is built from here, at the version
# pinned below. Targets may run in parallel (make -j).

GO ?= go

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GORELEASER  := github.com/goreleaser/goreleaser/v2@v2.16.0
PROMTOOL    := github.com/prometheus/prometheus/cmd/promtool@v0.316.0

# How long "make fuzz" spends on each target, what "make bench" runs, and how
# much of each load "make soak" runs, in percent.
FUZZTIME ?= 20s
BENCH    ?= ^Benchmark(Request|Bare)$$
SOAK     ?= 100
# The tests of make kube.
KUBE     ?= .
# Arguments of the demonstration: make run ARGS="-h".
ARGS     ?=

# The plugin runs on Go's WASI port. Nothing of the place or the time of the
# build is in it: the same sources and version give the same bytes.
WASM       := GOOS=wasip1 GOARCH=wasm
# VERSION is what the plugin says that it is, in its log and in orgate_build.
VERSION    ?= dev
BUILDFLAGS := -trimpath -buildvcs=false -ldflags="-s -w -X orgate/filter.version=$(VERSION)"
BUILD_WASM := $(WASM) $(GO) build -buildmode=c-shared $(BUILDFLAGS)

# What is linked into the plugin, and the plugins that tests run.
PLUGIN = $(shell $(WASM) $(GO) list -deps -f '{{with .Module}}{{if .Main}}{{$$.ImportPath}}{{end}}{{end}}' .)
GUESTS = $(addprefix ./,$(sort $(dir $(shell git ls-files -co --exclude-standard '*/testdata/*/main.go'))))

# The race detector needs cgo and a C compiler. "make test" switches off the second
# that it has every process wait at its end: tests start many.
RACE = $(shell test "$$($(GO) env CGO_ENABLED)" = 1 && command -v $$($(GO) env CC | cut -d' ' -f1) >/dev/null && echo -race)

TOOLS := $(CURDIR)/build/tools

.PHONY: help
help: ## List the targets (the default).
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST)

.PHONY: build
build: build/orgate.wasm build/orgate ## Build the plugin and the command, in build/.

.PHONY: controller
controller: build/controller ## Build the controller for Kubernetes, in build/ (for an image: GOOS=linux).

# Go knows best what is up to date.
.PHONY: force
build/orgate.wasm: force
	$(BUILD_WASM) -o $@ .
build/orgate: force
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags="-s -w -X main.release=$$(git describe --tags --always --dirty)" -o $@ ./cmd/orgate
build/controller: force
	cd controller && CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags="-s -w" -o ../$@ .

# Neither the command nor the tests are built: a cold machine has enough to do
# with Go's standard library, twice.
.PHONY: run
run: ## Show the plugin at work, without a proxy (ARGS="...").
	@echo "1/3 building the plugin for WebAssembly (minutes, if Go has never done so here)"
	@$(BUILD_WASM) -o build/orgate.wasm .
	@echo "2/3 building the demonstration"
	@$(GO) build -o build/demo ./e2e/demo
	@echo "3/3 running it: the plugin is compiled to this machine's code first (seconds)"
	@build/demo $(ARGS)

# How long it took is told at the end, and before the next run.
.PHONY: test
test: build/orgate.wasm ## Run all tests, through the built plugin too.
	@test -n "$(RACE)" || echo "no C compiler: testing without the race detector"
	@echo "testing everything: $$(cat build/test-took 2>/dev/null || echo 'many minutes; make test-quick takes less than one')"
	@begun=$$(date +%s) && GORACE="atexit_sleep_ms=0 $$GORACE" $(GO) test $(RACE) -timeout 30m ./... && \
		(cd e2e/peers && $(GO) test -timeout 30m ./...) && (cd controller && $(GO) test ./...) ; status=$$? ; \
		took=$$(( $$(date +%s) - begun )) && echo "took $$(( took / 60 )) min $$(( took % 60 )) s" && \
		echo "the last time it took $$(( took / 60 )) min $$(( took % 60 )) s here" > build/test-took && exit $$status

# What decides, natively, and what the command's packages do with it: no plugin
# is built.
QUICK := ./config/... ./jwt ./jwks ./policy ./gate ./filter ./internal/... ./admin/... ./cmd/orgate/internal/...
.PHONY: test-quick
test-quick: ## Run what most changes need, in under a minute once Go's caches are warm.
	$(GO) test -timeout 5m $(QUICK)

.PHONY: test-alerts
test-alerts: $(TOOLS)/$(notdir $(PROMTOOL))/promtool ## Run the tests of the alerts, with Prometheus' own tool (which takes minutes to build, once).
	cd deploy/metrics && $< check rules rules.yaml && $< test rules rules_test.yaml

.PHONY: kube
kube: ## Test on real control planes: a quarter of an hour on two cores, four minutes again (KUBE="regular expression").
	cd e2e/kube && $(GO) vet ./... && $(GO) mod tidy -diff && $(GO) test -count=1 -timeout 3h -v -run '$(KUBE)' ./...

.PHONY: check
check: check-format check-vet check-static check-generated check-modules check-plugin check-reproducible check-workflows ## Check everything that is not a test.

.PHONY: check-format
check-format:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' | while read -r f; do test ! -e "$$f" || echo "$$f"; done)) && \
		test -z "$$unformatted" || { echo "gofmt these:"; echo "$$unformatted"; exit 1; }

.PHONY: check-vet
check-vet:
	$(GO) vet ./...
	$(WASM) $(GO) vet $(PLUGIN) $(GUESTS)
	cd abi && $(GO) vet ./...
	cd e2e/peers && $(GO) vet ./...
	cd abi && $(WASM) $(GO) vet ./...
	cd controller && $(GO) vet ./...

.PHONY: check-static
check-static: $(TOOLS)/$(notdir $(STATICCHECK))/staticcheck
	$< ./...
	$(WASM) $< -tests=false $(PLUGIN) $(GUESTS)
	cd e2e/peers && $< ./...
	cd abi && $(WASM) $< -checks=inherit,-U1000 ./... # a callback's caller is the proxy
	cd controller && $< ./...

.PHONY: check-modules
check-modules:
	$(GO) mod tidy -diff
	$(GO) mod verify
	cd abi && $(GO) mod tidy -diff
	cd abi && $(GO) mod verify
	@# "go mod verify" takes no module whose path is not a host's, such as ours, for a requirement.
	cd e2e/peers && $(GO) mod tidy -diff
	cd controller && $(GO) mod tidy -diff

.PHONY: check-plugin
check-plugin: build/orgate.wasm
	$(GO) run ./host/wasmfile $<

.PHONY: check-workflows
check-workflows: $(TOOLS)/$(notdir $(ACTIONLINT))/actionlint
	$< .github/workflows/*.yml

.PHONY: snapshot
snapshot: $(TOOLS)/goreleaser-$(lastword $(subst @, ,$(GORELEASER)))/goreleaser ## Check the release's definition and build all of it, in dist/ (the tool takes minutes to build, once).
	$< check
	$< release --snapshot --clean --skip=sbom,sign

# Copies of the tree as it stands, changes and new files included. Neither the
# index nor the objects of the repository are touched, and "./..." leaves out
# folders with a "_".
COPIES   := build/_copies/generated build/_copies/elsewhere
COPY_GIT  = GIT_INDEX_FILE=$(CURDIR)/$(1).git/index GIT_OBJECT_DIRECTORY=$(CURDIR)/$(1).git/objects git
.PHONY: $(COPIES)
$(COPIES):
	@rm -rf $@ $@.git && mkdir -p $@ $@.git/objects
	@$(call COPY_GIT,$@) add -A && $(call COPY_GIT,$@) checkout-index -a --prefix=$@/

.PHONY: check-generated
check-generated: build/_copies/generated
	cd $< && $(GO) generate ./...
	@new=$$($(call COPY_GIT,$<) --work-tree=$< ls-files -o --exclude-standard) && echo $$new && \
		$(call COPY_GIT,$<) --work-tree=$< diff --exit-code && test -z "$$new" || \
		{ echo "generated files are out of date: make generate"; echo "$$new"; exit 1; }

.PHONY: check-reproducible
check-reproducible: build/orgate.wasm build/_copies/elsewhere
	cd build/_copies/elsewhere && $(BUILD_WASM) -o ../elsewhere.wasm .
	@test "$$(git hash-object build/orgate.wasm)" = "$$(git hash-object build/_copies/elsewhere.wasm)" || \
		{ echo "the plugin depends on where it is built"; exit 1; }

.PHONY: generate
generate: ## Write the generated files anew.
	$(GO) generate ./...

.PHONY: vuln
vuln: $(TOOLS)/$(notdir $(GOVULNCHECK))/govulncheck ## Look for known vulnerabilities in what is used (needs the network).
	$< ./...
	$(WASM) $< .

.PHONY: bench
bench: build/orgate.wasm ## Measure the plugin against a bare verification (BENCH="regular expression").
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 1h ./e2e

.PHONY: soak
soak: build/orgate.wasm ## Watch the memory of one VM under each load (SOAK=percent of its length).
	ORGATE_SOAK=$(SOAK) $(GO) test -run '^$$' -bench '^BenchmarkSoak$$' -benchtime 1x -timeout 8h ./e2e

.PHONY: fuzz
fuzz: ## Run every fuzz target for a while (FUZZTIME=20s).
	@for module in . controller; do \
		listed=$$($(GO) -C $$module test -list '^Fuzz' ./...) || { echo "$$listed"; exit 1; }; \
		echo "$$listed" | while read -r first second rest; do \
			case $$first in \
			Fuzz*) targets="$$targets $$first" ;; \
			ok) for target in $$targets; do \
					echo "$$second $$target"; \
					$(GO) -C $$module test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$second" </dev/null || exit 1; \
				done; targets= ;; \
			esac; \
		done || exit 1; \
	done

.PHONY: clean
clean: ## Remove what was built.
	rm -rf build dist

# Tools, each in a folder of its version's name.
$(TOOLS)/$(notdir $(STATICCHECK))/staticcheck:
	GOBIN=$(@D) $(GO) install $(STATICCHECK)
$(TOOLS)/$(notdir $(GOVULNCHECK))/govulncheck:
	GOBIN=$(@D) $(GO) install $(GOVULNCHECK)
$(TOOLS)/$(notdir $(ACTIONLINT))/actionlint:
	GOBIN=$(@D) $(GO) install $(ACTIONLINT)
$(TOOLS)/goreleaser-$(lastword $(subst @, ,$(GORELEASER)))/goreleaser:
	GOBIN=$(@D) $(GO) install $(GORELEASER)
$(TOOLS)/$(notdir $(PROMTOOL))/promtool:
	GOBIN=$(@D) $(GO) install $(PROMTOOL)
