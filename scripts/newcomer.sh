#!/usr/bin/env bash
# The paths of somebody new, timed. First from an empty folder to the first answer of a service of their own: the clone, the module
# cache and nothing else is there; Go's build cache may be warm or, with COLD=1, empty. Then from the chi service of
# examples/migration to its first answer through a gateway, command by command. Prints the seconds of each step and of all, in
# elapsed and in processor time; exits with 1 when the first path's processor time is over LIMIT seconds (60), or the second takes
# ten commands or more.
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

# answered waits for an answer of a URL, and expects it.
answered() {
	local answer=
	for _ in $(seq 200); do
		if answer=$(curl -fsS --max-time 5 "$1" 2>/dev/null); then break; fi
		sleep 0.05
	done
	[ "$answer" = "$2" ] && return
	echo "newcomer: expected $2 from $1, got: $answer" >&2
	cat "$work"/*.log >&2
	return 1
}

(cd "$root" && go install ./generator/cmd/stellagen ./gateway/cmd/stella-gateway)
PATH=$work/bin:$PATH
step "installed stellagen and stella-gateway"
cd "$work"
stellagen init hello --router "$root" >/dev/null 2>&1
cd hello
step "stellagen init hello"
go build -o hello .
step "built the service"
stella-gateway run --http "$http" --listen "$listen" --admin "$admin" >../gateway.log 2>&1 &
pids+=($!)
STELLA_GATEWAYS=$listen ./hello >../hello.log 2>&1 &
pids+=($!)
answered "http://$http/hello/Ada" '{"text":"Hello, Ada!"}'
step "first answer"
times >"$work/times" # in a subshell it would be that one's
ms=$(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); ms += t[1] * 60000 + t[2] * 1000 } printf "%d\n", ms }' "$work/times")
printf '%6.1f s  of processor time, %s allowed\n' "${ms}e-3" "$limit"
[ "$ms" -le $((limit * 1000)) ] || { echo "newcomer: it took too long" >&2; exit 1; }

# The chi service is a module of its own, as it would be.
mkdir -p "$work/shop/cmd/shop"
cd "$work/shop"
sed 's|github.com/stella-ops/router/examples/migration/|shop/|' "$root/examples/migration/before/shop.go" >shop.go
cp -r "$root/examples/migration/books" .
grep chi "$root/examples/migration/go.sum" >go.sum
printf 'module shop\n\ngo 1.26.0\n\nrequire %s\n' "$(grep -o 'github.com/go-chi/chi/v5 v[^ ]*' "$root/examples/migration/go.mod")" >go.mod
go build ./...

began=$(date +%s%N) count=0
# command runs a command of the path, and counts it.
command() {
	count=$((count + 1))
	printf '%6.1f s  %d: %s\n' "$(($(date +%s%N) / 1000000 - began / 1000000))e-3" "$count" "$1"
	eval "$1" >>"$work/shop.log" 2>&1 || { echo "newcomer: $1: failed" >&2; cat "$work/shop.log" >&2; exit 1; }
}
command "go mod edit -require github.com/stella-ops/router@v0.0.0 -replace github.com/stella-ops/router=$root"
command "stellagen migrate --bridge --public 'the shop guards itself'"
command "stellagen generate"
command "cp $root/examples/migration/bridge/cmd/shop/main.go cmd/shop/ && sed -i 's|github.com/stella-ops/router/examples/migration/bridge|shop|; s|github.com/stella-ops/router/examples/migration/|shop/|' cmd/shop/main.go"
cat "$root/go.sum" >>go.sum # which go mod tidy would get from the network
command "go build -o shop-service ./cmd/shop"
STELLA_GATEWAYS=$listen command "./shop-service & pids+=(\$!)"
command "answered http://$http/health '{\"status\":\"ok\"}'"
step "the chi service answers through the gateway, after $count commands and the one that starts a gateway"
[ "$count" -lt 9 ] || { echo "newcomer: it took too many commands" >&2; exit 1; }
