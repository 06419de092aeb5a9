#!/bin/sh
# usage: scripts/demo.sh [BUILD-FOLDER]
#
# Installs what is missing, builds Stasis, and shows what it is for, a sentence before each step.
set -eu
cd "$(dirname "$0")/.."

build=${1:-build}
. scripts/show.sh
scripts/install-deps.sh demo
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

echo "Building Stasis in $build/ ..."
{ cmake -S . -B "$build" && cmake --build "$build" --target stasis -j "$(nproc)"; } >"$folder/build.log" 2>&1 || {
	cat "$folder/build.log"
	exit 1
}
PATH=$(cd "$build" && pwd):$PATH
cd "$folder"

bold='' plain=''
if [ -t 1 ]; then
	bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi

# say SENTENCE...: what is shown next; a line each.
say() {
	echo
	printf "$bold%s$plain\n" "$@"
}

# The program itself says best what is wrong with /dev/kvm, and what to do.
stasis host >host.txt || exit

say "1. A virtual machine that counts.  After its number 9 it is frozen: all of its state, CPU, devices and memory," \
	"   goes into a file, and the process that ran it ends."
show "stasis run --guest counter --snapshot counter.snap --at checkpoint=9"
show "ls -sh counter.snap"
echo "(what the machine never touched of its 128 MiB takes no space on the disk)"

say "2. A new process makes a new machine from the file.  It goes on with the next number, as if nothing had been." \
	"   (It would count for ever; the demo ends it after eight numbers.)"
show_lines 8 "stasis restore counter.snap"

say "3. What is in such a file?  Here of a guest that has put a pattern into every register that it can reach:" \
	"   some of its MSRs with their 64-bit ONE_REG ids, values, and the bits that have a name."
show "stasis run --guest regs --snapshot regs.snap --at checkpoint=1"
show "stasis inspect regs.snap msr | grep -E 'STAR|FMASK|GS_BASE|SYSENTER|IA32_PAT'"
show "stasis inspect regs.snap efer"

say "4. Two snapshots of the counter, one number apart (it keeps the number in EDI).  What differs is told by name;" \
	"   what may differ, because time went by, comes last with the reason."
show "stasis run --guest counter --snapshot later.snap --at checkpoint=10 >/dev/null"
show "stasis compare counter.snap later.snap" || [ $? -eq 1 ]

say "5. The proof, in one command: run a guest, take a snapshot in the middle, restore it into a second machine, read" \
	"   everything back and compare it by name, then let both machines go on and compare what they print." \
	"   First the guest that verifies its own registers, in 64-bit long mode:"
show "stasis roundtrip --guest regs"
say "   And the counter, in 16-bit real mode:"
show "stasis roundtrip --guest counter --until 1s"

say "That was Stasis.  stasis --help tells its commands; README.md where to go on; make check runs its tests."
