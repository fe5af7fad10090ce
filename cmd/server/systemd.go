package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
)

// firstFile is the number of the first file that systemd hands over.
const firstFile = 3

// activated are the listeners that systemd opened for this process, and that nobody has taken yet.
type activated struct{ listeners []net.Listener }

// fromSystemd takes what systemd opened, if it opened anything.
func fromSystemd(getenv func(string) string) (*activated, error) {
	a := &activated{}
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return a, nil
	}
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || count < 0 {
		return nil, fmt.Errorf("read LISTEN_FDS: %q is no number of sockets", getenv("LISTEN_FDS"))
	}
	for n := range count {
		f := os.NewFile(uintptr(firstFile+n), "systemd")
		l, err := net.FileListener(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("use socket %d of systemd: %w", n+1, err)
		}
		a.listeners = append(a.listeners, l)
	}
	return a, nil
}

// take is the listener with the port of an address; nil: there is none.
func (a *activated) take(address string) net.Listener {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	at := slices.IndexFunc(a.listeners, func(l net.Listener) bool {
		_, has, err := net.SplitHostPort(l.Addr().String())
		return err == nil && has == port
	})
	if at < 0 {
		return nil
	}
	l := a.listeners[at]
	a.listeners = slices.Delete(a.listeners, at, at+1)
	return l
}

// close closes those that nobody wants: connections to them would wait for ever.
func (a *activated) close() {
	for _, l := range a.listeners {
		_ = l.Close() // systemd has it still
	}
	a.listeners = nil
}

// tellSystemd tells how this process does; without a socket nobody asks.
func tellSystemd(ctx context.Context, socket, text string) error {
	if socket == "" {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return fmt.Errorf("come to systemd: %w", err)
	}
	_, err = conn.Write([]byte(text))
	if err := errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}
