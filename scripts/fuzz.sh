#!/usr/bin/env bash
# Runs every fuzz target of the packages it is given, one after the other, for FUZZTIME each (30s), and says at the end
# how often each was executed. An input that fails is kept in the package's testdata/fuzz, and fails `go test` from then on.
set -euo pipefail
fuzztime=${FUZZTIME:-30s}

# go test -list prints a package's targets and then "ok PACKAGE TIME".
targets=$(go test -list '^Fuzz' "${@:-./...}" | awk '/^Fuzz/ {names[n++] = $1} $1 == "ok" {for (i = 0; i < n; i++) print $2, names[i]; n = 0}')
[ -n "$targets" ] || { echo "fuzz: there is no fuzz target in ${*:-./...}" >&2; exit 1; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
summary=() failed=()
while read -r package name; do
	echo "== $package $name for $fuzztime"
	outcome=passed
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime" "$package" </dev/null 2>&1 | tee "$log" || { outcome=FAILED; failed+=("$package $name"); }
	executions=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
	summary+=("$(printf '%-7s %10s executions  %s %s' "$outcome" "${executions:-no}" "$package" "$name")")
done <<<"$targets"

printf '\nfuzz: %d targets, %s each\n' "${#summary[@]}" "$fuzztime"
printf '  %s\n' "${summary[@]}"
[ ${#failed[@]} -eq 0 ]
