# Images of all kinds, recognised by what they contain, or named as flat.
. "$(dirname "$0")/lib.sh"
need_kvm

boots() { # boots WHAT-IT-PRINTS OPTION...
	wanted_output=$1
	shift
	expect 1 "$stasis" run "$@"
	prints_exactly "$wanted_output"
	complains_nothing
}
printf 'contents' >"$work/module"
boots 'boot sector\n' "$images/sector.bin"
boots 'ELF64: \n' "$images/elf64.elf"
boots 'ELF64: a line\n' "$images/elf64.elf" --append 'a line'
# Multiboot puts the image's name in front of its line (0.6.96, 3.3).
boots 'Multiboot: multiboot.elf\nmap entries: 4\n' "$images/multiboot.elf"
boots 'Multiboot: multiboot.elf a line\nmap entries: 4\nmodule: contents\n' \
	"$images/multiboot.elf" --append 'a line' --module "$work/module"
boots 'PVH: \nmap entries: 4\n' "$images/pvh.elf"
boots 'PVH: a line\nmap entries: 4\nmodule: contents\n' "$images/pvh.elf" --append 'a line' --module "$work/module"

# Flat images: where, and how, they are entered.
hello='Hello from real mode\n'
boots "$hello" --real "$guest_images/hello.bin"
boots "$hello" --real --load 0x7c00 "$guest_images/hello.bin"
boots "$hello" --real --load 0x7c00 --entry 31744 "$guest_images/hello.bin"
# 512 bytes of NOPs in front of it, entered behind them and at their start.
head -c 512 /dev/zero | tr '\0' '\220' >"$work/shifted.bin"
cat "$guest_images/hello.bin" >>"$work/shifted.bin"
boots "$hello" --real --load 0x7a00 --entry 0x7c00 "$work/shifted.bin"
boots "$hello" --real --load 0x7a00 "$work/shifted.bin"
expect 1 "$stasis" run --long "$guest_images/memory.bin" --append 'pages=4 rounds=2'
prints '^memory: '
expect 1 "$stasis" run --long --load 0x100000 --entry 0x100000 "$guest_images/regs.bin"
prints '^round 19: all as written$'
expect 0 "$stasis" roundtrip "$images/pvh.elf" --at exits=9 --module "$work/module"
prints_last '^SAME$'

refused() { # refused TEXT OPTION...
	text=$1
	shift
	last="run $*"
	timeout 60 "$stasis" run "$@" >"$out" 2>"$err" </dev/null
	status=$?
	check "exit status $status, expected 64 or 65" [ $status -eq 64 -o $status -eq 65 ]
	prints_nothing
	complains_once "$text"
}
refused '--load and --entry are for --real and --long' --load 0x8000 "$images/elf64.elf"
refused 'takes no command line' --append x "$images/sector.bin"
refused '1 modules: expected at most 0' --module "$work/module" "$images/elf64.elf"
refused 'takes no command line' --append x --guest hello
refused '1 modules: expected at most 0' --module "$work/module" --guest hello
refused '0x100000' --real --load 0x100000 "$guest_images/hello.bin"
refused 'the flat image' --long --load 0x7ffffff "$guest_images/regs.bin"
refused 'its entry' --long --entry 0x200000 "$guest_images/regs.bin"
head -c 150 "$images/elf64.elf" >"$work/short.elf"
refused "$work/short.elf: " "$work/short.elf"
finish
