#!/usr/bin/env bash
# Sees that what the tests need beside Go is there: a C compiler, for the race detector, curl, for the README's
# commands, a Valkey or Redis server and a RabbitMQ server, which the tests of the transports over brokers start
# themselves, Node.js with npm, Prometheus' promtool and systemd-analyze, for the validators in e2e/artifacts. As root, what is missing
# is installed with apt-get; otherwise this fails and says what to install.
set -euo pipefail

compiles() { command -v gcc >/dev/null && echo 'int main(void) { return 0; }' | gcc -x c -o /dev/null - 2>/dev/null; }

packages=()
compiles || packages+=(gcc libc6-dev)
command -v curl >/dev/null || packages+=(curl)
broker() { command -v valkey-server >/dev/null || command -v redis-server >/dev/null; }
broker || packages+=(redis-server)
# Not every user has the server's programs in $PATH.
rabbit() { command -v rabbitmq-server >/dev/null || [ -x "${RABBITMQ_HOME:-/usr/lib/rabbitmq}/bin/rabbitmq-server" ]; }
rabbit || packages+=(rabbitmq-server)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
command -v promtool >/dev/null || packages+=(prometheus)
command -v systemd-analyze >/dev/null || packages+=(systemd)
[ ${#packages[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "install-test-deps: the tests need ${packages[*]}; install them, or run 'make test-go', which needs Go alone" >&2
	exit 1
fi
echo "install-test-deps: installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
# A package with a service must not start it: the tests start servers of their own.
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
if [ ! -e "$policy" ]; then
	trap '/bin/rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	/bin/chmod 755 "$policy"
fi
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
compiles || { echo "install-test-deps: gcc is installed and still compiles nothing" >&2; exit 1; }
broker || { echo "install-test-deps: redis-server is installed and cannot be found in $PATH" >&2; exit 1; }
command -v node >/dev/null && command -v npm >/dev/null || { echo "install-test-deps: nodejs and npm are installed and cannot be found in $PATH" >&2; exit 1; }
command -v promtool >/dev/null || { echo "install-test-deps: prometheus is installed and promtool cannot be found in $PATH" >&2; exit 1; }
rabbit || { echo "install-test-deps: rabbitmq-server is installed and cannot be found in $PATH" >&2; exit 1; }
