package plane

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

const mostListeners = 8

// sendHeld sends a message, and with its first bytes the listeners.
func sendHeld(conn *net.UnixConn, message any, listeners []syscall.Conn) error {
	text, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("write what is handed over: %w", err)
	}
	return withFiles(listeners, nil, func(fds []int) error {
		head := binary.BigEndian.AppendUint64(nil, uint64(len(text)))
		if _, _, err := conn.WriteMsgUnix(head, syscall.UnixRights(fds...), nil); err != nil {
			return fmt.Errorf("hand the listeners over: %w", err)
		}
		if _, err := conn.Write(text); err != nil {
			return fmt.Errorf("hand the table over: %w", err)
		}
		return nil
	})
}

// withFiles gives the file numbers of listeners, which stay as they are.
func withFiles(of []syscall.Conn, fds []int, do func(fds []int) error) error {
	if len(of) == 0 {
		return do(fds)
	}
	raw, err := of[0].SyscallConn()
	if err != nil {
		return fmt.Errorf("look at a listener: %w", err)
	}
	var done error
	err = raw.Control(func(fd uintptr) { done = withFiles(of[1:], append(fds, int(fd)), do) })
	return errors.Join(done, err)
}

// receiveHeld receives what sendHeld sends.
func receiveHeld(conn *net.UnixConn, message any) (listeners []net.Listener, err error) {
	head, oob := make([]byte, 8), make([]byte, syscall.CmsgSpace(4*mostListeners))
	n, oobn, _, _, err := conn.ReadMsgUnix(head, oob)
	if err != nil {
		return nil, fmt.Errorf("take the listeners over: %w", err)
	}
	listeners, err = listenersIn(oob[:oobn])
	if err == nil {
		err = readMessage(conn, head, n, message)
	}
	if err != nil {
		return nil, errors.Join(err, closeAll(listeners))
	}
	return listeners, nil
}

func readMessage(conn io.Reader, head []byte, have int, message any) error {
	if _, err := io.ReadFull(conn, head[have:]); err != nil {
		return fmt.Errorf("take the table over: %w", err)
	}
	size := binary.BigEndian.Uint64(head)
	if size > tableLimit {
		return fmt.Errorf("take the table over: %d bytes are more than any table has", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(conn, text); err != nil {
		return fmt.Errorf("take the table over: %w", err)
	}
	if err := json.Unmarshal(text, message); err != nil {
		return fmt.Errorf("read what is handed over: %w", err)
	}
	return nil
}

func listenersIn(oob []byte) (all []net.Listener, err error) {
	parts, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("take the listeners over: %w", err)
	}
	for _, part := range parts {
		fds, err := syscall.ParseUnixRights(&part)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("take the listeners over: %w", err), closeAll(all))
		}
		for _, fd := range fds {
			l, listenErr := listenerOf(fd)
			if listenErr != nil {
				err = errors.Join(err, listenErr)
				continue
			}
			all = append(all, l)
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(all))
		}
	}
	return all, nil
}

// listenerOf is the listener of a file number, which is closed.
func listenerOf(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("use a listener that was handed over: %w", err)
	}
	return l, nil
}

func closeAll(all []net.Listener) error {
	var wrong []error
	for _, l := range all {
		wrong = append(wrong, l.Close())
	}
	return errors.Join(wrong...)
}
