# A snapshot that shrinks or changes while a guest runs on it.
. "$(dirname "$0")/lib.sh"
need_kvm

# A snapshot of a guest that never ends.
make_endless() {
	timeout 20 "$STASIS" run $guest --append "$endless" --snapshot "$file" --at checkpoint >"$work/out" 2>"$work/err" ||
		{ cat "$work/err"; exit 1; }
}
has_lines() {
	[ "$(wc -l <"$work/out")" -ge "$1" ]
}
start() { # start OPTION...: restores in the background, and waits until the guest has said something
	: >"$work/out"
	timeout 20 "$STASIS" restore "$@" "$file" >"$work/out" 2>"$work/err" </dev/null &
	guest_pid=$!
	wait_for has_lines 2 || fail "the restored guest says nothing"
}
expect_lost() {
	[ "$status" -eq 74 ] || fail "exit status $status, expected 74"
	[ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line on standard error"
	grep -q "^stasis: $file: .*truncated.*restore --copy" "$work/err" || fail "standard error does not name the file"
}

# Behind the page tables, in the guest's code, in its data: each is lost in a way of its own.
for size in 0 30000 65536 1100000 2000000; do
	begin "truncated to $size bytes under a guest"
	make_endless
	start
	truncate -s "$size" "$file"
	wait "$guest_pid"
	status=$?
	expect_lost
done

# Of a chain, the file that was truncated is the one that is named.
for victim in F child; do
	begin "a chain whose file $victim is truncated under a guest"
	make_endless
	timeout 20 "$STASIS" restore "$file" --snapshot "$folder/child" --incremental --at after=50ms \
		>/dev/null 2>"$work/err" || fail "no child"
	: >"$work/out"
	timeout 20 "$STASIS" restore "$folder/child" >"$work/out" 2>"$work/err" </dev/null &
	guest_pid=$!
	wait_for has_lines 2 || fail "the restored guest says nothing"
	truncate -s 30000 "$folder/$victim"
	wait "$guest_pid"
	status=$?
	[ "$status" -eq 74 ] || fail "exit status $status, expected 74"
	[ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line on standard error"
	grep -q "^stasis: $folder/$victim: .*truncated.*restore --copy" "$work/err" || fail "standard error does not name the file"
	rm -f "$folder/child"
done

# pty_run ends with another status where the terminal is not as it was.
begin "truncated under a guest, on a terminal"
make_endless
: >"$work/out" # has lines of the snapshot's guest
timeout 20 "$PTY_RUN" raw -- sh -c 'exec "$1" restore "$2" >"$3"' sh "$STASIS" "$file" "$work/out" >"$work/terminal" 2>"$work/err" &
guest_pid=$!
wait_for has_lines 2 || fail "the restored guest says nothing"
truncate -s 65536 "$file"
wait "$guest_pid"
status=$?
[ "$status" -eq 74 ] || fail "exit status $status, expected 74"
grep -q "^stasis: $file: .*truncated while" "$work/terminal" || fail "the terminal was not told why"

begin "--copy, truncated and removed under a guest"
make_endless
start --copy
truncate -s 0 "$file"
rm "$file"
lines=$(wc -l <"$work/out")
wait_for has_lines $((lines + 5)) || fail "the guest did not go on"
kill "$guest_pid"
wait "$guest_pid"
[ ! -s "$work/err" ] || fail "something was complained about"

# One byte of the guest's own data, changed in place before the restore.
make_old
printf '\125' | dd of="$file" bs=1 seek=2130000 conv=notrunc 2>/dev/null
restore() { # restore STATUS WHAT OPTION...
	wanted=$1
	what=$2
	shift 2
	timeout 20 "$STASIS" restore "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ "$status" -eq "$wanted" ] || fail "exit status $status, expected $wanted"
	[ -z "$what" ] || grep -q "$what" "$work/err" || fail "standard error does not say: $what"
}
damage='damaged: RAM 0x200000-0x2fffff, checksum'
for option in --verify-memory --copy '--copy --verify-memory'; do
	begin "a changed byte, $option"
	restore 65 "^stasis: $file: $damage" $option "$file"
	[ ! -s "$work/out" ] || fail "the guest ran"
done
begin "a changed byte, through a pipe"
cat "$file" | "$STASIS" restore - >"$work/out" 2>"$work/err"
[ $? -eq 65 ] || fail "the exit status is not 65"
grep -q "$damage" "$work/err" || fail "standard error does not name the range"
begin "a changed byte in a hole"
put_old
printf '\125' | dd of="$file" bs=1 seek=4000000 conv=notrunc 2>/dev/null
restore 65 'damaged: RAM 0x300000-0x3fffff' --verify-memory "$file"
restore 65 'damaged: RAM 0x300000-0x3fffff' --copy "$file"
for option in --verify-memory --copy; do
	begin "a good snapshot, $option"
	put_old
	restore 1 '' $option "$file"
	[ "$(tail -n 1 "$work/out")" = 'memory: all as written' ] || fail "the guest did not come to its end"
done
begin "truncated before the restore, --copy"
truncate -s 3000000 "$file"
restore 65 'truncated: 3000000 bytes' --copy "$file"
finish
