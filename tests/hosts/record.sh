# shellcheck shell=bash disable=SC2154 # run-tests has the variables
# What run-tests holds against what is recorded: each host's rules (golden/), and which snapshots crossed (docs/HOSTS.md).
# Numbers that change with every kernel, of registers, bytes or versions, are not recorded.

# result NAME: passed with status 0, else failed.
result() {
	local status=$?
	if [ $status = 0 ]; then
		echo "ok    $1"
		count "$1" 1 0 0
	else
		echo "FAIL  $1; where that is right, run-tests --write records it"
		count "$1" 0 1 0
	fi
}

# rules HOST: what has to stay as it is of what stasis host says there, and how many checks there were: none is lost unseen.
rules() {
	awk '/^kernel:|^post-copy:|^one_reg rules:/ { next }
		/^capability / { print $1, $2, ($3 > 0 ? "yes" : "no"); next }
		/^registers:/ { print $1, "MSRs", ($(NF - 1) > 0 ? "and synthetic ones" : "alone"); next }
		/^one_reg / { sub(/: .*/, ""); $1 = $1 }
		{ print }' "$work/$1.out/host"
	awk '{ print "checks before snapshots crossed: " $1 + $2 ", skipped: " $3 }' "$work/counts/$1.first"
}

# is_p FILE: is this machine the kind of host that the documents call P?
is_p() {
	grep -q '^kernel: Linux 6\.18\.' "$1" && grep -q '^vendor: AuthenticAMD$' "$1" &&
		grep -q '^capability KVM_CAP_NESTED_STATE  *0 ' "$1"
}

record_rules() {
	local host file
	for host in "${selected[@]}"; do
		file=$work/$host.out/host
		if [ ! -s "$file" ]; then
			false
			result "rules-${title[$host]}"
		elif [ "$host" = here ] && ! is_p "$file"; then
			echo "skip  rules-P: this machine's KVM is another one: $(head -n 2 "$file" | tr '\n' ' ')"
			count rules-P 0 0 1
		elif [ "$action" = write ]; then
			rules "$host" >"$here/golden/${title[$host]}.host"
		else
			rules "$host" | diff -u --label "recorded, ${title[$host]}" --label found \
				"$here/golden/${title[$host]}.host" -
			result "rules-${title[$host]}"
		fi
	done
}

# row FROM TO: a line of the table, as measured; as recorded where it was not.
row() {
	local pairs
	pairs=$(cat "$work"/*.out/pairs 2>/dev/null | grep "^$1 $2 " || :)
	if [ -z "$pairs" ] || { [[ " $1 $2 " == *" P "* ]] && ! is_p "$work/here.out/host"; }; then
		grep -F "| $1 → $2 |" "$document" || :
		return
	fi
	awk -v from="$1" -v to="$2" '
		{
			cpu = $3
			line = $0
			kinds = guests = line
			sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", kinds)
			sub(/ *\/.*/, "", kinds)
			sub(/.*\/ */, "", guests)
			gsub(/ /, ", ", kinds)
			gsub(/ /, ", ", guests)
			way[cpu] = kinds
			went[cpu] = guests
		}
		END {
			host = way["host"] == "" ? "taken" : "refused: " way["host"]
			need = way["x86-64-v1"] == "" ? "nothing" : way["x86-64-v1"]
			printf "| %s → %s | %s | %s | %s |\n", from, to, host, need, went["x86-64-v1"]
		}' <<<"$pairs"
}

crossings() {
	local from to
	echo "| from → to | \`--cpu host\` | \`--cpu x86-64-v1\`: to be allowed | guests that then go on as at home |"
	echo "|---|---|---|---|"
	for from in "${hosts[@]}"; do
		for to in "${hosts[@]}"; do
			[ "$from" = "$to" ] || row "${title[$from]}" "${title[$to]}"
		done
	done
}

record_crossings() {
	crossings >"$work/crossings"
	"$top/scripts/doc-block.sh" "$action" "$document" "measured: crossings" <"$work/crossings"
	result crossings
}
