# --rewind-every: back at checkpoints and at the end, so often, then on to the guest's own end.
. "$(dirname "$0")/lib.sh"
need_kvm

# The point is the first checkpoint, behind the 0; each second one after it goes back.
expect_lines 9 "$stasis" run --guest counter --rewind-every 2 --rewinds 3
prints_exactly '0\n1\n2\n1\n2\n1\n2\n1\n2\n'

rewound() { # rewound COUNT
	complains "^stasis: rewound $1 times, [0-9.]+ pages each; read back: 0 differences$"
}
expect 1 "$stasis" run --guest regs --mem 4M --rewind-every 1 --rewinds 5
rewound 5
prints '^round 19: all as written$'
for irqchip in split full; do
	expect 1 "$stasis" run --guest smp --cpus 4 --mem 4M --irqchip $irqchip --rewind-every 1 --rewinds 5
	rewound 5
done

# A restored machine goes back to its snapshot.
file=$work/memory.snap
snapshot "$file" memory --at checkpoint
expect 1 "$stasis" restore "$file" --rewind-every 1 --rewinds 2
rewound 2
prints_last '^memory: all as written$'
check 'three times to the end' [ "$(grep -c '^memory: all as written$' "$out")" -eq 3 ]

expect 64 "$stasis" run --guest hello --rewinds 3
complains '^stasis: --rewinds goes with --rewind-every'
expect 64 "$stasis" run --guest hello --rewind-every 1 --snapshot "$file"
complains '^stasis: --rewind-every goes without --snapshot'
expect 64 "$stasis" run --guest hello --rewind-every 0
expect 64 "$stasis" run --guest hello --rewind-every 1 --rewinds 0
finish
