#!/bin/sh
# usage: tests/bench/clones.sh STASIS [N]
#
# Restores N machines (default 64) of one snapshot, 128 MiB with the guest "memory" at its checkpoint, one after the other, lets
# each print a line and stops it; then tells what memory each takes (smaps_rollup) and how long one took to its first line.
set -eu
stasis=$1
nr=${2:-64}
work=$(mktemp -d)
pids=
end() {
	for pid in $pids; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	wait
	rm -rf "$work"
}
trap end EXIT
"$stasis" run --mem 128M --guest memory --snapshot "$work/snap" --at checkpoint >/dev/null 2>&1
i=0
while [ "$i" -lt "$nr" ]; do
	mkfifo "$work/out.$i"
	start=$(date +%s%N)
	"$stasis" restore "$work/snap" >"$work/out.$i" 2>/dev/null </dev/null &
	pid=$!
	pids="$pids $pid"
	exec 3<"$work/out.$i"
	read -r line <&3
	now=$(date +%s%N)
	kill -STOP "$pid"
	echo "$(((now - start) / 1000))" >>"$work/times"
	i=$((i + 1))
done
for pid in $pids; do
	awk '/^(Rss|Pss|Private_Dirty|Private_Clean):/ { printf "%s ", $2 } END { print "" }' "/proc/$pid/smaps_rollup"
done | sort -n >"$work/memory"
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
echo "$nr clones of a snapshot of $(du -k "$work/snap" | cut -f1) KiB on disk, 128 MiB of RAM"
echo "Rss     $(cut -d' ' -f1 "$work/memory" | median) KiB each (median)"
echo "Pss     $(cut -d' ' -f2 "$work/memory" | median) KiB each"
echo "private $(awk '{ print $3 + $4 }' "$work/memory" | median) KiB each"
echo "first line after $(median <"$work/times") us (median), least $(sort -n "$work/times" | head -n 1) us"
