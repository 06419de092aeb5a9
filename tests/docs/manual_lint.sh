#!/bin/sh
# docs/stasis.1 is free of what mandoc warns of.
if ! command -v mandoc >/dev/null; then
	echo "SKIPPED: mandoc is not installed"
	exit 77
fi
warnings=$(mandoc -Tlint docs/stasis.1)
echo "$warnings"
[ -z "$warnings" ]
