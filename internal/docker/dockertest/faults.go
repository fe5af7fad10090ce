package dockertest

import (
	"io"
	"net/http"
	"regexp"
	"time"
)

// Fault is something that goes wrong with matching requests. One kind a fault; Delay goes with each.
type Fault struct {
	On    string // regexp on "METHOD /path?query", the path without version: `^GET /containers/json`
	Skip  int    // let so many matching requests pass first
	Times int    // then hit so many; 0: all

	Delay     time.Duration
	Hang      bool   // no answer until the client gives up
	Status    int    // this status instead of an answer
	Body      string // with Status; default an error message
	Reset     bool   // the connection is closed before the engine does anything
	LoseReply bool   // the engine does it, the connection is closed before the answer
	CutBody   int    // the connection is closed after so many bytes of the answer's body
	EmptyList bool   // 200 and []
}

type fault struct {
	Fault
	on   *regexp.Regexp
	seen int
	hits int
}

// Fail makes matching requests go wrong until the returned function is called.
func (e *Engine) Fail(f Fault) (stop func()) {
	armed := &fault{Fault: f, on: regexp.MustCompile(f.On)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, armed)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		armed.Times, armed.hits = 1, 1
	}
}

// ClearFaults ends all faults.
func (e *Engine) ClearFaults() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = nil
}

// faultFor is called with the engine locked.
func (e *Engine) faultFor(target string) *Fault {
	for _, f := range e.faults {
		if f.Times > 0 && f.hits >= f.Times || !f.on.MatchString(target) {
			continue
		}
		f.seen++
		if f.seen <= f.Skip {
			continue
		}
		f.hits++
		return &f.Fault
	}
	return nil
}

// serveFaulty answers a request as the fault wants it.
func (e *Engine) serveFaulty(w http.ResponseWriter, r *request, f *Fault) {
	if f.Delay > 0 && !sleep(r, f.Delay) {
		return
	}
	switch {
	case f.Hang:
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client gives up
		<-r.Context().Done()
	case f.Reset:
		panic(http.ErrAbortHandler)
	case f.EmptyList:
		e.answer(w, http.StatusOK, []byte("[]\n"))
	case f.Status != 0 && f.Body != "":
		e.answer(w, f.Status, []byte(f.Body))
	case f.Status != 0:
		e.fail(w, f.Status, "pretended failure")
	case f.LoseReply:
		e.route(&blackHole{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case f.CutBody > 0:
		e.route(&cutWriter{ResponseWriter: w, left: f.CutBody}, r)
	default:
		e.route(w, r)
	}
}

// sleep reports false when the client went away meanwhile.
func sleep(r *request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// blackHole takes an answer that nobody will see.
type blackHole struct{ header http.Header }

func (b *blackHole) Header() http.Header         { return b.header }
func (b *blackHole) Write(p []byte) (int, error) { return len(p), nil }
func (b *blackHole) WriteHeader(int)             {}

// cutWriter closes the connection in the middle of the body.
type cutWriter struct {
	http.ResponseWriter
	left int
}

// Unwrap lets a ResponseController find Flush.
func (c *cutWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *cutWriter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	if _, err := c.ResponseWriter.Write(p[:c.left]); err != nil {
		return 0, err
	}
	flush(c.ResponseWriter)
	panic(http.ErrAbortHandler)
}
