package proxy

import (
	"container/list"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
)

// mostWaiting is how many connections may be open on which no request is under way: new ones, those that send a head byte by byte, and
// those that are kept for a next request.
const mostWaiting = 2048

// waiting keeps the connections of one listener on which no request is under way, the one that has waited longest first. Who opens
// many and says nothing shall not take the files and the memory that requests need: with one too many, the oldest is closed.
type waiting struct {
	most  int
	mu    sync.Mutex
	order list.List // of net.Conn
	at    map[net.Conn]*list.Element
}

func newWaiting(most int) *waiting { return &waiting{most: most, at: map[net.Conn]*list.Element{}} }

// note follows the life of a connection.
func (w *waiting) note(conn net.Conn, state http.ConnState) {
	if state != http.StateNew && state != http.StateIdle {
		w.leave(conn)
		return
	}
	if oldest := w.join(conn); oldest != nil {
		_ = oldest.Close() // it is given up; the server notes how it ends
	}
}

func (w *waiting) leave(conn net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.at[conn]; e != nil {
		w.order.Remove(e)
		delete(w.at, conn)
	}
}

// join adds a connection, and returns the one that has to go for it; nil: none has.
func (w *waiting) join(conn net.Conn) (oldest net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[conn] = w.order.PushBack(conn)
	if w.order.Len() <= w.most {
		return nil
	}
	oldest, _ = w.order.Remove(w.order.Front()).(net.Conn) // nothing else is in it
	delete(w.at, oldest)
	return oldest
}

// all are those that wait.
func (w *waiting) all() []net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.at))
}
