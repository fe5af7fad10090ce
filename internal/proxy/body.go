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
	v    *visit
}

// await bounds how long a client may say nothing of its body, also where nobody reads it: before it takes a next request the server
// reads what is left of one.
func await(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// A connection that knows no deadlines is read without.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
	}
}

// Read reads on, within bodyPatience. At the end the connection has no deadline any more: the server reads on for the client's leaving.
// A client that was too slow is not waited for again.
func (p patient) Read(b []byte) (int, error) {
	// A connection that knows no deadlines is read without.
	bounded := p.conn.SetReadDeadline(time.Now().Add(bodyPatience)) == nil
	n, err := p.ReadCloser.Read(b)
	if bounded && errors.Is(err, io.EOF) {
		_ = p.conn.SetReadDeadline(time.Time{}) // as above
	}
	switch {
	case errors.Is(err, io.EOF):
		p.v.sent.Store(true)
	case err != nil:
		p.v.badBody.Store(&err)
	}
	return n, err
}

// tooLarge tells that a body went beyond its limit.
func tooLarge(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}

var (
	slowPage    = page{status: http.StatusRequestTimeout, title: "Nothing more came", text: "The rest of what was announced did not come in time."}
	badBodyPage = page{status: http.StatusBadRequest, title: http.StatusText(http.StatusBadRequest), text: "What was sent ends otherwise than it was announced."}
)

// awaitBadBody waits a moment for what a body came to: the server ends the context of a request when it cannot read its body, and who waits for
// the target hears of that before the one that was reading says why.
func (v *visit) awaitBadBody() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 100 {
		if v.badBody.Load() != nil {
			return
		}
		<-tick.C
	}
}

// badBodyPage is the answer to who sends what is no body, or only a part of one; false: the body was not at fault.
func (v *visit) badBodyPage() (page, bool) {
	why := v.badBody.Load()
	switch {
	case why == nil:
		return page{}, false
	case tooLarge(*why):
		return tooLargePage, true
	case timedOut(*why):
		return slowPage, true
	}
	return badBodyPage, true
}

// endsConnection tells the client of a body in chunks that its connection ends with the answer. Servers in a row have read such requests
// in two ways, above all with a length beside the chunks: what one takes for the rest of a body is no next request here.
func endsConnection(h http.Header, r *http.Request) {
	if len(r.TransferEncoding) > 0 {
		endConnection(h, r)
	}
}

// endConnection lets a connection of HTTP/1 end with the answer.
func endConnection(h http.Header, r *http.Request) {
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close")
	}
}
