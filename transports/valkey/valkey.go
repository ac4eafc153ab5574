// Package valkey is the transport over a Valkey or Redis server, for services and gateways that cannot reach each other
// and both reach that: valkey://[user:password@]host:port[/database][?prefix=name]; valkeys has TLS, and redis and rediss
// mean the same. Redis 6.2 or Valkey 7.2 is the least; a cluster is not supported.
//
// Whoever may use the server may register services and read what travels, so that a listener whose server is not on a
// loopback address wants peers that are authenticated. A user of the server's that does for this transport has the keys
// ~{stella}:* and the commands XADD, XREAD, XTRIM, XLEN, DEL, EXISTS, PEXPIRE, ZADD, ZREM, ZRANGEBYSCORE, ZREMRANGEBYSCORE,
// TIME, EVAL, EVALSHA, SCRIPT LOAD, PING, HELLO and CLIENT SETNAME; with CONFIG GET, a policy that loses data is found when
// the server is first used. One that does for queues has XADD, XREADGROUP, XAUTOCLAIM, XCLAIM, XPENDING, XACK, XDEL, XLEN,
// XRANGE, XGROUP CREATE, XGROUP DELCONSUMER, XINFO CONSUMERS, SADD, SMEMBERS, HSET, HGET, HGETALL, DEL, PERSIST, PEXPIRE,
// TIME, EVAL, EVALSHA, SCRIPT LOAD, PING, HELLO and CLIENT SETNAME; with CONFIG GET, a server that keeps nothing is refused.
// Without it, nobody looks.
//
// For sessions, nothing on the server has to last: what it loses, in a restart or a failover, ends links, which are dialled
// again. Queues are what the server keeps: it has to have appendonly yes, and noeviction where maxmemory is set. With
// appendfsync everysec, the default, the end of the server's process or of its machine's power loses what was confirmed in
// the last second or two; with appendfsync always it does not. Replicas get what was confirmed afterwards, so that a
// failover may lose some of it, too.
//
// Keys begin with {prefix}, stella unless the URL says otherwise:
//
//	{prefix}:gateways        sorted set of the gateways that listen, by the server's time at which their lease ends, in ms
//	{prefix}:gateway:ID      stream, the gateway's inbox: one entry for each new session
//	{prefix}:NONCE:s2g       stream, frames from the service to the gateway
//	{prefix}:NONCE:g2s       stream, frames from the gateway to the service
//	{prefix}:wake:ID         stream that interrupts a blocking read of a process
//	{prefix}:queues          set of the names of queues, each as SERVICE:ENDPOINT, as in the query of a URL
//	{prefix}:queue:NAME      stream of the jobs that wait or run; the consumer group is called workers
//	{prefix}:dead:NAME       stream of the dead ones
//	{prefix}:job:ID          hash, the status of a job: without an end until the job has one, and for a day from then on
//
// A link is two streams. Its writer numbers the entries itself, so that an entry whose answer was lost may be sent again
// and a reader sees when one is missing. Each end renews the lease of the stream it writes, and the link fails when either vanishes.
//
// A job is an entry of its queue's stream until it is settled. A worker is a consumer of the group, and has a job for as
// long as its lease; then another one claims it. Scripts take a job from one state to the next in one step, and only for
// the consumer that has it, so that one that comes too late changes nothing. Nothing bounds these streams but the server's
// memory: when that is short, putting jobs fails, and doing them goes on.
package valkey

import (
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// Times.
const (
	commandTimeout = time.Second      // bounds every command
	block          = time.Second      // a blocking read without news
	probe          = time.Millisecond // the first read after a failure: what was lost is found as soon as the server answers
	// failAfter is how long links live without an answer from the server. It bears that one stands still for a second and
	// a half, whenever that is in a blocking read, and leaves time to tell everybody within 3 s.
	failAfter    = 2500 * time.Millisecond
	pingInterval = 15 * time.Second // an idle connection is tested, as those of tcp are
	sessionLease = 30 * time.Second // of a stream, after its writer has died
	renewAgain   = 100 * time.Millisecond
	gatewayLease = 10 * time.Second // of a gateway, after it has died
)

// Times that tests shorten.
var (
	renewEvery    = time.Second            // the leases of sessions, which is how long a flush may go unnoticed
	registerEvery = 3 * time.Second        // a gateway's lease
	slack         = 250 * time.Millisecond // by which a renewal may be early, to go with something else, or late
)

// Sizes in bytes, and counts.
const (
	connBuffer = 64 << 10
	// entryBytes bounds an entry of several frames: a few of the largest chunks, and little enough to be one command.
	entryBytes = 256 << 10
	// maxValue is the largest entry: one frame.
	maxValue = spec.HeaderSize + spec.MaxFrameHard
	// A writer waits while as much as this is on the server and unread. One entry may exceed the bytes.
	maxUnread        = 1 << 20
	maxUnreadEntries = 256
	// sendBytes bounds what is sent in one go, but for one entry: it has the deadline of a command.
	sendBytes = 256 << 10
	// A reader takes no more while this is unread in its memory.
	maxQueued = 256 << 10
	// What has been read is deleted when it is this much, or when nothing else comes.
	trimBytes   = 128 << 10
	trimEntries = 64
	// readEntries bounds the entries of one stream in one read.
	readEntries = 64
	// maxReaders bounds the connections that read, and with them the links of a process to one server; further ones wait.
	maxReaders = 4096
	// maxInbox bounds the sessions that wait for a gateway, on the server and in the gateway.
	maxInbox = 256
)

func init() {
	for _, scheme := range []string{Scheme, SchemeTLS, SchemeRedis, SchemeRedisTLS} {
		transports.Register(transports.Transport{
			Scheme: scheme, Check: check, Guard: guard, Gateways: gateways, Dialer: dialer{}, Listen: listen, Queue: openQueue,
		})
	}
}
