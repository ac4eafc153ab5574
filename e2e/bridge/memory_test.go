package bridge

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// grows is by how much a large body may make the process grow, in bytes (issue 8): client, gateway and service together.
const grows = 8 << 20

// TestMemory is what TestSoakMemory does, with less.
func TestMemory(t *testing.T) { flow(t, 64<<20) }

// zeros never end, and cost nothing.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// store takes bodies, gives them, and gives them back.
func store(w http.ResponseWriter, r *http.Request) {
	var err error
	switch r.Method {
	case http.MethodPut:
		var n int64
		n, err = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	case http.MethodGet:
		var n int64
		if n, err = strconv.ParseInt(r.URL.RawQuery, 10, 64); err == nil {
			_, err = io.CopyN(w, zeros{}, n)
		}
	default:
		if err = http.NewResponseController(w).EnableFullDuplex(); err == nil {
			_, err = io.Copy(w, r.Body)
		}
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

// gauge is how large the process has been, in bytes. Held is what is left by a collection while this end of the stream holds
// still, and the buffers on the way fill up. Heap is what the allocator has in use, with what is garbage until the next collection.
// RSS is what the kernel counts, which has all that there is.
type gauge struct{ held, heap, rss int64 }

// collect measures what is held.
func (g *gauge) collect() {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	g.held = max(g.held, int64(m.HeapAlloc))
}

// grow measures the rest.
func (g *gauge) grow(t *testing.T) {
	t.Helper()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	g.heap = max(g.heap, int64(m.HeapInuse))
	g.rss = max(g.rss, resident(t))
}

// resident is the process's VmRSS, in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if os.IsNotExist(err) { // it is no Linux
		return 0
	}
	if err != nil {
		t.Error(err)
	}
	_, text, _ := strings.Cut(string(status), "VmRSS:")
	text, _, _ = strings.Cut(text, " kB")
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		t.Error(err)
	}
	return n << 10
}

// collections are how often what is held is measured within one body.
const collections = 8

// measured is a body that has the process measured at every MiB of it.
type measured struct {
	t       *testing.T
	src     io.Reader
	peak    *gauge
	size    int64
	read    int64
	measure int64 // when this much has been read
	collect int64
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.src.Read(p)
	if m.read += int64(n); m.read >= m.measure {
		m.measure = m.read + 1<<20
		m.peak.grow(m.t)
	}
	if m.read >= m.collect && m.read < m.size {
		m.collect = m.read + m.size/collections
		m.peak.collect()
	}
	return n, err
}

// flow moves bodies of size bytes through bridge and gateway, and measures.
func flow(t *testing.T, size int64) {
	t.Helper()
	p := serve(t, http.HandlerFunc(store), []endpoint{
		{method: http.MethodPut, path: "/up"}, {method: http.MethodGet, path: "/down"}, {method: http.MethodPost, path: "/echo"},
	})
	for _, way := range []struct {
		name, method, path string
		up, down           bool
	}{
		{"up", http.MethodPut, "/up", true, false},
		{"down", http.MethodGet, "/down?%d", false, true},
		{"echo", http.MethodPost, "/echo", true, true},
	} {
		t.Run(way.name, func(t *testing.T) {
			move := func(size int64, peak *gauge) {
				target := way.path
				if !way.up {
					target = fmt.Sprintf(way.path, size)
				}
				var body io.Reader = http.NoBody
				if way.up {
					body = io.LimitReader(zeros{}, size)
				}
				if !way.down { // else the answer is measured
					body = &measured{t: t, src: body, peak: peak, size: size}
				}
				r, err := http.NewRequestWithContext(t.Context(), way.method, "http://"+p.gateway+target, body)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				var n int64
				if way.down {
					n, err = io.Copy(io.Discard, &measured{t: t, src: resp.Body, peak: peak, size: size})
				} else {
					_, err = fmt.Fscan(resp.Body, &n)
				}
				if err != nil || n != size || resp.StatusCode != http.StatusOK {
					t.Fatalf("status %d, %d bytes, %v; expected 200, %d bytes", resp.StatusCode, n, err, size)
				}
			}
			move(4<<20, new(gauge)) // what pools and connections keep
			var before, peak gauge
			before.collect()
			before.grow(t)
			move(size, &peak)
			for _, measure := range []struct {
				what         string
				before, peak int64
				holds        bool // also where the race detector makes everything slower, and has memory of its own for all that is touched
			}{
				{"heap held", before.held, peak.held, true},
				{"heap in use", before.heap, peak.heap, !raced},
				{"resident", before.rss, peak.rss, !raced},
			} {
				more := measure.peak - measure.before
				t.Logf("%d MiB %s: %s %+d KiB, from %d KiB", size>>20, way.name, measure.what, more>>10, measure.before>>10)
				if more >= grows && measure.holds {
					t.Errorf("%s has grown by %d bytes, expected less than %d", measure.what, more, int64(grows))
				}
			}
		})
	}
}
