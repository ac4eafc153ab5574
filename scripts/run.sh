#!/usr/bin/env bash
# What `make run` does after building: starts the gateway and the billing example as two processes over TCP, waits
# until billing is routable, prints commands to try, and drains both on Ctrl-C.
#
# Addresses, so that a second copy can run beside the first:
#   STELLA_HTTP    where the gateway takes HTTP            127.0.0.1:8080
#   STELLA_LISTEN  where services dial the gateway         tcp://127.0.0.1:5100
#   STELLA_ADMIN   the gateway's admin address             127.0.0.1:5190
#   STELLA_RUN     logs, pids, token and data              .run
set -euo pipefail

# A shell that starts this in the background ignores SIGINT on its behalf, and bash cannot take that back.
if [ -n "$(trap -p INT)" ] && [ -z "${STELLA_RERUN:-}" ] && env --default-signal=INT true 2>/dev/null; then
	STELLA_RERUN=1 exec env --default-signal=INT "$BASH" "$0" "$@"
fi
cd "$(dirname "$0")/.."

http=${STELLA_HTTP:-127.0.0.1:8080}
listen=${STELLA_LISTEN:-tcp://127.0.0.1:5100}
admin=${STELLA_ADMIN:-127.0.0.1:5190}
run=${STELLA_RUN:-.run}
grace=3s         # for calls that are open when it ends
ready_within=15  # seconds until billing has to be routable
ended_within=45  # tenths of a second until a process that drains is killed
unset STELLA_HTTP STELLA_LISTEN STELLA_ADMIN STELLA_RUN STELLA_RERUN STELLA_GATEWAYS

say() { printf '%s\n' "$*"; }
fail() { printf 'run: %s\n' "$*" >&2; exit 1; }

# taken ADDRESS: somebody listens there.
taken() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

# ask METHOD ADDRESS PATH [BODY] prints the whole answer. HTTP by hand, because curl may be missing.
ask() {
	local token=''
	[ ! -s "$run/token" ] || token=$(<"$run/token")
	(
		exec 3<>"/dev/tcp/${2%:*}/${2##*:}"
		printf '%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
			"$1" "$3" "$2" "$token" "${#4}" "$4" >&3
		timeout 2 cat <&3
	) 2>/dev/null
}

# routable: a request with the token reaches billing through the gateway.
routable() { [ -s "$run/token" ] && [[ $(ask GET "$http" '/invoices?limit=1' '') == 'HTTP/1.1 200 '* ]]; }

bin/stellagen check ./... || fail "generated code is not current (exit $?): run 'go generate' in the repository's root, and look at what changes"
for address in "$http" "${listen#tcp://}" "$admin"; do
	! taken "$address" || fail "$address is taken: end what listens there, or set STELLA_HTTP, STELLA_LISTEN or STELLA_ADMIN to another address"
done
mkdir -p "$run"
rm -f "$run/token"

stop=''
trap 'stop=1' INT TERM

# Each child gets a process group of its own (set -m), so that Ctrl-C reaches only this script, which then tells both
# once: a second signal would end them without a drain.
set -m
STELLA_GRACE=$grace bin/stella-gateway run --http "$http" --listen "$listen" --admin "$admin" \
	--dev --dev-token-file "$run/token" </dev/null >"$run/gateway.log" 2>&1 &
gateway=$!
echo "$gateway" >"$run/gateway.pid"
STELLA_GRACE=$grace STELLA_GATEWAYS="$listen" bin/billing --data "$run/billing" </dev/null >"$run/billing.log" 2>&1 &
billing=$!
echo "$billing" >"$run/billing.pid"
set +m

code_gateway='' code_billing=''
# reap notes which process has ended, and its exit code.
reap() {
	if [ -z "$code_gateway" ] && ! kill -0 "$gateway" 2>/dev/null; then wait "$gateway" && code_gateway=0 || code_gateway=$?; fi
	if [ -z "$code_billing" ] && ! kill -0 "$billing" 2>/dev/null; then wait "$billing" && code_billing=0 || code_billing=$?; fi
}

# drain ends both processes and this script, with 0 if both ended with 0.
drain() {
	trap '' INT TERM
	reap
	[ -n "$code_billing" ] || kill -TERM "$billing" 2>/dev/null || true
	[ -n "$code_gateway" ] || kill -TERM "$gateway" 2>/dev/null || true
	for ((i = 0; i < ended_within; i++)); do
		reap
		[ -z "$code_gateway" ] || [ -z "$code_billing" ] || break
		sleep 0.1
	done
	[ -n "$code_billing" ] || { say "billing does not end, killing it"; kill -KILL "$billing"; }
	[ -n "$code_gateway" ] || { say "gateway does not end, killing it"; kill -KILL "$gateway"; }
	sleep 0.05
	reap
	say "billing ended with exit $code_billing"
	say "gateway ended with exit $code_gateway"
	[ "$code_billing" = 0 ] && [ "$code_gateway" = 0 ] && exit "${1:-0}"
	exit 1
}

# died ends everything because a process ended that nobody asked to.
died() {
	for name in gateway billing; do
		local code="code_$name"
		[ -z "${!code}" ] || { say "run: $name ended by itself with exit ${!code}; the end of $run/$name.log:" >&2; tail -n 20 "$run/$name.log" >&2; }
	done
	drain 1
}
# interrupted drains if somebody has asked to end.
interrupted() {
	[ -n "$stop" ] || return 0
	say
	say "draining, for at most $grace"
	drain
}

for ((i = 0; i < ready_within * 20; i++)); do
	interrupted
	reap
	[ -z "$code_gateway$code_billing" ] || died
	if routable; then break; fi
	sleep 0.05
done
if ! routable; then
	say "run: billing is not routable after $ready_within s; the logs end:" >&2
	tail -n 20 "$run/gateway.log" "$run/billing.log" >&2
	drain 1
fi

# A first invoice, so that every command below works by itself.
invoice=$(ask POST "$http" /invoices '{"customer":"ada","currency":"EUR","lines":[{"description":"engine","quantity":1,"unitCents":4200}]}' |
	grep -o 'inv-[a-z0-9]*' | head -n 1) || { say "run: billing takes no invoice; its log ends:" >&2; tail -n 20 "$run/billing.log" >&2; drain 1; }
echo "$invoice" >"$run/invoice"
auth="-H \"Authorization: Bearer \$(cat $run/token)\""

cat <<END

billing is routable: http://$http  (who is connected: http://$admin/v1/services)

Try, in another terminal, from this folder:

  # create an invoice: 201
  curl -sSi $auth http://$http/invoices --json '{"customer":"grace","currency":"EUR","lines":[{"description":"compiler","quantity":2,"unitCents":1250}]}'

  # read one
  curl -sS $auth http://$http/invoices/$invoice

  # list one customer's, a page of two
  curl -sS $auth "http://$http/invoices?customer=ada&limit=2"

  # follow that invoice: what has happened, then what happens, while it runs (upload something meanwhile)
  curl -sSN $auth -H "Accept: text/event-stream" http://$http/invoices/$invoice/events

  # upload ten megabytes, streamed
  head -c 10000000 /dev/urandom | curl -sS $auth -T - http://$http/invoices/$invoice/attachments/noise

  # download and count them
  curl -sS $auth http://$http/invoices/$invoice/attachments/noise | wc -c

  # totals, from the service's second package
  curl -sS $auth http://$http/reports/currencies

  # a net/http handler as it was, and no token needed
  curl -sS http://$http/legacy/report

  # everything that is wrong with an input, at once: 400
  curl -sSi $auth http://$http/invoices --json '{"customer":7,"currencyy":"EUR","lines":[]}'

  # no token: 401
  curl -sSi http://$http/invoices

Logs are in $run. Ctrl-C ends both.
END

while :; do
	interrupted
	reap
	[ -z "$code_gateway$code_billing" ] || died
	sleep 0.2 &
	wait $! || true
done
