package api

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/compose"
	"github.com/tiny-forge/docker-watcher/internal/guard"
)

const (
	maxBody     = 1 << 20
	bodyTimeout = 10 * time.Second

	// A compose file is judged by its own size, with words of its own, and JSON makes more of it.
	composePath    = "/api/import/compose"
	maxComposeBody = 4 * compose.MostBytes

	// A document holds a thousand proxies and more.
	proxyImportPath    = "/api/proxies/import"
	maxProxyImportBody = 4 << 20
)

// mostBody is how large the body of a request may be.
func mostBody(path string) int64 {
	switch path {
	case composePath:
		return maxComposeBody
	case proxyImportPath:
		return maxProxyImportBody
	}
	return maxBody
}

// tooLarge is a request whose body is larger than that.
func tooLarge(path string) *Problem {
	p := newProblem(http.StatusRequestEntityTooLarge, codeTooLarge, fmt.Sprintf("the body is larger than %d MiB, nothing was done", mostBody(path)>>20))
	if path == composePath {
		return p.field("body.text", "the file is larger than 1 MiB").hint("give only the services that are to be imported")
	}
	return p.hint("send less at once")
}

// guard is what stands before every route.
func (s *server) guard(mux *http.ServeMux) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.AddInsecureBypassPattern(hookBase) // no cookie counts there
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, newProblem(http.StatusForbidden, codeCrossOrigin, "a page of another site may not do this"))
	}))
	inner := origin.Handler(bodyRead(s.dispatch(mux)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := &trackedWriter{ResponseWriter: w}
		begin := time.Now()
		defer func() {
			if cause := recover(); cause != nil {
				s.recovered(watched, r, cause)
			}
			watched.finish()
			s.metrics.served(r, watched.status, time.Since(begin))
			s.noteRefusal(mux, watched, r)
		}()
		setSecurityHeaders(w.Header(), r)
		inner.ServeHTTP(watched, r)
	})
}

// dispatch leads to a route, to the pages, or to a problem for what does not exist.
func (s *server) dispatch(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusal, pattern := mux.Handler(r)
		switch {
		case pattern != "":
			mux.ServeHTTP(w, r)
		case allowedMethods(refusal, r) != "":
			p := newProblem(http.StatusMethodNotAllowed, codeMethodNotAllowed, "this address does not know the method "+r.Method)
			writeProblem(w, p.with("Allow", allowedMethods(refusal, r)))
		case isAPI(r.URL.Path) || s.d.Web == nil:
			writeProblem(w, newProblem(http.StatusNotFound, codeNotFound, "there is nothing at "+r.URL.Path))
		default:
			s.d.Web.ServeHTTP(w, r)
		}
	})
}

func isAPI(path string) bool { return path == "/api" || strings.HasPrefix(path, "/api/") }

// allowedMethods asks the mux's own refusal, which knows the methods of a path; it
// is empty when the path itself is unknown.
func allowedMethods(refusal http.Handler, r *http.Request) string {
	answer := &headOnly{header: http.Header{}}
	refusal.ServeHTTP(answer, r)
	if answer.status != http.StatusMethodNotAllowed {
		return ""
	}
	return answer.header.Get("Allow")
}

// headOnly keeps the status and headers of an answer and forgets its body.
type headOnly struct {
	header http.Header
	status int
}

func (w *headOnly) Header() http.Header         { return w.header }
func (w *headOnly) WriteHeader(status int)      { w.status = status }
func (w *headOnly) Write(p []byte) (int, error) { return len(p), nil }

// bodyRead reads a request's body whole, within a size and a time, before anything
// works on it, so that no handler ever waits for a slow sender.
func bodyRead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		body, problem := readBody(w, r)
		if problem != nil {
			w.Header().Set("Connection", "close")
			writeProblem(w, problem)
			return
		}
		if len(body) > 0 && isAPI(r.URL.Path) && !isHook(r.URL.Path) && !isJSON(r.Header.Get("Content-Type")) {
			// Never to be taken for no body: without one, a cleanup means everything.
			writeProblem(w, newProblem(http.StatusUnsupportedMediaType, codeMediaType, "the body must be application/json"))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *Problem) {
	control := http.NewResponseController(w)
	// A connection without deadlines (a test's) is read without one.
	timed := control.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody(r.URL.Path)))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLarge(r.URL.Path)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, newProblem(http.StatusRequestTimeout, codeTimeout, "the body did not come within 10 seconds")
	}
	if err != nil {
		return nil, newProblem(http.StatusUnprocessableEntity, codeInvalid, "the body could not be read")
	}
	if timed && control.SetReadDeadline(time.Time{}) != nil {
		return nil, newProblem(http.StatusRequestTimeout, codeTimeout, "the connection is gone")
	}
	return body, nil
}

// csp lets the pages load only what comes from here, and no inline script. No text becomes markup or script but through the one
// policy of the page's framework, which only ever passes on what was compiled into it.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types svelte-trusted-html"

func setSecurityHeaders(h http.Header, r *http.Request) {
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	if isAPI(r.URL.Path) {
		h.Set("Cache-Control", "no-store")
	}
}

// recovered answers for a handler that panicked, unless it has answered already.
func (s *server) recovered(w *trackedWriter, r *http.Request, cause any) {
	if cause == http.ErrAbortHandler { //nolint:errorlint // a panic's value is compared as it is
		panic(cause)
	}
	id := rand.Text()[:12]
	p := guard.Caught(cause)
	s.log.LogAttrs(r.Context(), slog.LevelError, "request panicked",
		slog.String("problem_id", id), slog.String("path", tellable(r.URL.Path)), slog.Any("panic", p.Cause), slog.String("stack", string(p.Stack)))
	if w.status != 0 {
		// Half an answer must not look like a whole one.
		panic(http.ErrAbortHandler)
	}
	answer := newProblem(http.StatusInternalServerError, codeInternal, "something went wrong inside docker-watcher")
	answer.ID = id
	writeProblem(w, answer.hint("look for the id in the log of the daemon"))
}

// trackedWriter knows whether an answer was begun, with which status, and of a refusal whose and why. A reader that blocks a write for longer
// than answerTimeout is left; one that is slow and goes on reading is not.
type trackedWriter struct {
	http.ResponseWriter
	status    int
	operation string   // empty: the request did not come to a route
	visit     visit    // zero until it is known who asks
	problem   *Problem // that was answered

	allowance allowance
	streams   bool // its handler says itself how long the reader may take
}

// tracked is the writer of a request that passed the guard; of a test that did not it is one that nobody looks at.
func tracked(w http.ResponseWriter) *trackedWriter {
	if t, ok := w.(*trackedWriter); ok {
		return t
	}
	return &trackedWriter{ResponseWriter: w}
}

// noteProblem keeps what a handler or the framework answers a request with, when it is a problem.
func noteProblem(ctx huma.Context, _ string, body any) (any, error) {
	if p, ok := body.(*Problem); ok {
		_, w := humago.Unwrap(ctx)
		tracked(w).problem = p
	}
	return body, nil
}

// WriteHeader notes the status.
func (w *trackedWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// onePiece is how much a reader has answerTimeout for.
const onePiece = 32 << 10

// Write begins an answer of status 200 unless one was begun.
func (w *trackedWriter) Write(p []byte) (n int, _ error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	for {
		w.extend()
		piece := p[n:min(n+onePiece, len(p))]
		wrote, err := w.ResponseWriter.Write(piece)
		n += wrote
		if err != nil || n >= len(p) {
			return n, err
		}
	}
}

// finish gives the reader time for what is not sent yet of an answer.
func (w *trackedWriter) finish() {
	if w.status != 0 {
		w.extend()
	}
}

func (w *trackedWriter) extend() {
	if !w.streams {
		_ = w.allowance.renew(http.NewResponseController(w.ResponseWriter), answerTimeout) // of a connection that is gone the write tells
	}
}

// SetWriteDeadline is for a handler that streams, as http.ResponseController calls it: from then on it alone says how long its reader may take.
func (w *trackedWriter) SetWriteDeadline(at time.Time) error {
	w.streams = true
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(at)
}

// Unwrap lets http.ResponseController reach what is below.
func (w *trackedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
