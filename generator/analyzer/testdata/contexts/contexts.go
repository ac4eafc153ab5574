// Package contexts has handlers that wait.
//
//stella:service contexts version=1.0.0 owner=fixtures
package contexts

import (
	"context"
	"log/slog"
	"net/http"
	"os/exec"
	"sync"
	"time"
)

// Sleep has no name for its context.
//
//stella:endpoint GET /sleep
//stella:claim scope contexts:read
func Sleep(context.Context) error {
	time.Sleep(time.Second) // want `STL1801: Sleep ignores its context: time.Sleep goes on`
	return nil
}

// Start begins anew.
//
//stella:endpoint GET /start
//stella:claim scope contexts:read
func Start(_ context.Context) error {
	return wait(context.Background()) // want `STL1801: Start ignores its context: context.Background goes on`
}

// Again begins anew twice, and once for what outlives it.
//
//stella:endpoint GET /again
//stella:claim scope contexts:read
func Again(given context.Context) error {
	defer wait(context.Background()) // want `STL1801: Again ignores its context: context.Background goes on`
	if err := wait(context.TODO()); err != nil {
		return err
	}
	inner, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return wait(inner)
}

// Taken has another ctx.
//
//stella:endpoint GET /taken
//stella:claim scope contexts:read
func Taken(_ context.Context) error {
	ctx := context.Background() // want `STL1801: Taken ignores`
	return wait(ctx)
}

// Run could take a context.
//
//stella:endpoint GET /run
//stella:claim scope contexts:read
func Run(_ context.Context) error {
	slog.Info("running")
	return exec.Command("true").Run() // want `STL1801: Run ignores its context: os/exec.Command goes on`
}

// Fetch could, too.
//
//stella:endpoint GET /remote
//stella:claim scope contexts:read
func Fetch(_ context.Context) error {
	_, err := http.Get("http://127.0.0.1") // want `STL1801: Fetch ignores its context: net/http.Get goes on`
	return err
}

// Channel waits for a channel.
//
//stella:endpoint GET /channel
//stella:claim scope contexts:read
func Channel(_ context.Context) error {
	done := make(chan struct{})
	go func() { close(done) }()
	<-done // want `STL1801: Channel ignores its context: a receive goes on`
	return nil
}

// Group waits for others, and somebody knows why.
//
//stella:endpoint GET /group
//stella:ignore STL1801 they are as quick as this
//stella:claim scope contexts:read
func Group(_ context.Context) error {
	var wg sync.WaitGroup
	wg.Wait()
	return nil
}

// Quick waits for nothing.
//
//stella:endpoint GET /quick
//stella:claim scope contexts:read
func Quick(_ context.Context) error { return nil }

// Passes passes it on.
//
//stella:endpoint GET /passes
//stella:claim scope contexts:read
func Passes(ctx context.Context) error {
	time.Sleep(time.Nanosecond)
	return wait(ctx)
}

// wait is no handler.
func wait(_ context.Context) error {
	time.Sleep(time.Second)
	return nil
}
