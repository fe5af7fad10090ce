package peers

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// answer is one that was read to its end.
type answer struct {
	status   int
	proto    int // 1 or 2
	head     http.Header
	trailer  http.Header
	length   int64 // that it announced; -1: none
	encoding []string
	body     string
}

// send sends a request, and reads its answer.
func send(t *testing.T, client *http.Client, req *http.Request) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(req.Context(), patience)
	defer cancel()
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return answer{resp.StatusCode, resp.ProtoMajor, resp.Header, resp.Trailer, resp.ContentLength, resp.TransferEncoding, string(body)}
}

// ask sends a request to an address for a.example.
func ask(t *testing.T, client *http.Client, method, addr, path string, body io.Reader, head http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if req.Host = "a.example"; head != nil {
		req.Header = head
	}
	return send(t, client, req)
}

func TestNginxAsTarget(t *testing.T) {
	far := newNginx(t, `
gzip on; gzip_min_length 100; gzip_types text/plain; gzip_proxied any; client_max_body_size 64m;
log_format conn "$connection"; 
server {
  listen ADDR; root DIR; default_type text/plain;
  location /conn { return 200 "$connection"; }
  location /seen { return 200 "$http_host|$http_x_forwarded_for|$http_x_forwarded_proto|$http_via|$http_connection"; }
  location /small/ { client_max_body_size 1k; dav_methods PUT; }
  location /up/ { dav_methods PUT; create_full_put_path on; }
  location /cut { return 444; }
  location /moved { return 302 http://169.254.169.254/latest; }
  location /slow { limit_rate 8k; }
}`)
	text := strings.Repeat("all of this can be made smaller. ", 3000)
	far.write("text.txt", text)
	far.write("slow", text[:32<<10])
	s, addr := serve(t, listen(t), tableTo("http://"+far.addr))
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, ExpectContinueTimeout: patience},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	get := func(path string, head http.Header) answer {
		return ask(t, client, http.MethodGet, addr, path, nil, head)
	}

	connections := map[string]bool{}
	for range 20 {
		connections[get("/conn", nil).body] = true
	}
	if len(connections) > 5 { // one may not be back before the next request comes
		t.Errorf("connections to the target are not kept: there were %d", len(connections))
	}
	if seen := get("/seen", nil).body; !strings.HasPrefix(seen, "a.example|127.0.0.1|http|1.1 docker-watcher-") || !strings.HasSuffix(seen, "|") {
		t.Errorf("it sees %s", seen)
	}

	if a := get("/text.txt", nil); a.body != text || a.length != int64(len(text)) || a.head.Get("Content-Encoding") != "" {
		t.Errorf("plain it is %d bytes of %d, %v", len(a.body), a.length, a.head)
	}
	small := get("/text.txt", http.Header{"Accept-Encoding": {"gzip"}})
	if small.head.Get("Content-Encoding") != "gzip" || small.length != -1 || len(small.encoding) != 1 || len(small.body) > len(text)/10 {
		t.Errorf("made smaller it is %d bytes of %d, %v", len(small.body), small.length, small.head)
	} else if plain, err := gunzip(small.body); err != nil || plain != text {
		t.Errorf("made smaller it holds %d bytes, %v", len(plain), err)
	}
	etag := small.head.Get("Etag")

	for span, want := range map[string]string{"bytes=0-9": text[:10], "bytes=100-199": text[100:200], "bytes=-7": text[len(text)-7:]} {
		if a := get("/text.txt", http.Header{"Range": {span}}); a.status != http.StatusPartialContent || a.body != want || a.head.Get("Content-Range") == "" {
			t.Errorf("%s is %d %q", span, a.status, a.body)
		}
	}
	if a := get("/text.txt", http.Header{"Range": {"bytes=9999999-"}}); a.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range beyond the end is answered %d", a.status)
	}
	if a := get("/text.txt", http.Header{"Range": {"bytes=0-1,5-6"}}); a.status != http.StatusPartialContent || !strings.Contains(a.body, "Content-Range: bytes 5-6/") {
		t.Errorf("two ranges are %d %q", a.status, a.body)
	}
	if a := get("/text.txt", http.Header{"If-None-Match": {etag}}); a.status != http.StatusNotModified || a.body != "" {
		t.Errorf("what is known already is answered %d %q", a.status, a.body)
	}
	if a := get("/moved", nil); a.status != http.StatusFound || a.head.Get("Location") != "http://169.254.169.254/latest" {
		t.Errorf("a redirect is answered %d %v", a.status, a.head)
	}
	if a := get("/cut", nil); a.status != http.StatusBadGateway {
		t.Errorf("a target that hangs up is answered %d", a.status)
	}
	if head := ask(t, client, http.MethodHead, addr, "/text.txt", nil, nil); head.length != int64(len(text)) || head.body != "" {
		t.Errorf("HEAD is answered by %d, with %d bytes", head.length, len(head.body))
	}

	upload(t, client, addr, far)
	slowly(t, client, addr)
	nothingIsOpen(t, s)
	if report, ok := s.Report("a"); !ok || report.Errors != 1 {
		t.Errorf("in the end the report is %+v", report)
	}

	far.stop()
	if a := get("/conn", nil); a.status != http.StatusBadGateway {
		t.Errorf("without nginx it answers %d", a.status)
	}
	far.start()
	late := time.After(patience)
	for get("/conn", nil).status != http.StatusOK {
		select {
		case <-late:
			t.Fatal("nginx is back, and is not asked")
		default:
		}
	}
}

func gunzip(body string) (string, error) {
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		return "", err
	}
	plain, err := io.ReadAll(r)
	return string(plain), err
}

// upload sends what is large, and what the target refuses before it has seen it.
func upload(t *testing.T, client *http.Client, addr string, far *nginx) {
	t.Helper()
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MB
	for name, body := range map[string]io.Reader{"whole": bytes.NewReader(large), "chunks": io.MultiReader(bytes.NewReader(large))} {
		for _, expect := range []string{"", "100-continue"} {
			path := "/up/" + name + expect
			head := http.Header{}
			if expect != "" {
				head.Set("Expect", expect)
				if seeker, ok := body.(io.Seeker); ok {
					_, _ = seeker.Seek(0, io.SeekStart) // in memory
				} else {
					body = io.MultiReader(bytes.NewReader(large))
				}
			}
			status := ask(t, client, http.MethodPut, addr, path, body, head).status
			kept, err := os.ReadFile(far.dir + path)
			if status != http.StatusCreated || err != nil || sha256.Sum256(kept) != sha256.Sum256(large) {
				t.Errorf("%s is answered %d, and %d bytes are kept: %v", path, status, len(kept), err)
			}
		}
	}
	// Who asks first is told before anything is sent.
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /small/x HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(large))
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 413") {
		t.Errorf("what is too large is answered %q, %v", line, err)
	}
}

// slowly sees that what a target sends bit by bit comes so. The client must not ask for it to be made smaller, for then there is one bit.
func slowly(t *testing.T, client *http.Client, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "a.example"
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 2<<10)); err != nil {
		t.Errorf("the first of it: %v", err)
	}
	first := time.Now()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 30<<10 {
		t.Errorf("the rest of it is %d bytes, %v", len(rest), err)
	}
	if later := time.Since(first); later < time.Second { // of the three that it takes
		t.Errorf("all of it is held back: the last comes %s after the first", later)
	}
}

// nothingIsOpen waits until the proxy has noted the end of all that it answers, which may be after the client has read it.
func nothingIsOpen(t *testing.T, s *proxy.Server) {
	t.Helper()
	late := time.After(patience)
	for report, _ := s.Report("a"); report.Open > 0; report, _ = s.Report("a") {
		select {
		case <-late:
			t.Fatalf("%d requests are still open", report.Open)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
