// Package routers shows that routers of others serve behind the bridge as they do behind net/http: the same application, four times.
package routers

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"

	"github.com/stella-ops/router/examples/migration/shoptest"
	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/httpbridge"
	"github.com/stella-ops/router/spec"
)

// patience bounds what a test waits for.
const patience = 10 * time.Second

// Item is what the application keeps.
type Item struct {
	ID    string `json:"id"`
	Query string `json:"query"`
}

// routes are those of the application, and the endpoints that the bridge has for them.
var routes = []string{"GET /health", "GET /items/{id}", "POST /items", "PUT /items/{id}/file", "GET /files/{path...}", "GET /events", "GET /fails", "GET /wire"}

// mux is the application on http.ServeMux.
func mux() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	m.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		encode(w, http.StatusOK, Item{r.PathValue("id"), r.URL.Query().Get("q")})
	})
	m.HandleFunc("POST /items", func(w http.ResponseWriter, r *http.Request) {
		var in Item
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, "no item", http.StatusBadRequest)
			return
		}
		encode(w, http.StatusCreated, in)
	})
	m.HandleFunc("PUT /items/{id}/file", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintln(w, r.PathValue("id"), n, err)
	})
	m.HandleFunc("GET /files/{path...}", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.PathValue("path")) })
	m.HandleFunc("GET /events", events)
	m.HandleFunc("GET /wire", wire)
	m.HandleFunc("GET /fails", func(http.ResponseWriter, *http.Request) { panic("as it does") })
	return recovering(m)
}

// recovering is middleware that says that it was there, and answers instead of panics.
func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		w.Header().Set("X-Middleware", "yes")
		next.ServeHTTP(w, r)
	})
}

// withChi is the application on chi.
func withChi() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.Recoverer, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Middleware", "yes")
			next.ServeHTTP(middleware.NewWrapResponseWriter(w, r.ProtoMajor), r)
		})
	})
	r.Get("/health", func(http.ResponseWriter, *http.Request) {})
	r.Route("/items", func(r chi.Router) {
		r.Get("/{id}", func(w http.ResponseWriter, r *http.Request) {
			encode(w, http.StatusOK, Item{chi.URLParam(r, "id"), r.URL.Query().Get("q")})
		})
		r.Post("/", func(w http.ResponseWriter, r *http.Request) {
			var in Item
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				http.Error(w, "no item", http.StatusBadRequest)
				return
			}
			encode(w, http.StatusCreated, in)
		})
		r.Put("/{id}/file", func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprintln(w, chi.URLParam(r, "id"), n, err)
		})
	})
	r.Get("/files/*", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, chi.URLParam(r, "*")) })
	r.Get("/events", events)
	r.Get("/wire", wire)
	r.Get("/fails", func(http.ResponseWriter, *http.Request) { panic("as it does") })
	return r
}

// withGin is the application on gin.
func withGin() http.Handler {
	gin.SetMode(gin.TestMode)
	e := gin.New()
	e.Use(gin.RecoveryWithWriter(io.Discard), func(c *gin.Context) { c.Header("X-Middleware", "yes") })
	e.GET("/health", func(c *gin.Context) { c.Status(http.StatusOK) })
	items := e.Group("/items")
	items.GET("/:id", func(c *gin.Context) { c.JSON(http.StatusOK, Item{c.Param("id"), c.Query("q")}) })
	items.POST("", func(c *gin.Context) {
		var in Item
		if err := c.ShouldBindJSON(&in); err != nil {
			c.String(http.StatusBadRequest, "no item")
			return
		}
		c.JSON(http.StatusCreated, in)
	})
	items.PUT("/:id/file", func(c *gin.Context) {
		n, err := io.Copy(io.Discard, c.Request.Body)
		c.String(http.StatusOK, "%s %d %v\n", c.Param("id"), n, err)
	})
	e.GET("/files/*path", func(c *gin.Context) { c.String(http.StatusOK, strings.TrimPrefix(c.Param("path"), "/")) })
	e.GET("/events", func(c *gin.Context) { events(c.Writer, c.Request) })
	e.GET("/wire", func(c *gin.Context) { wire(c.Writer, c.Request) })
	e.GET("/fails", func(*gin.Context) { panic("as it does") })
	return e
}

// withEcho is the application on echo.
func withEcho() http.Handler {
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			defer func() {
				if recover() != nil {
					err = c.NoContent(http.StatusInternalServerError)
				}
			}()
			c.Response().Header().Set("X-Middleware", "yes")
			return next(c)
		}
	})
	e.GET("/health", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	items := e.Group("/items")
	items.GET("/:id", func(c echo.Context) error {
		return c.JSON(http.StatusOK, Item{c.Param("id"), c.QueryParam("q")})
	})
	items.POST("", func(c echo.Context) error {
		var in Item
		if err := c.Bind(&in); err != nil {
			return c.String(http.StatusBadRequest, "no item")
		}
		return c.JSON(http.StatusCreated, in)
	})
	items.PUT("/:id/file", func(c echo.Context) error {
		n, err := io.Copy(io.Discard, c.Request().Body)
		return c.String(http.StatusOK, fmt.Sprintln(c.Param("id"), n, err))
	})
	e.GET("/files/*", func(c echo.Context) error { return c.String(http.StatusOK, c.Param("*")) })
	e.GET("/events", func(c echo.Context) error {
		events(c.Response(), c.Request())
		return nil
	})
	e.GET("/wire", func(c echo.Context) error {
		wire(c.Response(), c.Request())
		return nil
	})
	e.GET("/fails", func(echo.Context) error { panic("as it does") })
	return e
}

func encode(w http.ResponseWriter, status int, item Item) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(item) //nolint:errchkjson // what fails is the connection, and the client sees that
}

// events sends one, and then nothing until its reader leaves.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: first\n\n")
	if err := http.NewResponseController(w).Flush(); err == nil {
		<-r.Context().Done()
	}
}

// wire takes the connection over, as libraries for WebSocket do, and says a line again.
func wire(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_ = buffered.Flush()
	if text, err := buffered.ReadString('\n'); err == nil {
		_, _ = fmt.Fprintf(conn, "again: %s", text)
	}
}

// converse opens a connection of another protocol, and says a line.
func converse(t *testing.T, base string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience)) // it is open
	_, err = io.WriteString(conn, "GET /wire HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello\n")
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	rest, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(rest))
}

// bridged serves a router through a gateway.
func bridged(t *testing.T, router http.Handler) string {
	t.Helper()
	m := spec.Manifest{Service: "routers", Version: "1.0.0"}
	list := stella.Endpoints{Package: "routers"}
	for _, r := range routes {
		method, path, _ := strings.Cut(r, " ")
		e := spec.Endpoint{
			Method: method, Path: path, Handler: "Router.ServeHTTP", Kind: spec.KindHTTP, Status: http.StatusOK, Stream: spec.StreamBoth,
			Public: "it is a test", Limits: spec.DefaultLimits,
		}
		if path == "/wire" {
			e.Stream, e.Status = spec.StreamUpgrade, http.StatusSwitchingProtocols
		}
		pattern, err := spec.ParsePattern(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pattern.Params() {
			e.Params = append(e.Params, spec.Param{Name: name, In: spec.InPath, Required: true, Schema: &spec.Schema{Type: "string"}})
		}
		m.Endpoints = append(m.Endpoints, e)
		list.List = append(list.List, stella.Endpoint{Method: method, Path: path, Dispatch: httpbridge.Dispatch(router)})
	}
	manifest, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return shoptest.ThroughGateway(t, func(gateways stella.Part) *stella.Service {
		return stella.New(stella.Manifest{JSON: string(manifest)}, list, gateways)
	})
}

// answer is what must be the same.
type answer struct {
	status           int
	kind, middleware string // Content-Type, X-Middleware
	body             string
}

// ask asks a server, and reads the answer, or as much as the reader wants.
func ask(t *testing.T, base, method, target, body string, read func(io.Reader) (string, error)) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, base+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := read(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("X-Middleware"), text}
}

func whole(r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	return string(b), err
}

func line(r io.Reader) (string, error) { return bufio.NewReader(r).ReadString('\n') }

func TestRouters(t *testing.T) {
	for name, router := range map[string]func() http.Handler{"ServeMux": mux, "chi": withChi, "gin": withGin, "echo": withEcho} {
		t.Run(name, func(t *testing.T) {
			direct := httptest.NewServer(router())
			t.Cleanup(direct.Close)
			through := bridged(t, router())
			for _, base := range []string{direct.URL, through} {
				if got := converse(t, base); got != "101 again: hello\n" {
					t.Errorf("an upgrade at %s: got %q", base, got)
				}
			}
			for _, r := range []struct {
				method, target, body string
				read                 func(io.Reader) (string, error)
				status               int
				want                 string // within the body
			}{
				{"GET", "/items/7?q=a+b", "", whole, 200, `{"id":"7","query":"a b"}`},
				{"GET", "/items/%C3%A4%20b", "", whole, 200, `{"id":"ä b"`},
				{"HEAD", "/health", "", whole, 0, ""},
				{"POST", "/items", `{"id":"8"}`, whole, 201, `{"id":"8","query":""}`},
				{"POST", "/items", `{"id":`, whole, 400, "no item"},
				{"PUT", "/items/9/file", strings.Repeat("x", 300_000), whole, 200, "9 300000 <nil>"},
				{"GET", "/files/a/b.txt", "", whole, 200, "a/b.txt"},
				{"GET", "/events", "", line, 200, "data: first\n"},
				{"GET", "/fails", "", whole, 500, ""},
			} {
				want := ask(t, direct.URL, r.method, r.target, r.body, r.read)
				got := ask(t, through, r.method, r.target, r.body, r.read)
				if got != want || r.status != 0 && got.status != r.status || !strings.Contains(got.body, r.want) {
					t.Errorf("%s %s: got %+v; net/http gives %+v, and expected is %d with %q", r.method, r.target, got, want, r.status, r.want)
				}
			}
		})
	}
}
