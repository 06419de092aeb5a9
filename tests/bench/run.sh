#!/bin/sh
# usage: tests/bench/run.sh BUILD-FOLDER STATIC-BUILD-FOLDER [ROUNDS [EXPERIMENT]...]
#
# Runs the experiments of tests/bench/experiments and prints the machine and the table, for docs/PERFORMANCE.md.
# The files are made anew, in a folder that is removed afterwards.  With the rights for it, the measured programs run
# ahead of all others (SCHED_FIFO), so that a busy machine disturbs them less.
set -eu
cd "$(dirname "$0")/../.."

build=$(realpath "$1") static=$(realpath "$2") rounds=${3:-101}
[ $# -lt 3 ] && shift $# || shift 3
experiments=$PWD/tests/bench/experiments
pause=$PWD/tests/bench/pause.sh work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

for file in bench floor regs start rewind save clones guest.bin io.bin touch-8.bin touch-1000.bin bios.bin; do
	ln -s "$static/tests/bench/$file" "$file"
done
cp "$pause" pause.sh
cp "$static/stasis" stasis
strip stasis
cp "$build/stasis" stasis-dynamic
strip stasis-dynamic

# make COMMAND...: runs it, and says what it says where it fails.
make() {
	"$@" >output 2>&1 </dev/null || { cat output >&2; exit 1; }
}

./floor save state
for size in 128M 8G; do
	truncate -s $size ram-$size
	make ./stasis run --real --mem $size --snapshot snapshot-$size --at checkpoint guest.bin
done
# Chains of four, whose differences have few pages, or many that are apart.
for pages in 8 1000; do
	make ./stasis run --long --snapshot pages-$pages.1 --at checkpoint touch-$pages.bin
	for i in 2 3 4; do
		make ./stasis restore pages-$pages.$((i - 1)) --incremental --snapshot pages-$pages.$i --at checkpoint
	done
	make ./stasis flatten pages-$pages.4 pages-$pages.flat
done

# QEMU has no way to say when: it is saved after a second in which the guest prints, and then ends.
qemu="qemu-system-x86_64 -machine microvm,accel=kvm,x-option-roms=off,rtc=off -bios bios.bin -nodefaults"
qemu="$qemu -no-user-config -display none -device isa-debug-exit,iobase=0xf4,iosize=4"
if command -v qemu-system-x86_64 >/dev/null; then
	for size in 128M 8G; do
		{
			sleep 1
			echo "migrate \"exec:cat >qemu-$size\""
			sleep 2
			echo quit
		} | $qemu -m $size -serial null -monitor stdio >output 2>&1
		[ -s qemu-$size ] || { cat output >&2; exit 1; }
	done
fi
sed "s|@QEMU@|$qemu|" "$experiments" >table

# What the build and the files above left to be written would be written meanwhile.
sync
first=
chrt -f 1 true 2>/dev/null && first='chrt -f 1'
echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs, $(uname -sr)" \
	"$(command -v qemu-system-x86_64 >/dev/null && qemu-system-x86_64 --version | sed -n 's/^\(QEMU\) emulator \(version [0-9.]*\).*/(\1 \2)/p')," \
	"load $(cut -d' ' -f1 /proc/loadavg), $rounds rounds:"
echo
$first ./bench table "$rounds" "$@"
