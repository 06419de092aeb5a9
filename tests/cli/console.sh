# A console whose reader is slow, or stands still: nobody who still reads loses a byte, and nobody who does not stops the
# machine, its snapshots or its user.  flood.elf prints the alphabet as fast as it can.
. "$(dirname "$0")/lib.sh"
need_kvm
file=$work/file.snap
alphabet=abcdefghijklmnopqrstuvwxyz
period=27 # bytes of a line
user=$tools/pty_run

# A reader that comes late gets all of it.
yes abcdefghijklmnopqrstuvwxyz | head -n 10000 >"$work/wanted"
last='run flood.elf --append e | (sleep 3; cat)'
timeout 60 "$stasis" run "$images/flood.elf" --append e </dev/null 2>"$err" | { sleep 3; cat; } >"$out"
check 'a slow reader lost something' cmp -s "$out" "$work/wanted"
complains_nothing

# A reader that stands still while the program runs, and takes what is in the pipe when it has ended: into $out.
mkfifo "$work/pipe"
stalled() { # stalled STATUS COMMAND...
	wanted_status=$1
	shift
	last="$* >PIPE"
	rm -f "$work/go"
	{
		while [ ! -e "$work/go" ]; do sleep 0.05; done
		cat
	} <"$work/pipe" >"$out" &
	timeout 60 "$@" </dev/null >"$work/pipe" 2>"$err"
	status=$?
	: >"$work/go"
	wait $!
	check "exit status $status, expected $wanted_status" [ "$status" -eq "$wanted_status" ]
}

# The snapshot is taken, what nobody takes is dropped, and not a byte of it is forgotten: the restored guest goes on
# behind what was printed and what was dropped.
nr_dropped() {
	nr=$(sed -n "s/^stasis: \([0-9]*\) bytes of the guest's console were dropped: nobody took them\$/\1/p" "$err")
	echo "${nr:-0}" # a busy machine may not have filled the pipe in time
}
goes_on() {
	past=$(($(wc -c <"$out") + $(nr_dropped)))
	expect 0 "$stasis" verify "$file"
	last="restore $file"
	timeout 60 "$stasis" restore "$file" 2>"$err" </dev/null | head -c $period >"$out"
	yes $alphabet | head -c 100 | tail -c +$((past % period + 1)) | head -c $period >"$work/next"
	check "after $past bytes the guest does not go on where it was" cmp -s "$out" "$work/next"
}
for letter in x s; do
	stalled 0 "$stasis" run --mem 8M "$images/flood.elf" --append $letter --snapshot "$file" --at after=4s \
		--console-wait 300ms
	complains "^stasis: snapshot written to $file\$"
	goes_on
done

# The machine does not stand still for ever.
stalled 0 "$stasis" run --mem 8M "$images/flood.elf" --snapshot "$file" --at exits=300000 --console-wait 100ms
check 'how much was dropped is not told' [ "$(nr_dropped)" -gt 0 ]
goes_on
# One that is not patient at all.
stalled 0 "$stasis" run --mem 8M "$images/flood.elf" --snapshot "$file" --at exits=200000 --console-wait 0us
check 'how much was dropped is not told' [ "$(nr_dropped)" -gt 0 ]
goes_on
# Neither does it stand still for the reader of its messages.
last='run --trace-io 2>PIPE'
(sleep 100) <"$work/pipe" &
reader=$!
timeout 60 "$stasis" run --mem 8M "$images/flood.elf" --trace-io --snapshot "$file" --at exits=10000 --console-wait 100ms \
	</dev/null >"$out" 2>"$work/pipe"
check "exit status $?, expected 0" [ $? -eq 0 ]
kill $reader
expect 0 "$stasis" verify "$file"

# A terminal that stands still: keys work all the same, and so does a signal, however patient the console is.
rm "$file"
expect 0 "$user" expect:abc raw stalled 'send:^as' "unread:$file" 'send:xyz^ax' ended \
	-- "$stasis" run --mem 8M "$images/flood.elf" --snapshot "$file" --console-wait 100s
expect 0 "$stasis" verify "$file"
rm "$file"
expect 0 "$user" expect:abc raw unread:"$file" ended \
	-- "$stasis" run --mem 8M "$images/flood.elf" --snapshot "$file" --at after=4s --console-wait 300ms
expect 0 "$stasis" verify "$file"
expect 143 "$user" expect:abc raw stalled signal:15 -- "$stasis" run "$images/flood.elf" --console-wait 100s
# It goes on as if nothing had been where it is read again.
expect 0 "$user" expect:abc raw stalled 'expect:xyz' 'send:^ax' -- "$stasis" run "$images/flood.elf"
prints_not dropped
# What nobody reads, the guest's input, hides no key.
typed=$(head -c 5000 /dev/zero | tr '\0' x)
expect 0 "$user" expect:2 raw "send:$typed" 'send:^ax' ended -- "$stasis" run --guest counter
finish
