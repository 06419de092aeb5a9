# Clients that do what they should not, at a machine whose guest must not notice.
. "$(dirname "$0")/lib.sh"
need_kvm
need python3
expect 0 python3 "$(dirname "$0")/control_hostile.py" "$stasis" "$work/s"
prints_nothing
finish
