package plane

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	askLimit = 2 * time.Second // of a question to the plane before
	// followLimit is how long the plane before may take to answer by another table, with those before it: each gives the next one half of
	// its own time.
	followLimit = 4 * time.Second
)

// predecessor is the plane whose place is taken, for as long as something is open on it; nil: there is none.
type predecessor struct {
	follows bool // it can be told of tables

	mu   sync.Mutex
	conn *net.UnixConn // nil: it has ended
	in   *bufio.Reader
}

func (b *predecessor) ask(h *heritage) ([]net.Listener, error) {
	if err := b.conn.SetDeadline(time.Now().Add(takeLimit)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(b.conn, "POST "+pathTake+" HTTP/1.1\r\nHost: plane\r\nConnection: Upgrade\r\nUpgrade: docker-watcher-take\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(b.in, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.Join(faultIn(resp), resp.Body.Close())
	}
	if _, err := io.WriteString(b.conn, lineReady+"\n"); err != nil {
		return nil, err
	}
	return receiveHeld(b.conn, h) // nothing of it was read ahead: it was not sent before
}

// tellServing has the plane before give up its place.
func (b *predecessor) tellServing() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := io.WriteString(b.conn, lineServing+"\n")
	if err == nil {
		err = expect(b.in, lineLeft)
	}
	if err != nil {
		return fmt.Errorf("tell the data plane before, which serves on, that its place is taken: %w", err)
	}
	return nil
}

// openOn counts what is open there; nothing when it has ended.
func (b *predecessor) openOn(prefix string) int {
	line, err := b.say(lineOpen+prefix, askLimit)
	open, readErr := strconv.Atoi(line)
	if err != nil || readErr != nil {
		b.forget() // it has ended
		return 0
	}
	return open
}

// follow has it, and those before it, answer by a table, as JSON. When it returns they do, or answer nobody any more, or have ended. One that
// hangs is given up: it answers nobody once it finds that out.
func (b *predecessor) follow(table []byte, limit time.Duration) {
	if b == nil || !b.follows {
		return
	}
	if line, err := b.say(fmt.Sprintf("%s%d %s", lineTable, limit.Milliseconds(), table), limit); err != nil || line != lineFollowed {
		b.forget() // else it steps aside by that
	}
}

// say tells it one line and returns the one that it answers with. An error is that it has ended, or hangs.
func (b *predecessor) say(line string, limit time.Duration) (answer string, err error) {
	if b == nil {
		return "", errEnded
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return "", errEnded
	}
	if err := b.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(b.conn, line+"\n"); err != nil {
		return "", err
	}
	answer, err = b.in.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

var errEnded = errors.New("it has ended")

// forget lets it be.
func (b *predecessor) forget() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		_ = b.conn.Close() // it may have ended
		b.conn = nil
	}
}
