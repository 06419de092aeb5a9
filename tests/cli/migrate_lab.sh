# The migration experiments (tests/bench/lab) with small values: the tables, the picture, and what they count.
# That the bytes of the link are those of the report, and that no beat of the guest is lost, the lab itself looks at.
. "$(dirname "$0")/lib.sh"
need_kvm
need python3
lab=$(dirname "$0")/../bench/lab
has_qemu=$(command -v qemu-system-x86_64 || true)

run_lab() { # run_lab STATUS OPTION...
	lab_status=$1
	shift
	expect "$lab_status" timeout 100 python3 "$lab" --build "$STASIS_BUILD" --ram 16 --used 4 --set 2 --rate 500 \
		--bandwidth 20e6 --latency 0.001 "$@"
}

# rows NAME: of the program's rows in the table of rounds, and in the summary, the cells without the bars.
rounds_of() {
	sed -n "s/^| $1 | \([0-9]* | .*\) |$/\1/p" "$out" | tr -d '|'
}
summary_of() {
	sed -n "s/^| as asked for | $1 | \(.*\) |$/\1/p" "$out" | tr -d '|'
}

# Rounds are numbered from 0; the first has what is in use, but for what QEMU's socket still holds; together they are less than what went over the link, by what the
# state and the last pages are; and the summary counts them.
agrees() { # agrees NAME
	{
		rounds_of "$1"
		echo summary
		summary_of "$1"
	} | awk '
	$1 == "summary" { is_summary = 1; next }
	!is_summary { wrong += NF != 9 || $1 != rounds++; sum += $2; first = rounds == 1 ? $2 : first }
	is_summary { seen++; wrong += $7 != rounds; total = $6 }
	END { exit !(seen == 1 && rounds > 0 && wrong == 0 && first >= 3 && sum <= total + 0.01 * rounds && total < sum + 8) }'
}

programs=stasis
[ -z "$has_qemu" ] || programs=stasis,qemu
run_lab 0 --programs "$programs"
check "rounds of Stasis: $(rounds_of Stasis)" agrees Stasis
check "pages of the first round" [ "$(rounds_of Stasis | awk 'NR == 1 { print ($3 >= 1024) }')" = 1 ]
if [ -n "$has_qemu" ]; then
	check "rounds of QEMU: $(rounds_of QEMU)" agrees QEMU
	check "ratios are by the last program" [ "$(summary_of QEMU | awk '{ print $8, $9, $10 }')" = "1.00 1.00 1.00" ]
else
	echo "SKIPPED: the same with QEMU: there is no qemu-system-x86_64 here"
fi

if command -v gnuplot >/dev/null; then
	run_lab 0 --programs stasis --cpus 2 --turns 2 --plot "$work/plot.svg"
	expect 0 python3 -c 'import sys, xml.etree.ElementTree as tree
print(" ".join(tree.parse(sys.argv[1]).getroot().itertext()))' "$work/plot.svg"
	prints 'Stasis: the guest stood still for [0-9.]+ ms'
	prints 'over the link, MiB'
	prints 'written by the guest meanwhile'
	prints 'since the request, s'
else
	echo "SKIPPED: the picture: there is no gnuplot here"
	run_lab 2 --plot "$work/plot.svg"
	complains 'gnuplot is missing; scripts/install-deps.sh lab installs it'
fi

run_lab 1 --programs stasis --rate 4000 --bandwidth 8e6 --downtime 0.01
complains '^migrate-lab: Stasis, as asked for: migration to lab: it does not converge: '
expect 0 "$stasis" host
if grep -q '^post-copy: yes$' "$out"; then
	run_lab 0 --programs stasis --rate 4000 --bandwidth 8e6 --mode post-copy
	check "rounds: $(rounds_of Stasis)" [ -n "$(rounds_of Stasis)" ]
else
	echo "SKIPPED: the same with post-copy: $(grep '^post-copy: ' "$out")"
fi
run_lab 2 --programs stasis,none
complains 'programs none: expected one or more of stasis, qemu$'
run_lab 2 --mode teleport
complains 'mode teleport: Stasis has pre-copy, post-copy$'
finish
