#!/bin/sh
# usage: golden.sh STASIS SNAPSHOT.snap.gz
#
# A snapshot of a released version: it is read, by the program and by the Python reader, found good, shown as on the day
# when it was made, and restored; the guest goes on to its own end.  One that is newer than the program is refused.
set -u
LC_ALL=C
export LC_ALL
stasis=$(realpath "$1")
golden=$(realpath "$2")
reader=$(realpath "$(dirname "$0")/../reader/read_snapshot.py")
name=$(basename "$golden" .snap.gz)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
skipped=0

fail() {
	echo "FAILED: $name: $*"
	failures=$((failures + 1))
}
skip() {
	echo "SKIPPED: $name: $*"
	skipped=$((skipped + 1))
}
end() {
	[ $failures -eq 0 ] || exit 1
	[ $skipped -eq 0 ] || exit 77
	exit 0
}

gunzip -c "$golden" >snapshot || exit 1

# refused TEXT: in one sentence, with the status of data that cannot be read
refused() {
	for command in inspect verify check restore; do
		timeout 60 "$stasis" "$command" snapshot >out 2>err </dev/null
		status=$?
		[ $status -eq 65 ] || fail "$command: exit status $status, expected 65"
		[ ! -s out ] || fail "$command: $(head -n 1 out)"
		[ "$(cat err)" = "stasis: snapshot: $1" ] || fail "$command: expected '$1': $(cat err)"
	done
	! python3 "$reader" snapshot >out 2>&1 || fail "the Python reader takes it"
	end
}
case $name in
newer-format) refused "format version 2, written by stasis 9.0.0; this program reads version 1; a newer stasis may read it" ;;
newer-component) refused "section regs has version 2, written by stasis 9.0.0; this program reads up to version 1; a newer stasis may read it" ;;
newer-unknown) refused "section 9 is of component 999, version 1, which this program does not know; it was written by stasis 9.0.0: a newer stasis may read it" ;;
esac

timeout 60 "$stasis" verify snapshot >out 2>&1 || fail "verify: $(cat out)"
timeout 60 "$stasis" inspect snapshot >shown 2>&1 || fail "inspect: $(tail -n 1 shown)"
diff "${golden%.snap.gz}.txt" shown >difference || fail "it is not shown as it was: $(head -n 4 difference)"
if command -v python3 >/dev/null; then
	python3 "$reader" snapshot >out 2>&1 || fail "the Python reader: $(tail -n 1 out)"
else
	skip "python3 is not installed"
fi

# Is there a KVM, and would it take the snapshot?  Another vendor's, or one without a register, need not: it refuses.  What it
# takes and does not give back is no matter of the host.
timeout 60 "$stasis" check snapshot >out 2>err
case $? in
0) ;;
1)
	reasons=$(sed -n 's/.*does not take it: \([0-9]*\) reasons\{0,1\}$/\1/p' out)
	[ "$(grep -c '^refused: ' out)" = "$reasons" ] || fail "check: $(grep -v '^translated: ' out)"
	skip "$(grep -m 1 '^refused: ' out || tail -n 1 out)"
	end
	;;
69 | 77) # EX_UNAVAILABLE, EX_NOPERM
	skip "$(cat err)"
	end
	;;
*) fail "check: $(cat out err)" ;;
esac

# ends_with LINE: the last line that the restored guest prints
ends_with() {
	[ "$(tail -n 1 out)" = "$1" ] || fail "restored, it printed at last: $(tail -n 1 out), expected: $1"
}
if [ "$name" = stream ]; then # a guest that never ends
	timeout 60 "$stasis" restore snapshot 2>err </dev/null | head -n 3 >out
	ends_with 6
	end
fi
timeout 60 "$stasis" restore --verify-memory snapshot >out 2>err </dev/null
status=$?
[ $status -eq 1 ] || fail "restored, it ended with $status, expected 1: $(cat out err)"
case $name in
hello) ends_with 'o from real mode' ;;
regs) ends_with 'round 19: all as written' ;;
interrupt) ends_with 'PIT through the PIC: all as expected' ;;
exception) ends_with 'single step over a snapshot: 1 trap, as without a snapshot' ;;
smp) ends_with 'round 200 of 200' ;;
*) fail "no end is known of it" ;;
esac
end
