# Two commands do everything on a fresh machine: make demo, make test.
# What is built (the C library, ports, test programs) goes to $HALITE_CACHE
# (default ~/.cache/halite), keyed by content; the tree only gets bin/.

SHELL := /bin/bash
GO ?= go
HALITE := bin/halite
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Packages whose tests are worth running again under the race detector,
# which also links runtime/cgo and so exercises the engine's second layout.
RACE := ./internal/cage/... ./internal/engine/... ./internal/safemem/... ./runtime/... ./libcshim/... ./imc/... ./loader/... ./ld/... .
FUZZTIME ?= 10s

.PHONY: bench-calls bench-ld bench-gc all build setup sysroot demo python python-tests test check unit race e2e fuzz fuzz-short soak bench bench-python clean

all: build

setup:
	@scripts/setup

# Go decides what is stale, so the binary is always asked for. Without cgo all of
# its threads are Go's, which run --outer wants.
build:
	@CGO_ENABLED=0 $(GO) build -o $(HALITE) ./cmd/halite

sysroot: setup build
	@$(HALITE) sysroot

demo: sysroot
	@examples/lua/run

# CPython 3.11 and the libraries of its extension modules, for the sandbox
python: sysroot
	@$(HALITE) port python

# CPython's own test suite in the sandbox and natively, compared: half an hour on two cores
python-tests: python
	$(GO) run ./toolchain-tests/cpython -halite $(HALITE)

test: check unit race e2e fuzz-short
	@echo "make test: all green"

# vet and static analysis, of both modules
check: setup
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	cd bench && $(GO) vet ./...
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }

# everything but the end-to-end tests of built C programs
unit: sysroot
	$(GO) test -timeout 20m $$($(GO) list ./... | grep -v /toolchain-tests)

race: sysroot
	$(GO) test -race -short -timeout 20m $(RACE)

# C programs, Lua and CPython: cross-built, validated, run, compared with native builds
e2e: sysroot
	$(GO) test -timeout 40m ./toolchain-tests/...

# every fuzz target for a short while
fuzz-short: setup
	@scripts/fuzz $(FUZZTIME)

# every fuzz target for long; FUZZTIME=1h make fuzz
fuzz: setup
	@scripts/fuzz $(if $(filter 10s,$(FUZZTIME)),10m,$(FUZZTIME))

# many domains with all that can happen to them at once, a long storm of faults, signals
# and preemptions on the engine, all that the validator accepts on the CPU, random
# operations and load on IMC, each for an hour; HALITE_SOAK=2m make soak
soak: sysroot
	HALITE_SOAK=$${HALITE_SOAK:-1h} $(GO) test -timeout 0 -run 'TestSoak$$' -v .
	HALITE_SOAK=$${HALITE_SOAK:-1h} $(GO) test -timeout 0 -run 'Test(Classic)?Storm' -v ./internal/engine
	HALITE_ORACLE=$${HALITE_SOAK:-1h} $(GO) test -timeout 0 -v ./internal/oracle
	HALITE_SOAK=$${HALITE_SOAK:-1h} $(GO) test -timeout 0 -run 'TestModel|TestLoad' -v ./imc

bench: sysroot
	cd bench && $(GO) run ./cmd/kernels

bench-python: python
	cd bench && $(GO) run ./cmd/python

# what a call costs, against cgo, WebAssembly and a process
bench-calls: sysroot
	cd bench && CGO_ENABLED=0 $(GO) run ./cmd/calls -domains 1000

# the dynamic linker, against glibc's and musl's
bench-ld: sysroot
	cd bench && CGO_ENABLED=0 $(GO) run ./cmd/ld

# who waits for guests: the collector and timers
bench-gc: sysroot
	cd bench && CGO_ENABLED=0 $(GO) run ./cmd/gc

clean:
	rm -rf bin
