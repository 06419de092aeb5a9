# A save with one system call after the other going wrong.  Usage: save.sh FAULT [-n], see tests/tools/fault_run.c.
. "$(dirname "$0")/lib.sh"
fault=$1
shift
need_kvm
make_old

# After the counted calls come those that a file left over by a killed process makes.
MORE_CALLS=10
"$FAULT_RUN" "$@" count 0 true 2>/dev/null || skip "processes may not be traced here"
save "$FAULT_RUN" "$@" count 0
nr_calls=$(tail -n 1 "$work/err")
[ "$nr_calls" -ge 10 ] || { echo "only $nr_calls system calls were counted"; exit 1; }

after_kill() {
	case $status in
	137) ;;
	126) [ "$n" -gt "$nr_calls" ] || fail "the call was never made" ;;
	*) fail "exit status $status, expected 137" ;;
	esac
	expect_whole
	case $(ls -A "$folder" | tr '\n' ' ') in
	'F ') ;;
	'F F.stasis-unfinished ') nr_left=$((nr_left + 1)) ;;
	*) fail "left in the folder: $(ls -A "$folder" | tr '\n' ' ')" ;;
	esac
}

after_error() {
	expect_guest_went_on
	expect_nothing_else
	if grep -q '^stasis: snapshot written to ' "$work/err"; then
		! is_old && is_good || fail "it was said to be written, and is not"
		nr_written=$((nr_written + 1))
	else
		expect_no_snapshot "$file"
		expect_whole
		is_old && nr_old=$((nr_old + 1))
	fi
}

n=1
nr_reached=0 nr_left=0 nr_old=0 nr_written=0
while [ "$n" -le $((nr_calls + MORE_CALLS)) ]; do
	begin "$fault $n $*"
	put_old
	save "$FAULT_RUN" "$@" "$fault" "$n"
	[ "$status" -eq 126 ] || nr_reached=$((nr_reached + 1))
	if [ "$fault" = kill ]; then
		after_kill
	else
		# Calls that this fault can befall are fewer than all calls.
		[ "$status" -ne 126 ] || break
		after_error
	fi
	n=$((n + 1))
done

begin "after all of them"
save env
expect_guest_went_on
expect_nothing_else
! is_old && is_good || fail "the last snapshot is not good"
[ "$nr_reached" -gt 0 ] || fail "the fault was never injected"
printf '%s: %d calls; ' "$fault" "$nr_reached"
printf 'failed with the old one kept: %d, written all the same: %d, killed with a file left over: %d\n' \
	"$nr_old" "$nr_written" "$nr_left"
finish
