# Snapshots of a guest that runs on: it goes on, and the file is of one instant, whatever the guest writes meanwhile.
. "$(dirname "$0")/lib.sh"
need_kvm
file=$work/file.snap
written="^stasis: snapshot written to $file: [0-9.]+ MiB of 16.0 MiB of RAM, guest paused for [0-9.]+ ms\$"

# The guest finds each page as it wrote it: in its last round, then this one's pattern before it and that round's behind.
# Of 1 CPU and of 4, each of which has pages of its own.
for cpus in 1 4; do
	for delay in 30 70 110; do
		guest="--guest memory-smp --mem 16M --cpus $cpus"
		expect 1 "$stasis" run $guest --append "pages=100 rounds=12" --snapshot "$file" --at "after=${delay}ms" --continue
		prints_last '^memory: all as written$'
		complains "$written"
		complains_not 'no snapshot'
		expect 0 "$stasis" verify "$file"
		expect 1 "$stasis" restore --verify-memory "$file"
		prints_last '^memory: all as written$'
	done
done

# A restored guest too, onto the very file that its memory is mapped from.
expect 1 "$stasis" run --guest memory --mem 16M --append "pages=100 rounds=12" --snapshot "$file" --at after=30ms --continue
expect 1 "$stasis" restore "$file" --snapshot "$file" --at after=50ms --continue
prints_last '^memory: all as written$'
complains "$written"
expect 1 "$stasis" restore --verify-memory "$file"
prints_last '^memory: all as written$'

# Pages of zeros stay holes: of 1 GiB, a file of some hundred KiB.
expect 1 "$stasis" run --guest memory --mem 1G --append "pages=20 rounds=60 delay=5" --snapshot "$file" --at after=50ms --continue
check 'zeros take room' [ "$(du -k "$file" | cut -f 1)" -lt 2048 ]
expect 0 "$stasis" verify "$file"

# Checkpoints that come while RAM is written hold nothing up, and a guest that ends is told.
expect 1 "$stasis" run --guest regs --mem 16M --snapshot "$file" --at after=20ms --continue
prints_last '^round 19: all as written$'
rm -f "$file"
expect 1 "$stasis" run --guest hello --snapshot "$file" --at after=5s --continue
complains_once 'no snapshot: the guest ended before --at'
check 'a file without a snapshot' [ ! -e "$file" ]

# It cannot be written: the guest goes on.
expect 1 "$stasis" run --guest memory --append "pages=20 rounds=40 delay=5" --snapshot "$work/no/such/folder" --at after=20ms \
	--continue
prints_last '^memory: all as written$'
complains_once 'no snapshot: .*; the guest goes on'
finish
