package sso

import (
	"errors"
	"io"
	"net/http"
	"strings"
)

const (
	// mostAnswer is how much of an answer of the provider is read, in bytes: what it says of itself, its keys and its tokens are some kilobytes.
	mostAnswer = 1 << 20
	// mostTold is how much is told of what went wrong, in bytes: enough for two issuers that are not the same.
	mostTold = 300
)

var errTooLong = errors.New("its answer is longer than 1 MiB")

// bounded asks the provider, and takes answers of mostAnswer at most.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: mostAnswer}
	return resp, nil
}

// boundedBody fails with errTooLong where more than so many bytes are left: a part that is taken for the whole would say something else.
type boundedBody struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if n > b.left {
		n, err = b.left, errTooLong
	}
	b.left -= n
	return n, err
}

// terse is what the provider, or a library that asked it, says of an error: both put whole pages into it.
type terse struct{ err error }

// Error is its beginning.
func (t terse) Error() string {
	const mark = "…"
	text := t.err.Error()
	if len(text) <= mostTold {
		return text
	}
	return strings.ToValidUTF8(text[:mostTold-len(mark)], "") + mark
}

// Unwrap is the whole error.
func (t terse) Unwrap() error { return t.err }
