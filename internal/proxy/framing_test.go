package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// recorder is a target that keeps every byte it is sent, and answers what it reads as requests.
type recorder struct {
	url  string
	mu   sync.Mutex
	raw  bytes.Buffer
	seen []string // method, path and body
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	rec := &recorder{url: "http://" + l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go rec.serve(conn)
		}
	}()
	return rec
}

// Write keeps what came.
func (rec *recorder) Write(b []byte) (int, error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.raw.Write(b)
}

func (rec *recorder) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(io.TeeReader(conn, rec))
	for {
		q, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return // the rest of it never came: nobody acts on such a request
		}
		rec.mu.Lock()
		rec.seen = append(rec.seen, fmt.Sprintf("%s %s %s", q.Method, q.RequestURI, body))
		rec.mu.Unlock()
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
			return
		}
	}
}

// take returns what came since the last call, and forgets it.
func (rec *recorder) take() (raw string, seen []string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	raw, seen = rec.raw.String(), rec.seen
	rec.raw.Reset()
	rec.seen = nil
	return raw, seen
}

// exchange sends bytes as they are on a connection of their own, and returns the status of each answer. A last request follows that
// nobody serves: where the connection is still good after the bytes, its 404 ends the list.
func (r *rig) exchange(text string) (statuses []int) {
	r.t.Helper()
	conn := r.dial()
	_, _ = io.WriteString(conn, text+"GET / HTTP/1.1\r\nHost: nobody.example\r\nConnection: close\r\n\r\n") // it may be refused before its end
	in := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		_, _ = io.Copy(io.Discard, resp.Body) // it may be cut off
		_ = resp.Body.Close()
		statuses = append(statuses, resp.StatusCode)
	}
}

const (
	anHost   = "Host: a.example\r\n"
	hiddenIn = "GET /hidden HTTP/1.1\r\n" + anHost + "\r\n"
)

// TestWhereARequestEnds sends what servers that stand in a row have read in two ways. Either it is refused, or the target gets one
// request whose end is written anew, and nothing of what follows it.
func TestWhereARequestEnds(t *testing.T) {
	rec := newRecorder(t)
	r := newRig(t)
	r.apply(rule("a.example", rec.url))
	hello := "POST /seen HTTP/1.1\r\n" + anHost
	const chunks = "5\r\nhello\r\n0\r\n\r\n"
	for name, c := range map[string]struct {
		request string
		want    string // what the target reads; empty: nothing
		status  int
	}{
		"a length and chunks":             {hello + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + hiddenIn, "POST /seen hello", 200},
		"chunks and a length":             {hello + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunks + hiddenIn, "POST /seen hello", 200},
		"chunks in capitals":              {hello + "Transfer-Encoding: CHUNKED\r\n\r\n" + chunks + hiddenIn, "POST /seen hello", 200},
		"chunks after a tab":              {hello + "Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n\r\n" + chunks + hiddenIn, "POST /seen hello", 200},
		"chunks after a vertical tab":     {hello + "Transfer-Encoding:\x0bchunked\r\nContent-Length: 4\r\n\r\n" + chunks + hiddenIn, "", 400},
		"chunks twice":                    {hello + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + hiddenIn, "", 501},
		"chunks and another":              {hello + "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n" + chunks + hiddenIn, "", 501},
		"chunks and nothing":              {hello + "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n" + chunks + hiddenIn, "", 501},
		"identity":                        {hello + "Transfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 501},
		"chunks with a comma":             {hello + "Transfer-Encoding: , chunked\r\n\r\n" + chunks + hiddenIn, "", 501},
		"chunks with a dot":               {hello + "Transfer-Encoding: chunked.\r\n\r\n" + chunks + hiddenIn, "", 501},
		"chunks in quotes":                {hello + "Transfer-Encoding: \"chunked\"\r\n\r\n" + chunks + hiddenIn, "", 501},
		"gzip in chunks":                  {hello + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks + hiddenIn, "", 501},
		"a space before the colon":        {hello + "Transfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\n" + chunks + hiddenIn, "", 400},
		"a name that begins with a space": {"POST /seen HTTP/1.1\r\n Transfer-Encoding: chunked\r\n" + anHost + "\r\n" + chunks + hiddenIn, "", 400},
		"an underscore":                   {hello + "Transfer_Encoding: chunked\r\nContent-Length: 4\r\n\r\nhell", "POST /seen hell", 200},
		"the same length twice":           {hello + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nhell", "POST /seen hell", 200},
		"two lengths":                     {hello + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nhello" + hiddenIn, "", 400},
		"two lengths in one":              {hello + "Content-Length: 4, 5\r\n\r\nhello" + hiddenIn, "", 400},
		"the same length twice in one":    {hello + "Content-Length: 4, 4\r\n\r\nhell" + hiddenIn, "", 400},
		"a length with a plus":            {hello + "Content-Length: +4\r\n\r\nhell" + hiddenIn, "", 400},
		"a length with a minus":           {hello + "Content-Length: -4\r\n\r\nhell" + hiddenIn, "", 400},
		"a length with a space inside":    {hello + "Content-Length: 4 0\r\n\r\nhell" + hiddenIn, "", 400},
		"a length with spaces around":     {hello + "Content-Length:   4  \r\n\r\nhell", "POST /seen hell", 200},
		"a length in hexadecimal":         {hello + "Content-Length: 0x4\r\n\r\nhell" + hiddenIn, "", 400},
		"a length with an underscore":     {hello + "Content-Length: 1_0\r\n\r\nhellohello" + hiddenIn, "", 400},
		"no length":                       {hello + "Content-Length:\r\n\r\n" + hiddenIn, "", 400},
		"a length beyond all":             {hello + "Content-Length: 99999999999999999999\r\n\r\nhell", "", 400},
		"chunks with an extension":        {hello + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0;x\r\n\r\n" + hiddenIn, "POST /seen hello", 200},
		"an extension with a bare LF":     {hello + "Transfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n" + hiddenIn, "", 400},
		"an extension without an end":     {hello + "Transfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("x", 8<<10) + "\r\nhello\r\n0\r\n\r\n" + hiddenIn, "", 400},
		"chunks that end with bare LF":    {hello + "Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n" + hiddenIn, "", 400},
		"a chunk longer than it says":     {hello + "Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n" + hiddenIn, "", 400},
		"a chunk with a sign":             {hello + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n" + hiddenIn, "", 400},
		"a chunk in 0x":                   {hello + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n" + hiddenIn, "", 400},
		"a chunk beyond all":              {hello + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n" + hiddenIn, "", 400},
		"chunks that break off":           {hello + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "", 400},
		"lines that end with bare LF":     {"POST /seen HTTP/1.1\nHost: a.example\nContent-Length: 4\n\nhell", "POST /seen hell", 200},
		"a bare CR in a value":            {hello + "X-A: b\rContent-Length: 44\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 400},
		"a bare CR before the colon":      {hello + "X-A\r: b\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 400},
		"a folded header":                 {hello + "X-A: b\r\n Content-Length: 44\r\nContent-Length: 4\r\n\r\nhell", "POST /seen hell", 200},
		"a folded length":                 {hello + "Content-Length:\r\n 4\r\n\r\nhell", "POST /seen hell", 200},
		"a zero byte in a value":          {hello + "X-A: a\x00b\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 400},
		"a zero byte in a name":           {hello + "X\x00A: b\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 400},
		"a name with a space":             {hello + "X A: b\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 400},
		"a name with brackets":            {hello + "(X-A): b\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 400},
		"a name beyond ASCII":             {hello + "X-Ä: b\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 400},
		"no name":                         {hello + ": b\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 400},
		"no colon":                        {hello + "X-A\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 400},
		"two spaces in the first line":    {"GET  /seen HTTP/1.1\r\n" + anHost + "\r\n", "", 400},
		"a space in the path":             {"GET /seen x HTTP/1.1\r\n" + anHost + "\r\n", "", 400},
		"a tab in the first line":         {"GET\t/seen HTTP/1.1\r\n" + anHost + "\r\n", "", 400},
		"a version that is none":          {"GET /seen HTTP/1.9x\r\n" + anHost + "\r\n", "", 400},
		"a version to come":               {"GET /seen HTTP/3.0\r\n" + anHost + "\r\n", "", 505},
		"no version":                      {"GET /seen\r\n" + anHost + "\r\n", "", 400},
		"a body of HTTP/1.0 in chunks":    {"POST /seen HTTP/1.0\r\n" + anHost + "Transfer-Encoding: chunked\r\n\r\n" + chunks, "POST /seen ", 200},
		"a trailer that would be a head":  {hello + "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\nAuthorization: evil\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n" + hiddenIn, "POST /seen hello", 200},
		"a trailer that would be an end":  {hello + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 1\r\n\r\n" + hiddenIn, "", 400},
		"an expectation that is none":     {hello + "Expect: cow\r\nContent-Length: 4\r\n\r\nhell" + hiddenIn, "", 417},
	} {
		statuses := r.exchange(c.request)
		if len(statuses) == 2 && statuses[1] == http.StatusNotFound {
			statuses = statuses[:1]
		}
		if len(statuses) != 1 || statuses[0] != c.status {
			t.Errorf("%s: it answers %v, want %d and no more", name, statuses, c.status)
		}
		raw, seen := rec.take()
		if got := strings.Join(seen, ", "); got != c.want {
			t.Errorf("%s: the target reads %q, want %q", name, got, c.want)
		}
		if raw != "" && len(seen) > 0 {
			oneEnd(t, name, raw)
		}
	}
}

// oneEnd holds what went to a target against what HTTP says of the head of a request.
func oneEnd(t *testing.T, name, raw string) {
	t.Helper()
	head, _, ok := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	var ends []string
	for _, line := range lines[1:] {
		field, _, _ := strings.Cut(line, ":")
		if field = strings.ToLower(field); strings.HasPrefix(field, "content-length") || strings.HasPrefix(field, "transfer") || strings.HasPrefix(field, "transfer_") {
			ends = append(ends, line)
		}
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") || strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("%s: the target is sent the line %q", name, line)
		}
		if slices.Contains([]string{"authorization", "x-t"}, field) || strings.Contains(line, "6.6.6.6") {
			t.Errorf("%s: the target is sent %q, which was no header", name, line)
		}
	}
	if !ok || len(ends) > 1 {
		t.Errorf("%s: the end of the request is told by %q", name, ends)
	}
}
