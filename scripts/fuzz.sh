#!/usr/bin/env bash
# Runs every fuzz target of the packages it is given, one after the other, for FUZZTIME each (30s).
set -euo pipefail
fuzztime=${FUZZTIME:-30s}

# go test -list prints a package's targets and then "ok PACKAGE TIME".
targets=$(go test -list '^Fuzz' "${@:-./...}" | awk '/^Fuzz/ {names[n++] = $1} $1 == "ok" {for (i = 0; i < n; i++) print $2, names[i]; n = 0}')
[ -n "$targets" ] || { echo "fuzz: there is no fuzz target in ${*:-./...}" >&2; exit 1; }

failed=()
while read -r package name; do
	echo "== $package $name for $fuzztime"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime" "$package" </dev/null || failed+=("$package $name")
done <<<"$targets"

if [ ${#failed[@]} -gt 0 ]; then
	printf 'fuzz: failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
