#!/bin/sh
# Generations: a snapshot is restored, and the guest goes on to the next one, in a process each.
# usage: generations.sh MEMORY SMP    so many of the guest that verifies its memory, and of four CPUs that pass a token
#                                     round by IPI, which is on its way in each
. "$(dirname "$0")/lib.sh"

# generations NAME NUMBER LAST-LINE OPTIONS...: of a guest that has a checkpoint in each of its rounds.
generations() {
	name="$2 generations of $1" number=$2 last=$3 nr=1
	shift 3
	run run --mem 8M "$@" --snapshot snap --at checkpoint
	while [ "$status" = 0 ] && [ $nr -lt "$number" ]; do
		nr=$((nr + 1))
		"$stasis" restore --snapshot snap --at checkpoint snap >output 2>&1 </dev/null
		status=$?
		# By then each page that the guest ever uses has been written.
		[ $nr != 3 ] || early=$(du -k snap | cut -f 1)
	done
	if [ "$status" != 0 ]; then
		fail "$name" "generation $nr ended with status $status"
		return
	fi
	late=$(du -k snap | cut -f 1)
	if [ "$late" -gt "$early" ]; then
		fail "$name: the file does not grow" "generation 3 had $early KiB, the last has $late KiB"
	else
		pass "$name: the file does not grow"
	fi
	run restore snap
	expect "$name" 1 "$last"
}

generations memory "$1" '^memory: all as written' --guest memory --append "pages=64 rounds=$1 each-round"
generations smp "$2" '^round 200 of 200' --guest smp --cpus 4 --append each-round
finish
