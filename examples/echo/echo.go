// Package echo is what benchmarks and fault tests drive: endpoints that do as little as possible with small bodies,
// with streams in both directions, and with a caller who leaves. All of them are public.
//
//stella:ignore STL1101 all of it is public: nothing is kept
//stella:service echo version=1.0.0 owner=router-team
package echo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

const (
	contentType   = "Content-Type"
	contentLength = "Content-Length"
	octets        = "application/octet-stream"
)

// Echo answers the request body, in the type that it came in.
//
//stella:endpoint POST /echo stream=both body=1MiB idle=60s
//stella:public "has nothing to protect: it answers what it is sent"
func Echo(_ context.Context, r *stella.Request, w *stella.Response) error {
	if t := r.Header.Get(contentType); t != "" {
		w.Header().Set(contentType, t)
	}
	if r.ContentLength > spec.MaxInlineBody { // the length of a smaller answer is known without saying it
		w.Header().Set(contentLength, strconv.FormatInt(r.ContentLength, 10))
	}
	_, err := io.Copy(w, r.Body)
	return err
}

// StreamUp counts the bytes of the request body, and answers their number as text.
//
//stella:endpoint POST /stream/up stream=request body=16GiB timeout=1h idle=60s
//stella:public "has nothing to protect: it counts what it is sent"
func StreamUp(_ context.Context, r *stella.Request, w *stella.Response) error {
	var count counter
	if _, err := io.CopyBuffer(&count, r.Body, make([]byte, spec.MaxChunk)); err != nil {
		return err
	}
	w.Header().Set(contentType, "text/plain; charset=utf-8")
	_, err := io.WriteString(w, strconv.FormatInt(int64(count), 10))
	return err
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// StreamDown answers as many bytes as its query asks for, with their Content-Length: POST /stream/down?n=1000.
//
//stella:endpoint POST /stream/down stream=response idle=60s
//stella:public "has nothing to protect: its bytes mean nothing"
func StreamDown(_ context.Context, r *stella.Request, w *stella.Response) error {
	text := r.Query().Get("n")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return &stella.Error{
			Status: http.StatusBadRequest, Code: "invalid_input", Message: "Say how many bytes to answer, as in ?n=1000.",
			Faults: []spec.Fault{{In: spec.InQuery, Parameter: "n", Detail: fmt.Sprintf("expected a number of bytes, got %.40q", text)}},
		}
	}
	w.Header().Set(contentType, octets)
	w.Header().Set(contentLength, strconv.FormatInt(n, 10))
	_, err = io.CopyN(w, zeros{}, n)
	return err
}

// zeros reads as zero bytes without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
