#!/bin/sh
# What an emulated host runs: the tests whose names it is given, with their arguments.
# usage: run.sh 'TEST [ARGUMENT...]'...     a test is TEST.sh of this folder; the status is 1 where one failed
cd "$(dirname "$0")" || exit 71
result=0
for test; do
	# shellcheck disable=SC2086 # words
	set -- $test
	name=$1
	shift
	sh "./$name.sh" "$@" || result=1
done
exit $result
