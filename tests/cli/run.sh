# run: console, messages, statuses.
. "$(dirname "$0")/lib.sh"
need_kvm
need_full

# The console is all that standard output gets.
expect 1 "$stasis" run --guest hello
prints_exactly 'Hello from real mode\n'
complains_nothing
for size in 1M 1024K 3.5G; do
	expect 1 "$stasis" run --mem "$size" --guest hello
done
for model in host x86-64-v1; do
	expect 1 "$stasis" run --cpu "$model" --guest hello
done
for regs in one-reg msrs; do
	expect 1 "$stasis" run --regs "$regs" --guest hello
done

# The guest's own status is (value << 1) | 1, of one byte: here of the command line's second byte.
ends_with() { # ends_with STATUS COMMAND-LINE
	expect "$1" "$stasis" run "$images/end.elf" --append "$2"
	prints_nothing
	complains_nothing
}
ends_with 1 x
ends_with 97 x0
ends_with 245 xz
ends_with 255 w # what a port without a device reads as: ones

# The end of standard input, or none at all, never ends a guest.
expect_lines 4 "$stasis" run --guest counter
prints_exactly '0\n1\n2\n3\n'
last="$stasis run --guest counter <&-"
timeout 60 "$stasis" run --guest counter <&- 2>"$err" | head -n 4 >"$out"
prints_exactly '0\n1\n2\n3\n'

# A console that nobody can write to ends it, with a status that says so.
last="$stasis run --guest counter >$full"
timeout 60 "$stasis" run --guest counter </dev/null >"$full" 2>"$err"
check "exit status $?, expected 74" [ $? -eq 74 ]
last="$stasis run --guest counter >&-"
timeout 60 "$stasis" run --guest counter </dev/null >&- 2>"$err"
check "exit status $?, expected 74" [ $? -eq 74 ]
complains_once "the guest's console cannot be written: Bad file descriptor" # and no other file is written in its place

expect 66 "$stasis" run "$work/nothing"
prints_nothing
complains_once "$work/nothing: No such file or directory"
expect 66 "$stasis" run --module "$work/nothing" "$images/pvh.elf"
complains_once "$work/nothing: No such file or directory"
expect 74 "$stasis" run "$work"
complains_once "$work: "
: >"$work/empty"
expect 65 "$stasis" run "$work/empty"
complains_once 'an empty file: expected an image'
echo nonsense >"$work/text"
expect 65 "$stasis" run "$work/text"
complains_once 'its 9 bytes are none of the images that are known by their contents'
complains_once '; for a flat image say --real or --long, and a snapshot is for stasis restore$'

# Every access on standard error, and standard output as before.
expect 1 "$stasis" run --guest hello --trace-io
prints_exactly 'Hello from real mode\n'
complains '^stasis: vcpu0 port write 0x3f8 size 1 value 0x48 \(uart\)$'
complains '^stasis: vcpu0 port read 0x3fd size 1 value 0x60 \(uart\)$'
complains '^stasis: vcpu0 port write 0xf4 size 4 value 0x0 \(exit\)$'
expect 255 "$stasis" run "$images/end.elf" --append w --trace-io
complains '^stasis: vcpu0 port read 0x999 size 1 value 0xff(ffffff)? \(no device\)$'
expect 1 "$stasis" run --guest hello --no-sandbox
finish
