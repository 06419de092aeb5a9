# A front for CMake: what a newcomer and the continuous integration type.
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
MAKEFLAGS += --no-print-directory

.PHONY: all demo check check-hosts pingpong install clean format lint asan tsan coverage valgrind fuzz bench build-lab migrate-lab bench-migrate
.PHONY: session

all:
	@command -v cmake >/dev/null || { echo "cmake is missing; scripts/install-deps.sh installs what is needed"; exit 1; }
	cmake -S . -B $(BUILD)
	cmake --build $(BUILD) -j $(JOBS)

# Installs what is missing, builds, and shows what Stasis is for.
demo:
	@scripts/demo.sh $(BUILD)

# Installs what is missing, builds with gcc and clang, and runs every test.
check:
	@scripts/check.sh

# The static binary's tests on emulated hosts with other kernels and CPUs (docs/HOSTS.md).
check-hosts:
	tests/hosts/run-tests

# Moves a guest that verifies its memory to and fro between processes, so often.
MOVES ?= 1000
CPUS ?= 4
WAY ?= pre-copy
pingpong: all
	scripts/pingpong.sh $(MOVES) $(CPUS) $(BUILD)/stasis $(WAY)

install: all
	DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf build build-*

# Formats the sources; the continuous integration runs scripts/format.sh, which only looks.
format:
	scripts/format.sh --fix

lint:
	scripts/lint.sh

asan:
	scripts/sanitize.sh address,undefined

tsan:
	scripts/sanitize.sh thread

coverage:
	scripts/coverage.sh

valgrind:
	scripts/valgrind.sh

# Fuzzes each target for so many seconds (docs/SECURITY.md).
SECONDS ?= 60
fuzz:
	scripts/fuzz.sh $(SECONDS)

# Measures against the floor and QEMU, and writes the table into docs/PERFORMANCE.md.
ROUNDS ?= 101
bench: all
	@scripts/install-deps.sh bench
	cmake -S . -B build-bench -DSTASIS_STATIC=ON
	cmake --build build-bench -j $(JOBS)
	tests/bench/run.sh $(BUILD) build-bench $(ROUNDS) >build-bench/table.md
	@scripts/doc-block.sh write docs/PERFORMANCE.md "generated: measurements" <build-bench/table.md
	@cat build-bench/table.md

build-lab:
	@scripts/install-deps.sh lab
	cmake -S . -B build-bench -DSTASIS_STATIC=ON
	cmake --build build-bench -j $(JOBS)

# Moves a guest between two processes under conditions of your choice, beside QEMU: make migrate-lab LAB='--rate 5000 --latency
# 0.01'; LAB=--help says what there is.  The picture is build-bench/migrate-lab.svg.
LAB ?=
migrate-lab: build-lab
	python3 tests/bench/lab --build build-bench --plot build-bench/migrate-lab.svg $(LAB)

# The ready experiment, into docs/MIGRATION.md and docs/migration.svg.
TURNS ?= 5
bench-migrate: build-lab
	python3 tests/bench/lab --build build-bench --compare --turns $(TURNS) --plot docs/migration.svg >build-bench/migration.md
	@scripts/doc-block.sh write docs/MIGRATION.md "generated: comparison" <build-bench/migration.md
	@cat build-bench/migration.md

# Writes README.md's session and the generated parts of docs/ again.
session: all
	scripts/record-session.sh $(BUILD)
