# A save with one system call after the other going wrong.  Usage: save.sh FAULT WAY [-n] [-f], see tests/tools/fault_run.c
# and save() in lib.sh.
. "$(dirname "$0")/lib.sh"
fault=$1
way=$2
shift 2
need_kvm
# A leak checker cannot work in a process that is traced.
ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
export ASAN_OPTIONS
make_old
[ "$way" != incremental ] || cp --sparse=always "$work/old" "$work/base"

# After the counted calls come those that a file left over by a killed process makes.
MORE_CALLS=10
"$FAULT_RUN" "$@" count 0 true 2>/dev/null || skip "processes may not be traced here"
save "$FAULT_RUN" "$@" count 0
calls=$(tail -n 1 "$work/err")
nr_calls=${calls##* }
[ "$nr_calls" -ge 7 ] || { echo "only $nr_calls system calls were counted"; exit 1; }

# What a loss of power would find out: the contents are on the disk before the name is, the name before success is told.
begin "the order of what is brought to the disk"
# While the guest runs, it prints, too.
case " $* $(printf ' %s ' "$calls" | sed 's/ write//g')" in
*' -f '*) ;; # the calls that name it are not among them
*' fsync linkat rename openat fsync '* | *' fsync rename openat fsync '*) ;;
*) fail "the calls are: $calls" ;;
esac
# The number of the call that gives a nameless file its name; while the guest runs, it is another one each time.
link_at=
[ "$way" = live ] || link_at=$(printf '%s\n' $calls | grep -nx linkat | cut -d : -f 1)

after_kill() {
	case $status in
	137) ;;
	126) [ "$n" -gt "$nr_calls" ] || [ "$way" = live ] || fail "the call was never made" ;; # it prints more or less
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
stride=1
[ "$way $*" != "live " ] || stride=5 # most are the guest's prints
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
		case $fault-$n in
		none-*) expect_no_snapshot "$file" ;;
		short-* | E*-"$link_at") # there are two ways to give a name
			grep -q '^stasis: snapshot written' "$work/err" || fail "it was not written" ;;
		esac
	fi
	n=$((n + stride))
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
