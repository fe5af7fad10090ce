package proxy

import (
	"net"
	"net/http"
	"strings"
)

// Leave asks every client that is answered from now on to come again on a new connection, which another process takes by then.
// Connections whose protocol changes, as those of WebSockets do, are left as they are. Tables that are applied from now on are kept by that
// process, and not here.
func (s *Server) Leave() { s.leaving.Store(true) }

// StepAside answers nobody any more: which table another process answers by is not known here, until one is applied again. Connections on
// which no request is under way are closed, and who asks all the same is told to come anew. What is under way ends as it began.
func (s *Server) StepAside() {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.Leave()
	former := s.current.Load()
	s.swap(former, &compiled{rules: index[*entry]{}, policy: former.policy, aside: true})
	for _, conn := range s.allWaiting() {
		_ = conn.Close() // it is given up; the server notes how it ends
	}
}

// knowWaiting knows the connections of a listener that wait, until forget is called.
func (s *Server) knowWaiting(w *waiting) (forget func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waitings[w] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waitings, w)
	}
}

func (s *Server) allWaiting() (all []net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.waitings {
		all = append(all, w.all()...)
	}
	return all
}

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
