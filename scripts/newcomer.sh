#!/usr/bin/env bash
# The path of somebody new, timed: from an empty folder to the first answer of a service of their own. The clone, the module
# cache and nothing else is there; Go's build cache may be warm or, with COLD=1, empty. Prints the seconds of each step and of
# all, in elapsed and in processor time; exits with 1 when the processor time is over LIMIT seconds (60).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
limit=${LIMIT:-60}
work=$(mktemp -d)
pids=()
finish() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	chmod -R u+w "$work" && rm -rf "$work"
}
trap finish EXIT
export GOFLAGS=-mod=mod GOPROXY=off GOSUMDB=off GOWORK=off CGO_ENABLED=0 GOBIN=$work/bin
unset "${!STELLA_@}"
if [ -n "${COLD:-}" ]; then export GOCACHE=$work/cache; fi

# port is one that nobody listens on.
port() {
	local p
	for _ in $(seq 100); do
		p=$((20000 + RANDOM % 10000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; then echo "$p"; return; fi
	done
	echo "newcomer: no port is free" >&2
	return 1
}
http=127.0.0.1:$(port) listen=tcp://127.0.0.1:$(port) admin=127.0.0.1:$(port)

began=$(date +%s%N)
step() { printf '%6.1f s  %s\n' "$(($(date +%s%N) / 1000000 - began / 1000000))e-3" "$1"; }

(cd "$root" && go install ./generator/cmd/stellagen ./gateway/cmd/stella-gateway)
step "installed stellagen and stella-gateway"
cd "$work"
bin/stellagen init hello --router "$root" >/dev/null 2>&1
cd hello
step "stellagen init hello"
go build -o hello .
step "built the service"
../bin/stella-gateway run --http "$http" --listen "$listen" --admin "$admin" >../gateway.log 2>&1 &
pids+=($!)
STELLA_GATEWAYS=$listen ./hello >../hello.log 2>&1 &
pids+=($!)
answer=
for _ in $(seq 200); do
	if answer=$(curl -fsS --max-time 5 "http://$http/hello/Ada" 2>/dev/null); then break; fi
	sleep 0.05
done
if [ "$answer" != '{"text":"Hello, Ada!"}' ]; then
	echo "newcomer: expected the greeting of Ada from http://$http/hello/Ada, got: $answer" >&2
	cat ../gateway.log ../hello.log >&2
	exit 1
fi
step "first answer: $answer"
times >"$work/times" # in a subshell it would be that one's
ms=$(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); ms += t[1] * 60000 + t[2] * 1000 } printf "%d\n", ms }' "$work/times")
printf '%6.1f s  of processor time, %s allowed\n' "${ms}e-3" "$limit"
[ "$ms" -le $((limit * 1000)) ] || { echo "newcomer: it took too long" >&2; exit 1; }
