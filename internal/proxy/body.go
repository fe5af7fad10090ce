package proxy

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// bodyPatience is how long a client may send nothing of the body that it has announced.
const bodyPatience = time.Minute

// patient is a body whose sender may pause, but not stop: each read has a deadline of its own, however large the whole is.
type patient struct {
	io.ReadCloser
	conn *http.ResponseController
}

// Read reads on, within bodyPatience. At the end the connection has no deadline any more: the server reads on for the client's leaving.
func (p patient) Read(b []byte) (int, error) {
	// A connection that knows no deadlines is read without.
	bounded := p.conn.SetReadDeadline(time.Now().Add(bodyPatience)) == nil
	n, err := p.ReadCloser.Read(b)
	if bounded && err != nil {
		_ = p.conn.SetReadDeadline(time.Time{}) // as above
	}
	return n, err
}

// tooLarge tells that a body went beyond its limit.
func tooLarge(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}
