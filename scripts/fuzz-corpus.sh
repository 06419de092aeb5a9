#!/bin/sh
# Makes the seeds of the fuzz targets again from real snapshots and images; needs KVM and a build with the tests on.
# What fuzzing found stays beside them (tests/fuzz/corpus/TARGET/found-*), and so does what a campaign came to (campaign-*).
# Usage: scripts/fuzz-corpus.sh [BUILD]
# shellcheck disable=SC2059 # inputs are written in octal, as printf takes it
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build}
corpus=$root/tests/fuzz/corpus
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for target in snapshot component records chain wire xsave boot reg_name options request terminal devices; do
	mkdir -p "$corpus/$target"
	find "$corpus/$target" -type f ! -name 'found-*' ! -name 'campaign-*' -delete
done

# snapshot NAME OPTION...: a seed of "snapshot" and one of "component" for each section.
snapshot() {
	name=$1
	shift
	timeout 20 "$build/stasis" run "$@" --snapshot "$scratch/$name" >/dev/null
	"$build/tests/fuzz/fuzz_seed" "$scratch/$name" "$name" "$corpus"
}
snapshot full --guest counter --mem 1M --at after=50ms
snapshot none --guest counter --mem 1M --irqchip none --at after=50ms
snapshot split --guest smp --mem 2M --irqchip split --cpus 2 --at checkpoint
rm "$corpus"/component/none-* "$corpus"/component/split-* "$corpus"/snapshot/none-child "$corpus"/snapshot/split-child

# Nested state in Intel's format, its size field right: flags, format, size, and what is behind them zero.
{ printf '\53\0\0\0\0\0\0\0\0\0\200\0\0\0'; head -c 120 /dev/zero; } >"$corpus/component/nested"

# image FILE KIND-AND-FLAGS [MORE]: numbers in octal, as tests/fuzz/boot.c takes them; \0 is no module, \0\0 no command line.
image() {
	printf "$2" | cat - "$1" >"$corpus/boot/$3"
}
images=$build/tests/images
image "$images/sector.bin" '\0\0\0\0\0' sector
image "$images/elf64.elf" '\0\4\0\5\0hello' elf64
image "$images/multiboot.elf" '\0\0\0\5\0hello' multiboot
image "$images/multiboot.elf" '\5\0\1\0\0\1m\3\0abc' multiboot-module
image "$images/pvh.elf" '\0\0\0\5\0hello' pvh
image "$images/pvh.elf" '\6\0\2\0\0\1m\3\0abc\1n\0\0' pvh-modules
image "$build/guest/hello.bin" '\2\0\0\0\0' flat-real
image "$build/guest/hello.bin" '\3\3\0\0\22\0\0\0\0\0\0\0\0\22\0\0\0\0\0\0\4\0line' flat-long
image "$images/sector.bin" '\7\20\0\0\0' firmware

# record GPA LENGTH KEEP, in the bytes of tests/fuzz/records.c.
zero='\0\0\0\0'
page='\0\20\0\0'
end="$zero$zero$zero$zero"
printf "$end" >"$corpus/records/none"
printf "$zero$zero$page$zero$end" >"$corpus/records/page"
printf "$zero$zero\0\40\0\0$zero\0\0\377\377$zero$page$zero$end" >"$corpus/records/all"
printf "$zero$zero$page\1\0\0\0$end" >"$corpus/records/damaged"

# Flags, the pages of two files, then changes: of the parent's name, and of its id (tests/fuzz/chain.c).
printf '\20\1\2' >"$corpus/chain/mapped"
printf '\24\1\2' >"$corpus/chain/copied"
printf '\21\0\5' >"$corpus/chain/one-parent"
printf '\22' >"$corpus/chain/whole"
printf '\20\0\0' >"$corpus/chain/nothing-new"
printf '\0\1\2\11\1\0\3' >"$corpus/chain/other-name"
printf '\0\1\2\11\1\0\3\3\60\0\1' >"$corpus/chain/skips-one"
printf '\0\0\0\12\1\0\2\4\60\0\2' >"$corpus/chain/circle"

# frame TYPE LENGTH, in the bytes of a header that tests/fuzz/wire.c makes right.
frame() {
	printf "$zero\\0\\0\\$1\\0$zero$zero$2$zero$zero$zero"
}
{ printf '\1\0'; frame 10 "$zero"; frame 5 '\30\0\0\0'; head -c 24 /dev/zero; } >"$corpus/wire/round"
{ printf '\1\7'; frame 4 '\30\20\0\0'; printf '\1\0\0\0\1\0\0\0'; head -c 4096 /dev/zero
	printf '\0\40\0\0\0\0\0\0\1\0\0\0\1\0\0\0'; frame 10 "$zero"; } >"$corpus/wire/page"
{ printf '\1\0'; frame 4 '\50\0\0\0'; printf "$zero\\2\\0\\0\\0$zero$zero\\17\\0\\0\\0\\2\\0\\0\\0"
	printf "\\0\\0\\377\\377$zero\\1\\0\\0\\0\\2\\0\\0\\0"; } >"$corpus/wire/zeros"
missing='\3\0\0\0'
{ printf '\1\0'; frame 16 '\50\0\0\0'; printf "$zero\\2\\0\\0\\0$zero$zero\\3\\0\\0\\0$missing"
	printf "\\0\\0\\377\\377$zero\\1\\0\\0\\0$missing"; } >"$corpus/wire/missing"
{ printf '\1\0'; frame 16 '\30\0\0\0'; printf "$zero\\1\\0\\0\\0$zero$zero$missing\\1\\0\\0\\0"; } >"$corpus/wire/missing_data"
{ printf '\1\0'; frame 17 '\30\0\0\0'; head -c 24 /dev/zero; frame 22 '\30\0\0\0'; head -c 24 /dev/zero; } >"$corpus/wire/rejoin"
{ printf '\1\5'; frame 20 '\10\0\0\0'; printf "$page$zero"; frame 21 '\40\0\0\0'; head -c 32 /dev/zero; } >"$corpus/wire/request"
{ printf '\1\0'; frame 23 '\10\0\0\0'; printf "$page$zero"; frame 2 '\4\0\0\0'; printf 'part'; } >"$corpus/wire/same"
{ printf '\1\3'; frame 15 '\5\0\0\0'; printf 'no\33[m'; } >"$corpus/wire/text"
{ printf '\0\0'; frame 10 "$zero"; } >"$corpus/wire/unknown"

# A state in use: XSTATE_BV has x87, SSE and AVX.
{ printf '\1'; head -c 512 /dev/zero; printf '\7'; head -c 3000 /dev/zero; } >"$corpus/xsave/raw"
{ printf '\0'; head -c 512 /dev/zero; printf '\347\2'; head -c 3000 /dev/zero; } >"$corpus/xsave/raw-wide"
tail -c +7 "$corpus/component/full-xsave" | { printf '\2'; cat; } >"$corpus/xsave/state"

for text in IA32_LSTAR 0xc0000082 IA32_MTRR_PHYSBASE3 IA32_MC7_STATUS GUEST_SSP 0x2030000300000000 MSR_0x00000123 \
	SYNTHETIC_0x00000007; do
	{ printf '\202\0\0\300\2\0\60\40'; head -c 16 /dev/zero; printf %s "$text"; } >"$corpus/reg_name/$text"
done

printf '\377--mem\n2G\n--cpus=16\n--irqchip\nsplit\nimage' >"$corpus/options/machine"
printf '\377--at=checkpoint=3\n--until\n2s\n--keep\nfile\n--guest\nregs' >"$corpus/options/roundtrip"
printf '\377file\n--allow\nIA32_TSC\n--without=lapic\n--json\n--\n--x' >"$corpus/options/restore"
printf '\377--at\nafter=0.2s\n--snapshot\n-\n--continue\n--real\n--load\n0x7c00\n-h' >"$corpus/options/run"

# A request and a reply (tests/fuzz/request.c).
printf '\0snapshot "/a \\udcff\\n\\ud83d\\ude00" --incremental\t"status"\r' >"$corpus/request/line"
printf '\1{"ok":true,"job":{"number":7,"phase":"copying","rows":[1,-2.5e3,null,"\\u00e9\\""]}}\n' >"$corpus/request/reply"

printf 'abc\1\1\1x\1s\1h\1?' >"$corpus/terminal/keys"

# Output in loopback, the FIFO on and overrun, an interrupt taken; then every small device (tests/fuzz/devices.c).
printf '\1\0\0\101\44\12\0\141\1\4\0\1\1\10\0\13\100\5\2\0\45\2\0' >"$corpus/devices/uart"
printf '\1\2\1\101\1\2\2\102\1\2\3\1\21\2\4\5\1\2\5\376\1\2\6\4\343\7\3' >"$corpus/devices/ports"

du -sb "$corpus" | cut -f 1
