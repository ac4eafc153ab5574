package valkey

import client "github.com/valkey-io/valkey-go"

// fromStart is before a stream's first entry. A walk through leases begins there, and says so when it is over.
const fromStart = "0-0"

// The fields of an entry of a queue. A dead one has all, a waiting one the first three.
const (
	fieldID       = "i"
	fieldOwner    = "o"
	fieldJob      = "j" // what [transports.Job.Encode] returned
	fieldReason   = "r"
	fieldAttempts = "n"
	fieldDied     = "t" // the server's time, in ms
	fieldPoison   = "x" // that it is no job
)

// The fields of a job's status.
const (
	statusQueue   = "q"
	statusOwner   = "o"
	statusState   = "s"
	statusAttempt = "n"
	statusReason  = "r"
	statusChanged = "c" // the server's time, in ms
	resultStatus  = "h" // as HTTP has it
	resultType    = "t" // of its content
	resultBody    = "v"
	resultCut     = "x"
	// Beside these there is p, the nonce of the Put.
)

// mine is whether a consumer has an entry. KEYS[1] is the queue, ARGV[1] the group and ARGV[2] the consumer; count is how
// often the entry was delivered when the consumer got it, which is what tells a lease from another one of the same
// consumer. The lease begins anew, which is on purpose the script's first write: with memory short, a server refuses a
// script that begins with a command that takes some, and lets one go on that has written. Jobs that are done free memory,
// so that recording them has to go on.
//
//nolint:dupword // from and to an entry
const mine = now + `
local function mine(entry, count)
	local p = redis.pcall('XPENDING', KEYS[1], ARGV[1], entry, entry, 1)
	if p.err or #p == 0 or p[1][2] ~= ARGV[2] or (count and p[1][4] ~= count) then return false end
	if #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry, 'JUSTID') == 0 then return false end
	local e = redis.call('XRANGE', KEYS[1], entry, entry)[1]
	return e and p[1][4], e and e[2]
end
local function drop(entry)
	redis.call('XACK', KEYS[1], ARGV[1], entry)
	redis.call('XDEL', KEYS[1], entry)
end
`

//nolint:dupword // blocks of Lua end with the same word
var (
	// putScript keeps a job, unless it has already, which the nonce tells. KEYS: queue, status, names. ARGV: group, name, id,
	// owner, job, nonce. The group is made here too, so that workers can begin while memory is short.
	putScript = client.NewLuaScript(now + `
if redis.call('HGET', KEYS[2], 'p') == ARGV[6] then return 0 end
redis.call('XADD', KEYS[1], '*', 'i', ARGV[3], 'o', ARGV[4], 'j', ARGV[5])
redis.call('SADD', KEYS[3], ARGV[2])
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'q', ARGV[2], 'o', ARGV[4], 's', 'queued', 'n', 0, 'c', now, 'p', ARGV[6])
if redis.call('XLEN', KEYS[1]) == 1 then redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0') end
return 1`)

	// takeScript takes one entry of the first queue that has one, and makes groups that are missing. KEYS: queues. ARGV:
	// group, consumer. It returns the key, the entry's id and its fields, or nothing. A blocking command cannot do this:
	// it takes one of each queue.
	takeScript = client.NewLuaScript(`
for _, key in ipairs(KEYS) do
	local got = redis.pcall('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1, 'STREAMS', key, '>')
	if got and got.err and string.find(got.err, 'NOGROUP', 1, true) then
		redis.call('XGROUP', 'CREATE', key, ARGV[1], '0', 'MKSTREAM')
		got = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1, 'STREAMS', key, '>')
	end
	if got and got.err then return got end
	if got then return {key, got[1][2][1][1], got[1][2][1][2]} end
end
return {}`)

	// reclaimScript takes one entry whose lease is over. KEYS: queue. ARGV: group, consumer, lease in ms, where to go on,
	// rounds, after how many ms consumers are forgotten that have nothing. It returns where to go on, which is 0-0 when all
	// were looked at, and the entry's id and fields if there is one. A round looks at ten, and finds nothing where their
	// entries were deleted: the server drops those then. Before Redis 7.0 it has nil for them, which is false here.
	reclaimScript = client.NewLuaScript(`
local answer = {ARGV[4]}
for _ = 1, tonumber(ARGV[5]) do
	local got = redis.pcall('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], answer[1], 'COUNT', 1)
	if got.err and string.find(got.err, 'NOGROUP', 1, true) then return {'0-0'} end
	if got.err then return got end
	answer[1] = got[1]
	local e = got[2][1]
	if e then answer[2], answer[3] = e[1], e[2] end
	if answer[2] or answer[1] == '0-0' then break end
end
if answer[1] == '0-0' then
	for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
		local is = {}
		for i = 1, #c, 2 do is[c[i]] = c[i + 1] end
		if is.pending == 0 and is.idle > tonumber(ARGV[6]) and is.name ~= ARGV[2] then
			redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], is.name)
		end
	end
end
return answer`)

	// beginScript begins an attempt, and its lease. KEYS: queue, dead, status. ARGV: group, consumer, entry, name, id, owner,
	// most attempts, retention in ms. It returns the attempt, how often the entry was delivered, and why the last attempt
	// failed; or nothing when the consumer does not have the entry any more, or it was the job's end: its attempts began
	// and nobody told what became of the last one.
	beginScript = client.NewLuaScript(mine + `
local count, fields = mine(ARGV[3])
if not count then return {} end
local n = tonumber(redis.call('HGET', KEYS[3], 'n') or 0) or 0
local why = redis.call('HGET', KEYS[3], 'r') or ''
if n >= tonumber(ARGV[7]) then
	local reason = n .. ' attempts began and none was finished: the workers were lost'
	if why ~= '' then reason = reason .. '; before that: ' .. why end
	redis.call('XADD', KEYS[2], '*', 'i', ARGV[5], 'o', ARGV[6], 'j', fields[6], 'r', reason, 'n', n, 't', now)
	drop(ARGV[3])
	redis.call('HSET', KEYS[3], 'q', ARGV[4], 'o', ARGV[6], 's', 'dead', 'n', n, 'r', reason, 'c', now)
	redis.call('PEXPIRE', KEYS[3], ARGV[8])
	return {}
end
redis.call('HSET', KEYS[3], 'q', ARGV[4], 'o', ARGV[6], 's', 'running', 'n', n + 1, 'c', now)
redis.call('PERSIST', KEYS[3])
return {tostring(n + 1), tostring(count), why}`)

	// renewScript begins a lease anew. KEYS: queue. ARGV: group, consumer, entry, how often it was delivered. It returns 0 when
	// the consumer does not have the entry any more.
	renewScript = client.NewLuaScript(mine + `
return mine(ARGV[3], tonumber(ARGV[4])) and 1 or 0`)

	// buryScript moves an entry that is no job to the dead ones. KEYS: queue, dead. ARGV: group, consumer, entry, reason,
	// what was in it.
	buryScript = client.NewLuaScript(mine + `
if not mine(ARGV[3]) then return 0 end
redis.call('XADD', KEYS[2], '*', 'i', ARGV[3], 'o', '', 'j', ARGV[5], 'r', ARGV[4], 'n', 0, 't', now, 'x', '')
drop(ARGV[3])
return 1`)

	// settleScript ends an attempt. KEYS: queue, dead, status. ARGV: group, consumer, entry, how often it was delivered, name,
	// id, owner, the new state, the attempt, reason, retention in ms, the result's fields. It returns 0 when the consumer
	// does not have the entry any more, and has done nothing then.
	settleScript = client.NewLuaScript(mine + `
local count, fields = mine(ARGV[3], tonumber(ARGV[4]))
if not count then return 0 end
if ARGV[8] == 'queued' then
	redis.call('XADD', KEYS[1], '*', unpack(fields))
elseif ARGV[8] == 'dead' then
	redis.call('XADD', KEYS[2], '*', 'i', ARGV[6], 'o', ARGV[7], 'j', fields[6], 'r', ARGV[10], 'n', ARGV[9], 't', now)
end
drop(ARGV[3])
redis.call('HSET', KEYS[3], 'q', ARGV[5], 'o', ARGV[7], 's', ARGV[8], 'n', ARGV[9], 'r', ARGV[10], 'c', now)
if ARGV[12] then redis.call('HSET', KEYS[3], unpack(ARGV, 12)) end
if ARGV[8] == 'queued' then redis.call('PERSIST', KEYS[3]) else redis.call('PEXPIRE', KEYS[3], ARGV[11]) end
return 1`)

	// leaveScript gives back what a consumer has, at the queue's end. KEYS: queue. ARGV: group, consumer, first and last
	// entry, how many at most, how the keys of statuses begin. It returns where to go on, or nothing, with the consumer
	// forgotten, when there was no more. An entry with other fields than a job's has its lease end, rather: a script cannot
	// write arbitrarily many.
	leaveScript = client.NewLuaScript(mine + `
local p = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[4], ARGV[5], ARGV[2])
if p.err then return {} end
for _, row in ipairs(p) do
	local count, fields = mine(row[1])
	if count and #fields == 6 then
		redis.call('XADD', KEYS[1], '*', unpack(fields))
		local status = ARGV[6] .. fields[2]
		if redis.call('HGET', status, 's') == 'running' then redis.call('HSET', status, 's', 'queued', 'c', now) end
		drop(row[1])
	elseif count then
		redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, row[1], 'IDLE', 86400000, 'JUSTID')
	end
end
if #p == tonumber(ARGV[5]) then return {'(' .. p[#p][1]} end
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
	redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
return {}`)

	// requeueScript puts a dead job into its queue, as new. KEYS: queue, dead, status, names. ARGV: group, name, id, where to
	// begin, how many to look at. It returns what it found: a job, poison, none; or more, and where to go on.
	requeueScript = client.NewLuaScript(now + `
local at = ARGV[4]
for _ = 1, tonumber(ARGV[5]) do
	local e = redis.call('XRANGE', KEYS[2], at, '+', 'COUNT', 1)[1]
	if not e then return {'none'} end
	local f = {}
	for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end
	if f.i == ARGV[3] then
		if f.x or not f.j or not f.o then return {'poison'} end
		redis.call('XADD', KEYS[1], '*', 'i', f.i, 'o', f.o, 'j', f.j)
		redis.call('XDEL', KEYS[2], e[1])
		redis.call('SADD', KEYS[4], ARGV[2])
		redis.call('DEL', KEYS[3])
		redis.call('HSET', KEYS[3], 'q', ARGV[2], 'o', f.o, 's', 'queued', 'n', 0, 'c', now)
		return {'job'}
	end
	at = '(' .. e[1]
end
return {'more', at}`)

	// purgeScript deletes a queue's dead jobs. KEYS: dead. It returns how many there were.
	purgeScript = client.NewLuaScript(`
local n = redis.call('XLEN', KEYS[1])
redis.call('DEL', KEYS[1])
return n`)
)
