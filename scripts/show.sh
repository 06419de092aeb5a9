# Commands that are shown with what they print; for the demo and the session of README.md.
# shellcheck shell=sh

# show COMMAND: prints a command line and runs it.
show() {
	printf '\n$ %s\n' "$1"
	sh -c "$1" </dev/null
}

# show_lines NUMBER COMMAND: the same, and ends the command when it has printed so many lines.
show_lines() {
	printf '\n$ %s\n' "$2"
	mkfifo output
	timeout 20 sh -c "exec $2" >output </dev/null &
	exec 3<output
	head -n "$1" <&3
	kill $!
	{ wait $! || [ $? -eq 143 ]; } 2>/dev/null # the shell would tell that it was killed
	exec 3<&-
	rm output
}
