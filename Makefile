# The commands of this project. `make` or `make help` lists them.
#
# What ships is built in target/lib and staged in target/stage, wherever CARGO_TARGET_DIR points: other
# cargo commands, which build the crate beside an rlib and so without LTO, never touch it.

CARGO ?= cargo
PYTHON ?= python3

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DESTDIR ?=

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# The shared library carries the version of its ABI, which the crate's major version is kept equal to.
ABI := $(firstword $(subst ., ,$(VERSION)))

LIB := $(CURDIR)/target/lib
STAGE := $(CURDIR)/target/stage
NAMED := $(LIB)/release/libcouchdrop.so
SHARED := $(LIB)/libcouchdrop.so
ARCHIVE := $(LIB)/libcouchdrop.a
LINKED := $(LIB)/native-static-libs

export CARGO PYTHON STAGE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@echo 'libcouchdrop $(VERSION): log in to Couchdrop from any language'
	@echo
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS='	' read -r name what; do printf '  make %-14s %s\n' "$$name" "$$what"; done
	@echo
	@echo '  make test-STEP      Run one step of the tests: $(sort $(notdir $(wildcard scripts/test.d/*)))'
	@echo
	@echo 'Settings for install: PREFIX=$(PREFIX) LIBDIR=$(LIBDIR) INCLUDEDIR=$(INCLUDEDIR) MANDIR=$(MANDIR) DESTDIR=$(DESTDIR)'

.PHONY: setup
setup: ## Install what building and testing need and this machine lacks
	@scripts/setup test

.PHONY: demo
demo: ## Log in from C, C++, Python and Go and show every refusal
	@scripts/setup demo
	@$(MAKE) --no-print-directory lib
	@scripts/demo

.PHONY: test
test: setup ## Run everything that must hold
	@scripts/test

.PHONY: test-%
test-%: setup
	@scripts/test $*

.PHONY: packages
packages: ## Make and check what is published, for all systems; takes half an hour and tools of its own
	@scripts/setup packages
	@scripts/setup cross
	@scripts/packages

packages-%:
	@scripts/setup packages
	@scripts/setup cross
	@scripts/packages $*

.PHONY: sbom
sbom: packages-sbom ## List the crates in the library, as CycloneDX

.PHONY: torture
torture: setup ## Try what may break it, for hours: figures go to docs/reliability.md; torture-STEP for one of scripts/torture.d
	@scripts/setup torture
	@scripts/torture

torture-%: setup
	@scripts/setup torture
	@scripts/torture $*

.PHONY: coverage mutants reproducible soak
coverage: torture-coverage ## Measure which lines of src/ the tests reach
mutants: torture-mutants ## Break src/login and src/wire in small ways and see the tests notice, for hours: MUTANTS_FILES for some
reproducible: torture-reproducible ## Build twice in two folders and compare the bytes
soak: torture-soak ## Log in a million times while the server fails: SOAK_LOGINS for another number

.PHONY: fuzz
fuzz: setup ## Look for inputs that break it: FUZZ_SECONDS=60 for each target
	@scripts/fuzz

.PHONY: corpus
corpus: setup ## Make tests/corpus anew of all that fuzzing has found here
	@FUZZ_MERGE=1 scripts/fuzz

.PHONY: bench
bench: setup ## Measure a login beside what a user would write instead: BENCH=cold,warm or all, BENCH_LONG=1 for a million
	@scripts/setup bench
	@$(MAKE) --no-print-directory lib
	@$(PYTHON) benches/run.py

.PHONY: profile
profile: setup lib ## Say by function and by line where a warm login spends its instructions
	@$(PYTHON) benches/profile.py

.PHONY: counts
counts: setup lib ## Write benches/counts.txt anew: what a warm login costs, which `make test` checks
	@$(PYTHON) benches/counts.py --write

.PHONY: lib
lib: $(SHARED) $(ARCHIVE) $(LINKED) ## Build what ships and stage it in target/stage
	@$(MAKE) --no-print-directory install \
	  PREFIX='$(STAGE)' LIBDIR='$(STAGE)/lib' INCLUDEDIR='$(STAGE)/include' MANDIR='$(STAGE)/share/man' DESTDIR=
	@scripts/go-archive '$(ARCHIVE)' > /dev/null

# Cargo knows best whether there is anything to do. Shared and static library come from one build, without
# the rlib: beside that, cargo drops LTO without a word. No path of this machine stays in it. The shared library keeps
# its symbols here, so that valgrind can name functions (tests/c/run.sh); what ships has none.
.PHONY: FORCE
FORCE:

$(NAMED): FORCE
	@RUSTFLAGS="$${RUSTFLAGS:-} $$(scripts/remap)" CARGO_PROFILE_RELEASE_STRIP=debuginfo \
	  $(CARGO) rustc --release --lib --crate-type cdylib,staticlib --locked --target-dir '$(LIB)'

$(SHARED): $(NAMED)
	@strip -o '$@' '$<'

$(LIB)/release/libcouchdrop.a: $(NAMED) ;

# What a program that links the archive must link beside it: what std does, asked of an empty crate, since
# the compiler's note would come with every build.
$(LINKED): $(LIB)/release/libcouchdrop.a
	@$${RUSTC:-rustc} --crate-type staticlib --print native-static-libs='$@' -o '$@.a' - \
	  < /dev/null 2> '$@.log' || { cat '$@.log' >&2; exit 1; }
	@rm '$@.a' '$@.log'

$(ARCHIVE): $(LIB)/release/libcouchdrop.a scripts/prune-archive $(wildcard abi/exports.txt)
	@scripts/prune-archive $< '$(SHARED)' $@

.PHONY: go-release
go-release: lib ## Fill the Go module with all static libraries there are, as a release holds it
	@scripts/go-release

.PHONY: header
header: ## Generate include/couchdrop.h from the Rust sources
	@scripts/header

.PHONY: abi
abi: lib ## Write abi/libcouchdrop.abi anew after an addition to the ABI
	@scripts/abi abi/libcouchdrop.abi

# Not after `lib`: so that `sudo make install` runs no compiler as root.
.PHONY: install
install: ## Install under PREFIX what `make lib` built
	@test -e '$(ARCHIVE)' || { echo 'nothing to install yet: run `make lib` first' >&2; exit 1; }
	@PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' INCLUDEDIR='$(INCLUDEDIR)' MANDIR='$(MANDIR)' \
	  DESTDIR='$(DESTDIR)' VERSION='$(VERSION)' ABI='$(ABI)' \
	  scripts/install '$(SHARED)' '$(ARCHIVE)' '$(LINKED)'

.PHONY: uninstall
uninstall: ## Remove what `make install` put there
	@PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' INCLUDEDIR='$(INCLUDEDIR)' MANDIR='$(MANDIR)' \
	  DESTDIR='$(DESTDIR)' VERSION='$(VERSION)' ABI='$(ABI)' \
	  scripts/uninstall

.PHONY: docs
docs: ## Build reference and guides as one site, target/docs/index.html
	@scripts/setup docs
	@$(MAKE) --no-print-directory lib
	@scripts/docs

.PHONY: figures
figures: lib ## Write the figures in the documentation anew, from where they were measured or are set
	@scripts/with-stand-in $(PYTHON) tests/docs/run.py --figures

.PHONY: pictures
pictures: ## Draw docs/flow.svg and docs/demo.svg anew
	@$(PYTHON) docs/flow.py
	@$(MAKE) --no-print-directory demo | $(PYTHON) docs/demo.py

.PHONY: fmt
fmt: ## Format all sources
	@scripts/fmt

.PHONY: fresh-machine
fresh-machine: ## Try demo and test in a new Debian: SUITE=bookworm or trixie; needs root and debootstrap
	@scripts/fresh-machine '$(SUITE)'

.PHONY: clean
clean: ## Remove everything that was built
	@rm -rf target bindings/go/lib/*/libcouchdrop.a bindings/go/THIRD-PARTY
