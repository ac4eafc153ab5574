// Package streams has handlers that stream.
//
//stella:service streams version=1.0.0 owner=fixtures
package streams

import (
	"context"
	"iter"
	"time"
)

var events = make(chan string)

// Ranges waits for the channel alone.
//
//stella:endpoint GET /ranges idle=1h
//stella:claim scope streams:read
func Ranges(context.Context) (iter.Seq2[string, error], error) {
	return func(yield func(string, error) bool) {
		for e := range events { // want `STL1802: Ranges waits without its context: a range over a channel goes on`
			if !yield(e, nil) {
				return
			}
		}
	}, nil
}

// Sleeps waits for the time.
//
//stella:endpoint GET /sleeps idle=1h
//stella:claim scope streams:read
func Sleeps(ctx context.Context) (iter.Seq2[string, error], error) {
	return func(yield func(string, error) bool) {
		for ctx.Err() == nil && yield("tick", nil) {
			time.Sleep(time.Second) // want `STL1802: Sleeps waits without its context: time.Sleep goes on .*select on ctx.Done`
		}
	}, nil
}

// Selects waits for one of two, neither of them the end.
//
//stella:endpoint GET /selects idle=1h
//stella:claim scope streams:read
func Selects(ctx context.Context) (iter.Seq2[string, error], error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return func(yield func(string, error) bool) {
		for {
			select { // want `STL1802: Selects waits without its context: select goes on`
			case e := <-events:
				yield(e, nil)
			case <-time.After(time.Second):
				events <- "again" // want `STL1802: Selects waits without its context: a send goes on`
			}
		}
	}, nil
}

// Follows ends with its caller, and looks without waiting.
//
//stella:endpoint GET /follows idle=1h
//stella:claim scope streams:read
func Follows(ctx context.Context) (iter.Seq2[string, error], error) {
	return func(yield func(string, error) bool) {
		done := ctx.Done()
		for {
			select {
			case e := <-events:
				yield(e, nil)
			default:
			}
			select {
			case <-done:
				return
			case e, more := <-events:
				if !more || !yield(e, nil) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	}, nil
}
