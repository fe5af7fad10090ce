package plane

import (
	"net"
	"slices"
	"sync"
	"syscall"
)

// held is a listener that can be handed to another process.
type held struct {
	net.Listener
	name  string // http, https
	asked string // as it was asked for

	once  sync.Once
	end   sync.Once
	left  chan struct{} // closed when another process takes the connections
	ended chan struct{} // closed by Close
}

// hold makes a listener ready to be handed over.
func hold(name, asked string, l net.Listener) *held {
	return &held{Listener: l, name: name, asked: asked, left: make(chan struct{}), ended: make(chan struct{})}
}

// Accept takes the next connection. When another process takes them it waits until Close: what serves goes on with what it has.
func (h *held) Accept() (net.Conn, error) {
	conn, err := h.Listener.Accept()
	if err == nil {
		return conn, nil
	}
	select {
	case <-h.left:
		<-h.ended
		return nil, net.ErrClosed
	default:
		return nil, err
	}
}

// leave takes no connection any more. The port stays open in the process that it was handed to.
func (h *held) leave() error {
	close(h.left)
	return h.shut()
}

// Close ends it here.
func (h *held) Close() error {
	h.end.Do(func() { close(h.ended) })
	return h.shut()
}

func (h *held) shut() (err error) {
	h.once.Do(func() { err = h.Listener.Close() })
	return err
}

func (h *held) endpoint() Endpoint {
	return Endpoint{Name: h.name, Asked: h.asked, At: h.Addr().String()}
}

// raw are the listeners as what can be sent to another process.
func raw(all []*held, more ...syscall.Conn) []syscall.Conn {
	for _, h := range all {
		if c, ok := h.Listener.(syscall.Conn); ok {
			more = append(more, c)
		}
	}
	return more
}

// The names of listeners.
const (
	nameHTTP  = "http"
	nameHTTPS = "https"
)

// named is the listener of a name; nil: there is none.
func named(all []*held, name string) *held {
	at := slices.IndexFunc(all, func(h *held) bool { return h.name == name })
	if at < 0 {
		return nil
	}
	return all[at]
}

// portOf is the port of a listener; 0: it has none.
func portOf(l net.Listener) int {
	if at, ok := l.Addr().(*net.TCPAddr); ok {
		return at.Port
	}
	return 0
}
