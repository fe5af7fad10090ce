package peers

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// ask sends a request to an address for a.example.
func ask(t *testing.T, client *http.Client, method, addr, path string, body io.Reader, head http.Header) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if req.Host = "a.example"; head != nil {
		req.Header = head
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, text
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
  location /slow { limit_rate 4k; }
}`)
	text := strings.Repeat("all of this can be made smaller. ", 3000)
	far.write("text.txt", text)
	far.write("slow", text[:6<<10])
	s, addr := serve(t, listen(t), tableTo("http://"+far.addr))
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, ExpectContinueTimeout: patience},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	get := func(path string, head http.Header) (*http.Response, string) {
		resp, body := ask(t, client, http.MethodGet, addr, path, nil, head)
		return resp, string(body)
	}

	_, first := get("/conn", nil)
	for range 5 {
		if _, again := get("/conn", nil); again != first {
			t.Errorf("a connection to the target is not kept: %s, then %s", first, again)
		}
	}
	if _, seen := get("/seen", nil); !strings.HasPrefix(seen, "a.example|127.0.0.1|http|1.1 docker-watcher-") || !strings.HasSuffix(seen, "|") {
		t.Errorf("it sees %s", seen)
	}

	if resp, body := get("/text.txt", nil); body != text || resp.ContentLength != int64(len(text)) || resp.Header.Get("Content-Encoding") != "" {
		t.Errorf("plain it is %d bytes of %d, %v", len(body), resp.ContentLength, resp.Header)
	}
	resp, body := get("/text.txt", http.Header{"Accept-Encoding": {"gzip"}})
	if resp.Header.Get("Content-Encoding") != "gzip" || resp.ContentLength != -1 || resp.TransferEncoding[0] != "chunked" || len(body) > len(text)/10 {
		t.Errorf("made smaller it is %d bytes of %d, %v", len(body), resp.ContentLength, resp.Header)
	} else if plain, err := gunzip(body); err != nil || plain != text {
		t.Errorf("made smaller it holds %d bytes, %v", len(plain), err)
	}
	etag := resp.Header.Get("Etag")

	for span, want := range map[string]string{"bytes=0-9": text[:10], "bytes=100-199": text[100:200], "bytes=-7": text[len(text)-7:]} {
		if resp, body := get("/text.txt", http.Header{"Range": {span}}); resp.StatusCode != http.StatusPartialContent || body != want || resp.Header.Get("Content-Range") == "" {
			t.Errorf("%s is %d %q", span, resp.StatusCode, body)
		}
	}
	if resp, _ := get("/text.txt", http.Header{"Range": {"bytes=9999999-"}}); resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range beyond the end is answered %d", resp.StatusCode)
	}
	if resp, body := get("/text.txt", http.Header{"Range": {"bytes=0-1,5-6"}}); resp.StatusCode != http.StatusPartialContent || !strings.Contains(body, "Content-Range: bytes 5-6/") {
		t.Errorf("two ranges are %d %q", resp.StatusCode, body)
	}
	if resp, body := get("/text.txt", http.Header{"If-None-Match": {etag}}); resp.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("what is known already is answered %d %q", resp.StatusCode, body)
	}
	if resp, _ := get("/moved", nil); resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "http://169.254.169.254/latest" {
		t.Errorf("a redirect is answered %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := get("/cut", nil); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("a target that hangs up is answered %d", resp.StatusCode)
	}
	head, none := ask(t, client, http.MethodHead, addr, "/text.txt", nil, nil)
	if head.ContentLength != int64(len(text)) || len(none) > 0 {
		t.Errorf("HEAD is answered by %d, with %d bytes", head.ContentLength, len(none))
	}

	upload(t, client, addr, far)
	slowly(t, addr)
	if report, ok := s.Report("a"); !ok || report.Open != 0 || report.Errors != 1 {
		t.Errorf("in the end the report is %+v", report)
	}

	far.stop()
	if resp, _ := get("/conn", nil); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("without nginx it answers %d", resp.StatusCode)
	}
	far.start()
	late := time.Now().Add(patience)
	for status := 0; status != 200; {
		if resp, _ := get("/conn", nil); resp.StatusCode == 200 || time.Now().After(late) {
			status = 200
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
			resp, _ := ask(t, client, http.MethodPut, addr, path, body, head)
			kept, err := os.ReadFile(far.dir + path)
			if resp.StatusCode != http.StatusCreated || err != nil || sha256.Sum256(kept) != sha256.Sum256(large) {
				t.Errorf("%s is answered %d, and %d bytes are kept: %v", path, resp.StatusCode, len(kept), err)
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

// slowly sees that what a target sends bit by bit comes so.
func slowly(t *testing.T, addr string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "a.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	began := time.Now()
	if _, err := io.ReadFull(resp.Body, make([]byte, 2<<10)); err != nil || time.Since(began) > 900*time.Millisecond {
		t.Errorf("the first of it comes after %s, %v", time.Since(began), err)
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 4<<10 {
		t.Errorf("the rest of it is %d bytes, %v", len(rest), err)
	}
}
