# The generation id: the same while a machine runs, another in each one that is restored.
. "$(dirname "$0")/lib.sh"
need_kvm
image=$images/generation.bin
file=$work/generation.snap
id='^[0-9a-f]{32}$'

expect 1 "$stasis" run "$image"
check 'two ids' [ "$(grep -Ec "$id" "$out")" -eq 2 ]
check 'the id changed while the machine ran' [ "$(sort -u "$out" | wc -l)" -eq 1 ]
cat "$out" >"$work/ids"

expect 0 "$stasis" run "$image" --snapshot "$file" --at checkpoint
cat "$out" >>"$work/ids"
for clone in 1 2 3; do
	expect 1 "$stasis" restore "$file"
	check 'one id' [ "$(grep -Ec "$id" "$out")" -eq 1 ]
	cat "$out" >>"$work/ids"
done
check 'five machines have five ids' [ "$(sort -u "$work/ids" | wc -l)" -eq 5 ]

# It is told, and makes no difference between what was saved and what is there.
expect 0 "$stasis" roundtrip --guest regs
prints '^translated: vm generation id'
prints_last '^SAME$'

# A rewind is the same machine: the guest sees that it was put back, each time with the same id.
expect 1 "$stasis" run "$image" --rewind-every 1 --rewinds 4
check 'the first id, and one for what was put back' [ "$(sort -u "$out" | wc -l)" -eq 2 ]
finish
