#!/bin/sh
# scripts/ctest-summary.sh counts right: nothing passes that did not run.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/results.xml" <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="(empty)" tests="6" failures="2" disabled="0" skipped="2">
	<testcase name="a/passed" classname="a/passed" time="0.002" status="run">
		<system-out>fine
</system-out>
	</testcase>
	<testcase name="b/skipped" classname="b/skipped" time="0.002" status="notrun">
		<skipped message="SKIP_RETURN_CODE=77"/>
		<system-out>SKIPPED: no &lt;kvm&gt; &amp; &quot;more&quot;
</system-out>
	</testcase>
	<testcase name="c/partly" classname="c/partly" time="0.002" status="run">
		<system-out>SKIPPED: row 3: not here
</system-out>
	</testcase>
	<testcase name="d/failed" classname="d/failed" time="0.002" status="fail">
		<failure message="Failed"/>
		<system-out></system-out>
	</testcase>
	<testcase name="e/silent" classname="e/silent" time="0.002" status="notrun">
		<skipped message="SKIP_RETURN_CODE=77"/>
		<system-out></system-out>
	</testcase>
	<testcase name="f/missing" classname="f/missing" time="0" status="notrun">
		<skipped message="Unable to find executable"/>
		<system-out></system-out>
	</testcase>
</testsuite>
END
cat >"$folder/expected" <<'END'
FAILED: d/failed
FAILED: f/missing
SKIPPED: b/skipped: no <kvm> & "more"
SKIPPED: e/silent: SKIP_RETURN_CODE=77
In tests that passed, 1 parts were skipped:
SKIPPED: c/partly: row 3: not here
2 passed, 2 failed, 2 skipped
END
! scripts/ctest-summary.sh "$folder/results.xml" >"$folder/found" || { echo "FAILED: failures give status 0"; exit 1; }
diff -u "$folder/expected" "$folder/found"

echo '<testsuite></testsuite>' >"$folder/results.xml"
! scripts/ctest-summary.sh "$folder/results.xml" >"$folder/found" || { echo "FAILED: no test at all gives status 0"; exit 1; }
