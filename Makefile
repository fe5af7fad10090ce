# docker-watcher. `make` alone lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFLAGS_BUILD := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
export CGO_ENABLED ?= 0

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:[^#]*## /\t/' | expand -t 16

web: ## build the page into web/dist (needs Node.js)
	@scripts/web

build: ## build bin/server and bin/docker-watcher, with the page where Node.js is there
	@scripts/web --if-can
	go build $(GOFLAGS_BUILD) -o bin/ ./cmd/server ./cmd/docker-watcher

run: build ## do all set-up and start the service (data in ./data)
	@scripts/run

demo: build ## run the main job by itself on a private engine, and say what it does
	@scripts/engine run -- go run ./demo

test: ## run every test; installs what it needs, leaves nothing running
	scripts/test

fuzz: ## fuzz every target for FUZZTIME (10s), and show what fails and how to try it again
	@scripts/fuzz

test-engines: ## run the contract suite on Docker 26.1 and 29 as well (slow; installs them apart)
	scripts/test-engines

check: ## format, vet and lint
	@fmt=$$(go tool -modfile=tools/go.mod gofumpt -l $$(git ls-files '*.go')); \
	  if [ -n "$$fmt" ]; then echo "not formatted (run make fmt):"; echo "$$fmt"; exit 1; fi
	go vet ./...
	go vet -tags bench,failpoint,pictures,soak,traefik ./...
	for module in peers traefik; do go vet -C tools/$$module ./... || exit 1; done
	go tool -modfile=tools/go.mod golangci-lint run ./...

fmt: ## format the Go files
	go tool -modfile=tools/go.mod gofumpt -w $$(git ls-files '*.go')

web-check: ## check the types of the page, run its unit tests, and see that its API types are those of docs/openapi.json
	scripts/web-check

pictures: ## take the pictures of docs/images anew
	scripts/pictures

dist: ## build what is released into dist/: archives and Debian packages for amd64 and arm64, checksums, lists of parts
	@scripts/dist

dist-check: ## start what dist/ holds, arm64 under qemu; build it again elsewhere and compare; install and purge the package in a copy of this machine (root)
	@scripts/dist check

image: ## build the image docker-watcher:latest from dist/, by the engine at DOCKER_HOST
	@scripts/dist image

bench: ## measure against the floors and budgets; prints ratios
	scripts/bench

soak: ## run the daemon under load and faults for SOAK (30m), and see that nothing grows, is lost or removed
	go test -tags bench,soak ./bench/ -run TestSoak -count=1 -v -timeout 0

traefik-check: ## have a whole Traefik answer by the driver's tables (builds one first, which takes minutes)
	scripts/traefik run -- go test -tags traefik ./internal/traefik -run 'WholeTraefik|AChangeFails' -count=1 -v

golden: ## write the contract files anew (OpenAPI document, life cycle, help texts, figures)
	go test ./internal/store ./internal/stale ./internal/api ./cmd/docker-watcher -run 'Golden|Drift|Document|Lifecycle|Help|Figures|WebhookSchema' -update
	go test ./cmd/server -run TestHelpGolden -update

.PHONY: help web web-check build run demo test fuzz test-engines check fmt pictures dist dist-check image bench soak traefik-check golden
