package proxy

import (
	"net"
	"net/http"
	"strings"
)

// Leave asks every client that is answered from now on to come again on a new connection, which another process takes by then.
// Connections whose protocol changes, as those of WebSockets do, are left as they are.
func (s *Server) Leave() { s.leaving.Store(true) }

// Busy counts what Serve has open still: connections, and the requests and streams that are under way.
func (s *Server) Busy() int { return int(s.conns.Load()) + s.OpenOn("") }

// OpenOn counts the requests and streams on all targets whose names begin so, whether they have left the table or not.
func (s *Server) OpenOn(prefix string) int {
	open := int64(s.Open(prefix))
	for _, up := range s.current.Load().targets {
		if strings.HasPrefix(up.ref, prefix) {
			open += up.open.Load()
		}
	}
	return int(open)
}

func (s *Server) countConns(_ net.Conn, now http.ConnState) {
	switch now {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateHijacked, http.StateClosed:
		s.conns.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}
