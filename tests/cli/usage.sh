# Commands, options and their arguments: help for all of them, and sentences for what is wrong.  Needs no KVM.
. "$(dirname "$0")/lib.sh"

commands='run roundtrip restore compare inspect verify check host guests ctl'

expect 0 "$stasis" --version
prints '^stasis [0-9]+\.[0-9]+\.[0-9]+$'
complains_nothing

expect 0 "$stasis" --help
complains_nothing
for command in $commands; do
	prints "^  $command "
done
expect 64 "$stasis"
prints_nothing
complains '^usage: stasis COMMAND'

for command in $commands; do
	expect 0 "$stasis" "$command" --help
	prints "^usage: stasis $command"
	prints '^  --help  '
	complains_nothing
	expect 64 "$stasis" "$command" --nonsense
	prints_nothing
	complains_once "$command --nonsense: no such option; stasis $command --help lists them"
	expect 64 "$stasis" "$command" one two three four
	complains_once "$command: 4 arguments, expected"
done
expect 0 "$stasis" run --help
for option in mem cpus cpu irqchip guest real long load entry append module snapshot at continue regs trace-io \
	no-sandbox; do
	prints "^  --$option "
done
expect 0 "$stasis" roundtrip --help
for option in guest at keep until regs allow without clock json; do
	prints "^  --$option "
done
expect 0 "$stasis" restore --help
for option in regs allow without clock snapshot at trace-io no-sandbox; do
	prints "^  --$option "
done

expect 64 "$stasis" dance
prints_nothing
complains_once 'dance: no such command; stasis --help lists them'
for command in restore compare inspect verify check ctl; do
	expect 64 "$stasis" "$command"
	complains_once "$command: 0 arguments, expected"
done

wrong() { # wrong TEXT OPTION...: a run that is refused with that sentence
	text=$1
	shift
	expect 64 "$stasis" run --guest counter "$@"
	prints_nothing
	complains_once "$text"
}
for size in 1X 128MB -1M '' M 99999999999999T 0x; do
	wrong '--mem .*: expected a size, as in 128M or 2G' --mem "$size"
done
for size in 0 4K 1000000 2049K1; do
	wrong '' --mem "$size"
done
for number in 0 17 -1 1x '' 4294967297; do
	wrong '--cpus .*: expected a number from 1 to 16' --cpus "$number"
done
wrong '--cpu x86-64-v9: expected host, x86-64-v1, x86-64-v2 or x86-64-v3' --cpu x86-64-v9
wrong '--irqchip half: expected full, split or none' --irqchip half
wrong '--regs both: expected one-reg or msrs' --regs both
wrong '--load here: expected an address, as in 0x100000' --load here
wrong '--entry 0xg: expected an address' --entry 0xg
for when in checkpoint= checkpoint=x exits=0 exits= exits=x after=1 after=1h after= after=-1s soon; do
	wrong "--at $when: expected checkpoint, checkpoint=N, exits=N or after=TIME" --snapshot "$work/no" --at "$when"
done
wrong 'run --mem: an argument is missing' --mem
wrong '--snapshot FILE must say where' --at checkpoint
wrong '--continue goes with --at' --continue --snapshot "$work/no"
wrong '--guest nobody: no such guest; stasis guests lists them' --guest nobody
wrong 'both an image, x, and --guest counter' x
expect 64 "$stasis" run
complains_once 'neither an image nor --guest is named'
for when in 1h 0 x ''; do
	expect 64 "$stasis" roundtrip --until "$when"
	complains_once "--until $when: expected exit, a time \(2s\) or a number of bytes"
done
expect 64 "$stasis" restore --without NOBODY "$work/no"
complains_once "--without NOBODY: expected a register's or a component's name"
finish
