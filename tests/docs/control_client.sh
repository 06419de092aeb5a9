#!/bin/sh
# usage: control_client.sh STASIS
#
# The client in docs/CONTROL.md, as it stands there, at a running machine.
set -eu
[ -r /dev/kvm ] && [ -w /dev/kvm ] || { echo "SKIPPED: /dev/kvm is missing or may not be opened"; exit 77; }
command -v python3 >/dev/null || { echo "SKIPPED: there is no python3 here"; exit 77; }

stasis=$1
folder=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$folder"' EXIT
sed -n '/^<!-- example: client -->$/,/^<!-- end of example: client -->$/p' docs/CONTROL.md | sed '1,2d;$d' | sed '$d' \
	>"$folder/client.py"
"$stasis" run --mem 8M --guest counter --control "$folder/socket" >/dev/null 2>&1 &
pid=$!
tries=0
while [ ! -S "$folder/socket" ] && [ "$tries" -lt 200 ]; do
	sleep 0.05
	tries=$((tries + 1))
done
timeout 30 python3 "$folder/client.py" "$folder/socket" "$folder/my snapshot" >"$folder/out"
wait "$pid"
pid=
cat >"$folder/wanted" <<END
paused
$folder/my snapshot True
usage: dance: no such request; help lists them
END
diff -u "$folder/wanted" "$folder/out"
"$stasis" verify "$folder/my snapshot"
