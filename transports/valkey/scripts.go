package valkey

import client "github.com/valkey-io/valkey-go"

// The scripts take the server's time, so that clocks of hosts do not matter. Times are in milliseconds.
const now = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "

var (
	// registerScript renews a gateway's lease. KEYS: gateways, inbox. ARGV: id, lease. It returns 1 when the inbox is new.
	registerScript = client.NewLuaScript(now + `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local made = 0
if redis.call('EXISTS', KEYS[2]) == 0 then
	redis.call('XADD', KEYS[2], '*', 'o', '')
	made = 1
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return made`)

	// gatewaysScript lists the live gateways. KEYS: gateways.
	gatewaysScript = client.NewLuaScript(now + `
return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')`)

	// openScript makes a session and tells the gateway of it. KEYS: inbox, the stream to the gateway, the stream from it.
	// ARGV: nonce, versions, lease, most entries of an inbox. It returns 0 when the gateway has no inbox any more, and -1
	// when that is full.
	openScript = client.NewLuaScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[4]) then return -1 end
for i = 2, 3 do
	redis.call('XADD', KEYS[i], '0-1', 'o', '')
	redis.call('PEXPIRE', KEYS[i], ARGV[3])
end
redis.call('XADD', KEYS[1], '*', 'n', ARGV[1], 'v', ARGV[2])
return 1`)
)
