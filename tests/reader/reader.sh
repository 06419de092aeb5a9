#!/bin/sh
# usage: reader.sh STASIS
#
# Takes snapshots, as file and as stream, with one vCPU and several, with each controller, and reads them with
# read_snapshot.py: it must find them good, with the registers that stasis inspect shows, and a changed byte anywhere bad.
set -eu

stasis=$(realpath "$1")
reader=$(realpath "$(dirname "$0")")/read_snapshot.py
if ! command -v python3 >/dev/null; then
	echo "SKIPPED: python3 is not installed"
	exit 77
fi
why=$("$stasis" host 2>&1 >/dev/null) || case $? in
69 | 77) # EX_UNAVAILABLE, EX_NOPERM
	echo "SKIPPED: $why"
	exit 77
	;;
*)
	echo "FAILED: stasis host: $why"
	exit 1
	;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
failures=0

fail() {
	echo "FAILED: $*"
	failures=$((failures + 1))
}

# check FILE: is it good, and are its registers those that inspect shows?
check() {
	if ! python3 "$reader" "$1" >listed 2>&1; then
		fail "$1: $(tail -n 1 listed)"
		return
	fi
	sed -n 's/^registers \([0-9]*\) \([a-z]*\) \(0x[0-9a-f]*\) = /vcpu\1 \2 \3 = /p' listed >found
	# where component NAME (number) ID = value  [bits]
	"$stasis" inspect "$1" registers |
		sed 's/^\([a-z0-9]* [a-z]*\) .* \(0x[0-9a-f]\{16\} = 0x[0-9a-f]*\).*/\1 \2/' >expected
	[ -s expected ] || fail "$1: inspect shows no registers"
	diff expected found >difference || fail "$1: other registers than inspect's: $(head -n 3 difference)"
}

# damage FILE OFFSET WHAT: with the lowest bit of that byte changed, the reader must refuse the file.
damage() {
	cp --sparse=always "$1" damaged
	byte=$(od -An -tu1 -j "$2" -N 1 damaged)
	# shellcheck disable=SC2059 # the byte is made by the format
	printf "\\$(printf %03o $((byte ^ 1)))" | dd of=damaged bs=1 seek="$2" conv=notrunc status=none
	! python3 "$reader" damaged >listed 2>&1 || fail "$1: $3, offset $2: a changed bit was not found"
}

take() {
	file=$1
	shift
	timeout 60 "$stasis" run --mem 8M --snapshot "$file" --at checkpoint=1 "$@" >console 2>messages ||
		fail "no snapshot: $(cat messages)"
}

take regs --guest regs
take smp --guest smp --cpus 4
take split --guest smp --cpus 2 --irqchip split
take none --guest regs --irqchip none
timeout 60 "$stasis" run --mem 8M --guest regs --snapshot - --at checkpoint=1 >stream 2>messages
# Incremental, and of a guest that runs on: RAM is placed before the state is known.
timeout 60 "$stasis" restore regs --snapshot child --incremental --at exits=50 >console 2>messages ||
	fail "no incremental snapshot: $(cat messages)"
timeout 60 "$stasis" run --mem 8M --guest memory --append 'rounds=60 delay=10' --snapshot live --at after=50ms --continue \
	>console 2>messages || [ $? -eq 1 ] || fail "no snapshot of a running guest: $(cat messages)"
for snapshot in regs smp split none stream child live; do
	check $snapshot
done

for at in 48 $(python3 "$reader" child | sed -n 's/^section \(parent\|ram-pages\) 0: .* at //p'); do
	damage child "$at" "what names the parent"
done
damage child $(($(stat -c %s child) - 1)) "a page of the parent's"
damage live $((64 * 1024)) "the bytes between state and RAM"
for at in 0 8 40 291 295; do
	damage regs $at "the header"
done
damage stream 40 "the header"
damage regs 300 "the section table"
python3 "$reader" regs | sed -n 's/^section \(.*\): [0-9]* bytes at \([0-9]*\)$/\2 \1/p' >sections
[ "$(wc -l <sections)" -ge 20 ] || fail "$(wc -l <sections) sections, expected 20 or more"
while read -r at section; do
	damage regs "$at" "section $section"
done <sections
size=$(stat -c %s regs)
damage regs $((size - 8 * 1024 * 1024 + 0x100000)) "RAM of the guest's code"
damage regs $((size - 1)) "RAM that was zero"
damage stream $(($(stat -c %s stream) - 17)) "the last page of a stream"
head -c $((size - 4096)) regs >damaged
! python3 "$reader" damaged >listed 2>&1 || fail "a truncated file was not found"
head -c $(($(stat -c %s stream) - 16)) stream >damaged
! python3 "$reader" damaged >listed 2>&1 || fail "a stream without its end was not found"
{ cat stream; echo; } >damaged
! python3 "$reader" damaged >listed 2>&1 || fail "bytes behind a stream's end in a file were not found"

[ $failures -gt 0 ] || echo "$(wc -l <sections) sections and their registers alike, every changed bit found"
exit $((failures > 0))
