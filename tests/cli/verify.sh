# verify: every byte of a file counts.
. "$(dirname "$0")/lib.sh"
need_kvm
file=$work/good.snap
bad=$work/bad.snap
snapshot "$file" memory --append 'pages=16 rounds=4' --at checkpoint=1
size=$(wc -c <"$file")
ram=$((size - 0x800000))

expect 0 "$stasis" verify "$file"
prints_exactly "$file: good\n"
complains_nothing

flip() { # flip OFFSET: the byte there becomes another
	cp "$file" "$bad"
	byte=$(od -An -tu1 -j "$1" -N 1 "$file")
	printf "\\$(printf %o $(((byte + 129) % 256)))" | dd of="$bad" bs=1 seek="$1" conv=notrunc 2>"$err"
	expect 1 "$stasis" verify "$bad"
	check 'not one sentence' [ "$(wc -l <"$out")" -eq 1 ]
	prints "^$bad: "
	complains_nothing
}
# Magic, sizes, id, writer, reserved, checksums; the table; state and what lies between; RAM and its end.
for offset in 0 12 16 24 40 60 100 200 260 287 288 300 400 1000 2000 5000 9000 "$ram" "$((ram + 0x100000))" \
	"$((size - 1))"; do
	flip "$offset"
done
# RAM is named by where it lies in the guest.
flip $((ram + 0xfffff))
prints ': damaged: RAM 0x0-0xfffff, checksum 0x[0-9a-f]{8}, expected 0x[0-9a-f]{8}$'
flip $((size - 1))
prints ': damaged: RAM 0x700000-0x7fffff, checksum'

for part in 0 7 8 100 5000 $((size / 2)) $((size - 1)); do
	head -c "$part" "$file" >"$bad"
	expect 1 "$stasis" verify "$bad"
	check 'not one sentence' [ "$(wc -l <"$out")" -eq 1 ]
	prints "^$bad: .*(truncated|not a Stasis snapshot)"
	complains_nothing
done
cp "$file" "$bad"
echo >>"$bad"
expect 1 "$stasis" verify "$bad"
prints "^$bad: $((size + 1)) bytes, expected $size\$"
expect 1 "$stasis" verify "$images/elf64.elf"
prints "^$images/elf64.elf: not a Stasis snapshot"

# Another version is not damage: this program cannot tell.
cp "$file" "$bad"
printf '\002' | dd of="$bad" bs=1 seek=8 conv=notrunc 2>"$err"
expect 65 "$stasis" verify "$bad"
prints_nothing
complains_once 'format version 2, written by stasis [0-9.]+; this program reads version 1; a newer stasis may read it'

expect 66 "$stasis" verify "$work/nothing"
prints_nothing
complains_once "$work/nothing: No such file or directory"
finish
