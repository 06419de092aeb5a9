#!/bin/sh
# usage: scripts/ctest-summary.sh JUNIT-FILE...
#
# Sums up what ctest --output-junit wrote: tests that failed, and all that was skipped, with the reasons, which tests print
# as "SKIPPED: reason".  The last line is "N passed, N failed, N skipped".  Status 1 where one failed or none ran.
set -eu

awk '
# An attribute of the line, without what XML writes for special characters.
function attribute(name,  value) {
	value = $0
	if (!sub(".* " name "=\"", "", value))
		return ""
	sub("\".*", "", value)
	return plain(value)
}

function plain(text) {
	gsub("&lt;", "<", text)
	gsub("&gt;", ">", text)
	gsub("&quot;", "\"", text)
	gsub("&apos;", "'\''", text)
	gsub("&amp;", "\\&", text)
	return text
}

/<testcase / {
	name = attribute("name")
	status = attribute("status")
	message = ""
	seen = 0
}
/<skipped / { message = attribute("message") }
/SKIPPED: / {
	line = plain($0)
	sub(".*SKIPPED: ", "", line)
	reasons[++seen] = line
}
# A test that did not run is skipped if it said so itself by its status; else, as without its program, it failed.
/<\/testcase>/ {
	if (status == "run") {
		passed++
		for (i = 1; i <= seen; i++)
			parts[++nr_parts] = name ": " reasons[i]
	} else if (message ~ /^SKIP_/) {
		whole[++skipped] = name ": " (seen > 0 ? reasons[1] : message)
	} else {
		failed++
		print "FAILED: " name
	}
}

END {
	for (i = 1; i <= skipped; i++)
		print "SKIPPED: " whole[i]
	if (nr_parts > 0)
		print "In tests that passed, " nr_parts " parts were skipped:"
	for (i = 1; i <= nr_parts; i++)
		print "SKIPPED: " parts[i]
	print passed + 0 " passed, " failed + 0 " failed, " skipped + 0 " skipped"
	exit failed > 0 || passed == 0
}' "$@"
