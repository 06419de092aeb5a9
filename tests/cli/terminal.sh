# On a terminal: keys, raw mode, and the terminal as it was whatever happens.  pty_run plays the user; its status 124
# means that something did not come, 125 that the terminal was left changed.
. "$(dirname "$0")/lib.sh"
need_kvm
user=$tools/pty_run
file=$work/file.snap

# What is typed reaches the guest, byte for byte: no echo of the terminal's, no Ctrl-C, no line to be ended.
expect 1 "$user" expect:echo raw 'send:abc^c^a^ad' expect:abc "send:q" -- "$stasis" run "$images/echo.bin"
printf 'echo\r\nabc\003\001dq' >"$work/wanted"
check 'the terminal shows something else' cmp -s "$out" "$work/wanted"

expect 0 "$user" expect:echo raw 'send:^ax' -- "$stasis" run "$images/echo.bin"
expect 0 "$user" expect:2 raw 'send:^ah' 'expect:Ctrl-A x quits' 'send:^ax' -- "$stasis" run --guest counter
prints 'Ctrl-A x quits, Ctrl-A s takes a snapshot, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h prints this'
# An escape that is none is dropped, and what follows it is not.
expect 1 "$user" expect:echo raw 'send:^azq' -- "$stasis" run "$images/echo.bin"
prints_not z

# Snapshots by key: numbered files, and the guest goes on.  The first is taken between two lines, long before the next.
line_end=$(printf '\r\n.')
line_end=${line_end%.}
expect 0 "$user" "expect:2$line_end" raw 'send:^as' "expect:written to $file" expect:4 'send:^as' "expect:written to $file.1" \
	'send:^as' "expect:written to $file.2" expect:1 'send:^ax' \
	-- "$stasis" run --mem 8M --guest counter --snapshot "$file"
for name in "$file" "$file.1" "$file.2"; do
	expect 0 "$stasis" verify "$name"
done
check 'a file too many' [ ! -e "$file.3" ]
expect_lines 2 "$stasis" restore "$file"
check 'the numbers do not follow each other' [ "$(head -n 1 "$out")" -eq "$(($(tail -n 1 "$out") - 1))" ]
expect 0 "$user" expect:2 raw 'send:^as' 'expect:no snapshot: name a file with --snapshot FILE' 'send:^ax' \
	-- "$stasis" run --guest counter
expect 0 "$user" expect:2 raw 'send:^as' 'expect:; the guest goes on' expect:5 'send:^ax' \
	-- "$stasis" run --guest counter --snapshot "$work/no/such/folder"
# Standard output takes one snapshot, not a second one behind it, and no file is called "-.1".
expect 0 "$user" expect:2 raw 'send:^as' 'expect:written to standard output' 'send:^as' 'expect:no snapshot: ' \
	'expect:the guest goes on' 'send:^ax' \
	-- sh -c "cd '$work' && '$stasis' run --mem 8M --guest counter --snapshot - >stream"
check 'a file called -.1' [ ! -e "$work/-.1" ]
expect 0 "$stasis" verify "$work/stream"

# The restored guest's terminal is a terminal too; one that came through a pipe has no input.
snapshot "$file" counter --at checkpoint=3
expect 0 "$user" expect:5 raw 'send:^ax' -- "$stasis" restore "$file"
expect 143 "$user" expect:5 cooked 'send:^ax' expect:7 signal:15 -- sh -c "cat '$file' | exec '$stasis' restore -"

# A guest's end, our own end, a signal, a crash: pty_run looks whether the terminal was put back.
expect 1 "$user" -- "$stasis" run --guest regs
expect 70 "$user" -- "$stasis" run "$images/end.elf" --append t
expect 0 "$user" -- "$stasis" run --mem 8M --guest counter --snapshot "$file" --at checkpoint=3
for signal in 1 2 3 6 11 15; do
	expect $((128 + signal)) "$user" expect:2 raw "signal:$signal" -- "$stasis" run --guest counter
done
# Input that is no terminal changes nothing of one.
expect 0 "$user" expect:3 cooked \
	-- sh -c "'$stasis' run --mem 8M --guest counter --snapshot '$file' --at checkpoint=9 </dev/null"
finish
