# The commands of this project. `make` or `make help` lists them.
#
# The shipped libraries are built in target/lib and staged in target/stage, independent of CARGO_TARGET_DIR. Other
# cargo commands build the crate with an rlib and so without LTO; they never write to these folders.

CARGO ?= cargo
PYTHON ?= python3

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DESTDIR ?=

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# The name of the shared library has the version of the ABI, which equals the crate's major version.
ABI := $(firstword $(subst ., ,$(VERSION)))

LIB := $(CURDIR)/target/lib
STAGE := $(CURDIR)/target/stage
NAMED := $(LIB)/release/libcouchdrop.so
SHARED := $(LIB)/libcouchdrop.so
ARCHIVE := $(LIB)/libcouchdrop.a
LINKED := $(LIB)/native-static-libs
PROGRAM := $(CURDIR)/target/cli/program/couchdrop

TESTS := $(sort $(notdir $(wildcard scripts/test.d/*)))
PACKAGES := install sbom deb cargo-c cross wheel go
TORTURE := $(sort $(notdir $(wildcard scripts/torture.d/*)))

export CARGO PYTHON STAGE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# `make help` lists the targets with ##: first these, which users need.
FOR_USERS := demo|lib|program|install|uninstall|wheel|test|docs
LISTED = awk -F ':.*\#\# ' '/^[a-z-]+:.*\#\# / && $$1 $(1) /^($(FOR_USERS))$$/ { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

.PHONY: help
help:
	@echo 'libcouchdrop $(VERSION): log in to Couchdrop from any language'
	@echo
	@$(call LISTED,~)
	@echo
	@echo 'Settings of install: PREFIX=$(PREFIX) BINDIR=$(BINDIR) LIBDIR=$(LIBDIR) INCLUDEDIR=$(INCLUDEDIR) MANDIR=$(MANDIR) DESTDIR=$(DESTDIR)'
	@echo
	@echo 'For contributors:'
	@$(call LISTED,!~)
	@echo '  make test-STEP       Run one step of the tests: $(TESTS)'
	@echo '  make packages-STEP   Make one package: $(PACKAGES)'
	@echo '  make torture-STEP    Run one stress test: $(TORTURE)'

.PHONY: demo
demo: ## Log in from C, C++, Python and Go and show every refusal
	@scripts/setup demo
	@$(MAKE) --no-print-directory lib
	@scripts/demo

.PHONY: lib
lib: $(SHARED) $(ARCHIVE) $(LINKED) ## Build the libraries and stage them in target/stage
	@$(MAKE) --no-print-directory install PROGRAM= \
	  PREFIX='$(STAGE)' LIBDIR='$(STAGE)/lib' INCLUDEDIR='$(STAGE)/include' MANDIR='$(STAGE)/share/man' DESTDIR=
	@scripts/go-archive '$(ARCHIVE)' > /dev/null

# Cargo decides if there is anything to do. Shared and static library come from one build without the rlib: with an
# rlib, cargo silently drops LTO. The shared library keeps its symbols here, so that valgrind can name functions
# (tests/c/run.sh); the shipped library is stripped.
#
# The flags remove paths of this machine, so that a commit builds to the same bytes on every machine. If the sources of
# std are installed (rust-src), rustc uses their path instead of the path of std's build: the first flag maps it back.
.PHONY: FORCE
FORCE:

REMAP = rustc=$${RUSTC:-rustc}; \
	  std=$$($$rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$$($$rustc -vV | sed -n 's/^commit-hash: //p'); \
	  export RUSTFLAGS="$${RUSTFLAGS:-} --remap-path-prefix=$$std \
	    --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=/cargo --remap-path-prefix=$(CURDIR)=/libcouchdrop"

$(NAMED): FORCE
	@$(REMAP); CARGO_PROFILE_RELEASE_STRIP=debuginfo \
	    $(CARGO) rustc --release --lib --crate-type cdylib,staticlib --locked --target-dir '$(LIB)'

$(SHARED): $(NAMED)
	@strip -o '$@' '$<'

$(LIB)/release/libcouchdrop.a: $(NAMED) ;

# The libraries that a program with the archive must link too: those of std. They are read from an empty crate, since
# the compiler would print its note at every build.
$(LINKED): $(LIB)/release/libcouchdrop.a
	@$${RUSTC:-rustc} --crate-type staticlib --print native-static-libs='$@' -o '$@.a' - \
	  < /dev/null 2> '$@.log' || { cat '$@.log' >&2; exit 1; }
	@rm '$@.a' '$@.log'

$(ARCHIVE): $(LIB)/release/libcouchdrop.a scripts/prune-archive $(wildcard abi/exports.txt)
	@scripts/prune-archive $< '$(SHARED)' $@

.PHONY: program
program: $(PROGRAM) ## Build the program couchdrop, which `make install` installs too

# In a folder of its own: it builds the crate with an rlib.
$(PROGRAM): FORCE
	@$(REMAP); $(CARGO) build --profile program -p couchdrop-cli --locked --target-dir '$(CURDIR)/target/cli'

INSTALL = PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' INCLUDEDIR='$(INCLUDEDIR)' MANDIR='$(MANDIR)' DESTDIR='$(DESTDIR)' \
	  VERSION='$(VERSION)' ABI='$(ABI)' SHARED='$(SHARED)' ARCHIVE='$(ARCHIVE)' LINKED='$(LINKED)' scripts/install
INSTALL_PROGRAM = PREFIX='$(PREFIX)' BINDIR='$(BINDIR)' MANDIR='$(MANDIR)' DESTDIR='$(DESTDIR)' PROGRAM='$(PROGRAM)' \
	  scripts/install-program

# Does not depend on `lib`, so that `sudo make install` does not run a compiler as root.
.PHONY: install
install: ## Install the files of `make lib` and `make program` under PREFIX
	@test -e '$(ARCHIVE)' || { echo 'nothing to install yet: run `make lib` first' >&2; exit 1; }
	@$(INSTALL)
	@test ! -e '$(PROGRAM)' || $(INSTALL_PROGRAM)

.PHONY: uninstall
uninstall: ## Remove the files of `make install`
	@$(INSTALL) uninstall
	@$(INSTALL_PROGRAM) uninstall

.PHONY: wheel
wheel: ## Build a Python wheel for this machine in target/wheel, with the library and the program
	@scripts/setup wheel
	@$(MAKE) --no-print-directory lib program
	@scripts/wheel '$(STAGE)/lib/libcouchdrop.so.$(ABI)' '' target/wheel '$(PROGRAM)'

.PHONY: test
test: setup ## Run all tests and checks
	@scripts/test

test-%: setup
	@scripts/test $*

.PHONY: setup
setup: ## Install the missing tools for building and testing
	@scripts/setup test

.PHONY: fmt
fmt: ## Format all sources
	@git ls-files -z "*.rs" | xargs -0 rustfmt --edition 2024
	@gofmt -w $$(git ls-files '*.go')
	@clang-format -i $$(git ls-files '*.c' '*.cpp' '*.hpp')

.PHONY: header
header: ## Generate include/couchdrop.h from the Rust sources, and the files that follow from it
	@scripts/header

# The platforms of wheels and of the Go module.
export TRIPLES ?= $(foreach machine,x86_64 aarch64,$(machine)-unknown-linux-gnu $(machine)-unknown-linux-musl)

.PHONY: packages
packages: ## Make and check all packages, for all systems; takes half an hour and more tools
	@scripts/setup packages
	@scripts/setup cross
	@scripts/steps scripts/packages.d $(PACKAGES)

packages-%:
	@scripts/setup packages
	@scripts/setup cross
	@scripts/steps scripts/packages.d $*

.PHONY: sbom
sbom: packages-sbom ## List the crates in the library, as CycloneDX

.PHONY: go-release
go-release: lib ## Copy all built static libraries into the Go module, as in a release
	@scripts/go-release

.PHONY: fresh-machine
fresh-machine: ## Run demo and test in a new Debian: SUITE=bookworm or trixie; needs root and debootstrap
	@scripts/fresh-machine '$(SUITE)'

.PHONY: torture
torture: setup ## Run all stress tests, for hours
	@scripts/setup torture
	@scripts/steps scripts/torture.d $(TORTURE)

torture-%: setup
	@scripts/setup torture
	@scripts/steps scripts/torture.d $*

.PHONY: coverage mutants reproducible soak fuzz corpus
coverage: torture-coverage ## Measure which lines of src/ the tests reach
mutants: torture-mutants ## Put small faults into src/ that the tests must notice, for hours: MUTANTS_FILES for some files
reproducible: torture-reproducible ## Build twice in two folders and compare the bytes
soak: torture-soak ## Log in a million times while the server fails: SOAK_LOGINS for another number
fuzz: torture-fuzz ## Search for inputs that break the library: FUZZ_SECONDS for each target
corpus: export FUZZ_MERGE = 1
corpus: torture-fuzz ## Rebuild tests/corpus from all inputs that fuzzing has found here

.PHONY: bench
bench: setup ## Measure a login beside one written by hand: BENCH=cold,warm or all, BENCH_SHORT=1 for two rounds
	@scripts/setup bench
	@$(MAKE) --no-print-directory lib
	@$(PYTHON) benches/run.py

.PHONY: counts
counts: setup lib ## Update benches/counts.txt, the cost of a warm login, which `make test` checks
	@$(PYTHON) benches/counts.py --write

.PHONY: docs
docs: ## Build the guides and the reference as one site, target/docs/index.html
	@scripts/setup docs
	@$(MAKE) --no-print-directory lib
	@scripts/docs

.PHONY: clean
clean: ## Remove everything that was built
	@rm -rf target bindings/go/lib/*/libcouchdrop.a bindings/go/THIRD-PARTY
