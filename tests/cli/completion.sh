# Completion for bash, of the program as it is.
. "$(dirname "$0")/lib.sh"
need bash
script=$(dirname "$0")/../../scripts/completion.bash

completes() { # completes WORDS... -- EXPECTED...: the last word is being typed
	last="completing $*"
	bash -c '
		source "$1"
		shift
		COMP_WORDS=() words=
		while [ "$1" != -- ]; do
			COMP_WORDS+=("$1")
			shift
		done
		shift
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_stasis "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
		printf "%s\n" "${COMPREPLY[@]}" >"$0"
		[ "${COMPREPLY[*]}" = "$*" ]
	' "$out" "$script" "$@" 2>"$err"
	check "expected something else" [ $? -eq 0 ]
	complains_nothing
}
completes "$stasis" re -- restore receive
completes "$stasis" ro -- roundtrip
completes "$stasis" --v -- --version
completes "$stasis" run --rew -- --rewind-every --rewinds
completes "$stasis" run --guest memory- -- memory-smp
completes "$stasis" run --irqchip '' -- full split none
completes "$stasis" restore --clock '' -- continue realtime
completes "$stasis" run --cpus '' --
completes "$stasis" restore '' --
completes "$stasis" restore file --verify -- --verify-memory
completes "$stasis" ctl '' --
completes "$stasis" ctl socket s -- status stats snapshot
completes "$stasis" ctl socket snapshot '' --
completes "$stasis" ctl socket snapshot file --inc -- --incremental
completes "$stasis" nonsense - --
# All commands, whatever they are.
commands=$("$stasis" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | tr '\n' ' ')
completes "$stasis" '' -- $commands --help --version
finish
