package proxy

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

// witness sees what is answered to a request that is to be a line of the log.
type witness struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (w *witness) WriteHeader(code int) {
	if w.status < http.StatusOK {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *witness) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Hijack gives the connection away to another protocol, which has no status after this one.
func (w *witness) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.status = http.StatusSwitchingProtocols
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController reach the connection.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// seen is called when a request is over, also when its answer was cut.
func (s *Server) seen(w *witness, r *http.Request, v *visit, began time.Time) {
	target := ""
	if v.at != nil {
		target = v.at.ref
	}
	// Without the query: it is where tokens are.
	s.log.Info("request", "rule_id", v.e.rule.ID, "client", v.client.String(), "method", r.Method, "host", r.Host, "path", brief(r.URL.Path),
		"status", w.status, "bytes", w.bytes, "took_ms", time.Since(began).Milliseconds(), "target", target, "user_agent", brief(r.UserAgent()))
}

// brief is a text that whoever asks wrote, at a length that fills no disk.
func brief(text string) string { return text[:min(len(text), 1<<10)] }
