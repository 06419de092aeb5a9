# Completion for bash: commands, options and requests, as the program itself lists them (--help), so that nothing is
# listed twice.  make install puts it where bash-completion looks; otherwise: source scripts/completion.bash

# The words that a help text lists: _stasis_words PATTERN COMMAND...
_stasis_words()
{
	local pattern=$1
	shift
	"$@" 2>/dev/null | sed -n "s/^  \($pattern\)[ ].*/\1/p"
}

# What may stand behind an option that takes one of a few words.
_stasis_values()
{
	case $1 in
	--guest) "$2" guests 2>/dev/null | sed -n 's/^\([a-z-]*\) .*/\1/p' ;;
	--irqchip) echo full split none ;;
	--cpu) echo host x86-64-v1 x86-64-v2 x86-64-v3 ;;
	--regs) echo one-reg msrs ;;
	--clock) echo continue realtime ;;
	--at) echo checkpoint checkpoint= exits= after= ;;
	esac
}

_stasis()
{
	local stasis=$1 word=$2 before=$3 command=${COMP_WORDS[1]}
	local words
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="$(_stasis_words '[a-z]*' "$stasis" --help) --help --version"
	else
		words=$(_stasis_values "$before" "$stasis")
		if [ -z "$words" ]; then
			case $word in
			-*) words=$(_stasis_words '--[a-z-]*' "$stasis" "$command" --help) ;;
			*) [ "$command" = ctl ] && [ "$COMP_CWORD" -eq 3 ] && words=$(_stasis_words '[a-z]*' "$stasis" ctl --help) ;;
			esac
		fi
	fi
	# Without words, names of files (-o default).
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _stasis stasis
