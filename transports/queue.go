package transports

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Queue keeps jobs at a broker until somebody has done them: calls of endpoints with delivery=queue. It is beside sessions,
// which lose a call with the connection: a job outlives both ends and the broker, and runs at least once. A Queue may be
// used concurrently; it connects when it is used, and again when the connection was lost. Every method returns by its
// context's end, and in five seconds where that has none; errors wrap [ErrQueue] when the broker cannot be reached or
// refuses.
type Queue interface {
	// Put keeps a job, signed with the tokens: see [Job.Encode]. When it returns nil the broker has it for good; after an error it may have it all the same.
	Put(ctx context.Context, j *Job, tokens ...string) error
	// Work takes jobs of some queues, at most slots at once. ctx bounds the beginning, not the worker.
	Work(ctx context.Context, sources []Source, slots int) (Worker, error)
	// Status tells of one job. The error is [ErrNoJob] when nothing is known of it, or not any more.
	Status(ctx context.Context, id string) (*JobStatus, error)

	// Queues lists the queues that jobs were ever put into, sorted by name.
	Queues(ctx context.Context) ([]QueueDepth, error)
	// Dead returns up to limit dead jobs of a queue, the oldest first, and changes nothing.
	Dead(ctx context.Context, name QueueName, limit int) ([]*DeadJob, error)
	// Requeue puts a dead job back into its queue, as new, and removes it from the dead ones. The error is [ErrNoJob] when
	// it is not among them.
	Requeue(ctx context.Context, name QueueName, id string) error
	// Purge forgets the dead jobs of a queue, and returns how many they were.
	Purge(ctx context.Context, name QueueName) (int, error)

	// Close ends the connections and all workers. It may be called more than once.
	Close() error
}

// Worker takes jobs. One goroutine calls Next; the others may be called concurrently.
type Worker interface {
	// Next returns the next job as soon as there is one and fewer than the worker's slots are open. It waits for as long
	// as ctx allows. After an error that is not ctx's the worker is dead: what it had open is given to others.
	Next(ctx context.Context) (*Delivery, error)
	// Settle says what became of an attempt, and frees its slot. After an error the job may be given to somebody again.
	Settle(ctx context.Context, d *Delivery, o Outcome) error
	// Close gives back what is open, and ends the worker.
	Close() error
}

// QueueName names a queue: each endpoint of each service has its own, whatever the service's version.
type QueueName struct {
	Service  string
	Endpoint string // its identity, such as POST /invoices/{}; see spec.Endpoint.Identity
}

func (n QueueName) String() string { return n.Service + " " + n.Endpoint }

// ParseQueueName reads what String returns.
func ParseQueueName(s string) (QueueName, error) {
	service, endpoint, _ := strings.Cut(s, " ")
	method, path, _ := strings.Cut(endpoint, " ")
	if service == "" || method == "" || !strings.HasPrefix(path, "/") || strings.Contains(path, " ") {
		return QueueName{}, fmt.Errorf("transports: %q is no queue, expected SERVICE METHOD PATH such as %q", s, "billing POST /reports")
	}
	return QueueName{Service: service, Endpoint: endpoint}, nil
}

// Source is a queue to take jobs from.
type Source struct {
	QueueName

	// Lease is how long an attempt may go unsettled until the job counts as lost and is given to another worker, where the
	// broker cannot see a worker die.
	Lease time.Duration
}

// Delivery is one attempt at a job.
type Delivery struct {
	*Job

	Attempt int // from 1
	Tag     any // the transport's own
}

// Outcome is what became of an attempt: [JobDone], [JobQueued] to have it tried again, which after its last attempt is the same
// as [JobDead], or that.
type Outcome struct {
	State  JobState
	Reason string     // of what is not done
	Result *JobResult // of what is
}

// JobState is where a job stands.
type JobState string

// The states. The last two are final.
const (
	JobQueued  JobState = "queued"  // it waits, for its first attempt or the next one
	JobRunning JobState = "running" // an attempt has begun
	JobDone    JobState = "done"
	JobDead    JobState = "dead" // it is among the dead jobs until somebody requeues or purges it
)

// JobStatus is what is known of a job. It is kept for [JobRetention] from its last change on, or longer.
type JobStatus struct {
	ID      string     `json:"id"`
	Queue   QueueName  `json:"queue"`
	Owner   string     `json:"owner,omitempty"` // see [Job]
	State   JobState   `json:"state"`
	Attempt int        `json:"attempt"`          // the last one that has begun; 0 before the first
	Reason  string     `json:"reason,omitempty"` // why the last attempt failed
	Changed time.Time  `json:"changed"`
	Result  *JobResult `json:"result,omitempty"`
}

// JobResult is a job's answer.
type JobResult struct {
	Status      int    `json:"status"` // as HTTP has it
	ContentType string `json:"contentType,omitempty"`
	Body        []byte `json:"body,omitempty"` // at most [MaxJobResult] bytes
	Cut         bool   `json:"cut,omitempty"`  // the body was larger and is left out
}

// DeadJob is a job that nobody tries any more.
type DeadJob struct {
	*Job

	Reason   string
	Attempts int // that it had
	Died     time.Time
}

// QueueDepth is a queue and how many jobs it has.
type QueueDepth struct {
	QueueName

	Waiting int // queued or running
	Dead    int
}

const (
	// JobRetention is how long the status of a job is kept after its last change.
	JobRetention = 24 * time.Hour
	// MaxJobResult bounds the body of a result that is kept, in bytes.
	MaxJobResult = 16 << 10
)

var (
	// ErrQueue is what errors wrap when the broker cannot be used now.
	ErrQueue = errors.New("the queue's broker cannot be used")
	// ErrNoJob is what errors wrap that say that there is no such job.
	ErrNoJob = errors.New("no such job")
)

// OpenQueue returns the queues at a broker, by a transport URL. It checks the URL and does not connect.
func OpenQueue(raw string) (Queue, error) {
	u, t, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	if t.Queue == nil {
		return nil, fmt.Errorf("transports: %s: %s has no queues: expected the URL of a broker, such as valkey://HOST:PORT", Redacted(raw), u.Scheme)
	}
	return t.Queue(u)
}
