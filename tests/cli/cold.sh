# The program is linked twice (vmm/CMakeLists.txt): what its cold constants hold is from the first, unpacked one.  They must
# stand in the same order there, and read the same.
. "${0%/*}/lib.sh"

need objdump
unpacked=$STASIS_BUILD/vmm/stasis_unpacked

order() { # order PROGRAM: the section's constants by address, with their sizes
	objdump -t -j cold "$1" | sort | awk 'NF > 4 && $(NF - 2) == "cold" && $(NF - 1) !~ /^0*$/ { print $(NF - 1), $NF }'
}
same() { # same WHAT: of the files that begin with its name
	check "$1 of the unpacked program is another" cmp -s "$work/$1.unpacked" "$work/$1.packed"
}

order "$unpacked" >"$work/order.unpacked"
order "$stasis" >"$work/order.packed"
check "there are too few cold constants" [ "$(wc -l <"$work/order.packed")" -gt 400 ]
same order

# Help, and errors of many files; the statuses are the same thing told by other tests.
says() { # says PROGRAM
	for command in '' run roundtrip restore receive ctl host; do
		"$1" $command --help
	done
	"$1" restore "$work/nothing"
	"$1" inspect "$0"
	"$1" run --mem much
	"$1" run --guest nobody
	"$1" compare "$0" "$0"
	"$1" ctl "$work/nothing" status
	"$1" check --allow NOBODY "$0"
	"$1" check --allow ARCH_CAPABILITIES "$0"
	"$1" check --without IA32_KERNEL_GS_BASE "$0"
	"$1" check --without 'IA32_MC32_CTL' "$0"
	"$1" check --allow CR4.CET "$0"
}
says "$unpacked" >"$work/text.unpacked" 2>&1
says "$stasis" >"$work/text.packed" 2>&1
check "little was said" [ "$(wc -l <"$work/text.packed")" -gt 100 ]
same text
finish
