package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// inBubble runs a test on a bed in a bubble whose clock stands in 2026.
func inBubble(t *testing.T, test func(t *testing.T, b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		test(t, newBed(t))
	})
}

// emit keeps events in one transaction each.
func (b *bed) emit(from, to int) {
	b.t.Helper()
	for n := from; n <= to; n++ {
		b.update(func(tx *store.Tx) error {
			return tx.Emit(b.t.Context(), store.Event{
				Time: time.Now(), Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "test.counted", Message: "number " + strconv.Itoa(n),
			})
		})
	}
}

// counted collects the numbers of a stream until the last one.
func counted(t *testing.T, last int, got *[]string) func(client.Event) error {
	t.Helper()
	return func(e client.Event) error {
		if e.Kind != "test.counted" {
			return nil
		}
		*got = append(*got, e.Message)
		if e.Message == "number "+strconv.Itoa(last) {
			return errEnough
		}
		return nil
	}
}

var errEnough = errors.New("enough")

func numbers(from, to int) []string {
	var n []string
	for i := from; i <= to; i++ {
		n = append(n, "number "+strconv.Itoa(i))
	}
	return n
}

func wantNumbers(t *testing.T, got []string, from, to int) {
	t.Helper()
	if want := numbers(from, to); strings.Join(got, ",") != strings.Join(want, ",") {
		t.Fatalf("got %d events %v, want %v: a gap or a double", len(got), got, want)
	}
}

// TestPeer27StreamResumes cuts the connection again and again while events are made, before
// the first one was seen too: the client sees each kept event once and in order.
func TestPeer27StreamResumes(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		const last = 200
		connected := make(chan struct{}, 1000)
		cut := &cuttingTransport{next: &http.Transport{DialContext: b.listener.dial}}
		defer cut.next.CloseIdleConnections()
		c := b.newClient(cut, client.WithCredential(b.viewer.Credential()))
		var got []string
		ended := make(chan error, 1)
		go func() {
			ended <- c.Stream(t.Context(), client.StreamOptions{Connected: func() { connected <- struct{}{} }}, counted(t, last, &got))
		}()
		<-connected
		synctest.Wait()
		cut.cut() // before any event came
		b.emit(1, 20)
		for n := 20; n < last; n += 20 {
			<-connected
			synctest.Wait()
			b.emit(n+1, n+10)
			cut.cut()
			b.emit(n+11, n+20)
		}
		if err := <-ended; !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		wantNumbers(t, got, 1, last)
	})
}

// cuttingTransport can break the answer that is being read.
type cuttingTransport struct {
	next *http.Transport
	stop context.CancelFunc
}

func (c *cuttingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	c.stop = cancel
	return c.next.RoundTrip(r.WithContext(ctx))
}

func (c *cuttingTransport) cut() { c.stop() }

func TestStreamReplaysAfterAnID(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.emit(1, 5)
		l, err := b.viewer.Events(t.Context(), client.EventFilter{Text: "number 2"}, client.Page{})
		b.must(err)
		var got []string
		err = b.viewer.Stream(t.Context(), client.StreamOptions{After: l.Items[0].ID}, counted(t, 5, &got))
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		wantNumbers(t, got, 3, 5)

		// From where the session of a page said that the stream stands.
		session, err := b.viewer.Session(t.Context())
		b.must(err)
		b.emit(6, 6)
		got = nil
		if err := b.viewer.Stream(t.Context(), client.StreamOptions{After: session.LastEvent}, counted(t, 6, &got)); !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		wantNumbers(t, got, 6, 6)

		// The same by the query, as a browser asks.
		lines, stop := b.openStream("/api/events/stream?severity=warn&last_event_id="+l.Items[0].ID, "")
		defer stop()
		if text := lines(3); !strings.Contains(text, "number 3") || !strings.HasPrefix(text, "event: hello\nid: "+l.Items[0].ID+"\n") {
			t.Errorf("got %q", text)
		}
	})
}

func TestStreamFiltersAndCarriesChatterWithoutAnID(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		lines, stop := b.openStream("/api/events/stream?source=deployer", "")
		defer stop()
		lines(1)
		synctest.Wait()
		b.emit(1, 3)
		b.bus.Publish(store.Event{Time: time.Now(), Severity: store.SeverityInfo, Source: store.SourceDeployer, Kind: "deploy.progress", Message: "pulling"})
		text := lines(1)
		if !strings.HasPrefix(text, "event: event\ndata: ") || !strings.Contains(text, "pulling") || strings.Contains(text, "id: ") {
			t.Errorf("got %q", text)
		}
	})
}

// TestPeer27Heartbeat: a quiet stream says something every 15 seconds, and no proxy may hold it back.
func TestPeer27Heartbeat(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		lines, stop := b.openStream("/api/events/stream", "")
		defer stop()
		lines(1)
		for range 5 {
			begin := time.Now()
			if text := lines(1); text != "event: ping\ndata: {}\n\n" {
				t.Fatalf("got %q", text)
			}
			if waited := time.Since(begin); waited > 15*time.Second {
				t.Fatalf("silent for %s", waited)
			}
		}
	})
}

func TestStreamHeaders(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		h, _, stop := b.open("/api/events/stream", "")
		defer stop()
		if h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
			t.Errorf("got %v", h)
		}
	})
}

// TestSlowReaderIsDropped: a reader that does not read is left after a while, does not hold up
// what happens, and resumes without a gap.
func TestSlowReaderIsDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		_, body, stop := b.open("/api/events/stream", "")
		defer stop()
		synctest.Wait()
		begin := time.Now()
		b.emit(1, 300)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the reader held everything up for %s", took)
		}
		time.Sleep(writeTimeout + time.Second)
		synctest.Wait()
		if n := b.bus.Listeners(); n != 0 {
			t.Errorf("%d listeners are left", n)
		}
		text, err := io.ReadAll(body)
		if err == nil && strings.Contains(string(text), "number 300") {
			t.Fatal("it was not dropped")
		}
		var after string
		for line := range strings.Lines(string(text)) {
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				after = strings.TrimSpace(id)
			}
		}
		seen := strings.Count(string(text), `"kind":"test.counted"`)
		var got []string
		if err := b.viewer.Stream(t.Context(), client.StreamOptions{After: after}, counted(t, 300, &got)); !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		wantNumbers(t, got, seen+1, 300)
	})
}

func TestStreamsEndWhenTheDaemonStops(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		_, body, stop := b.open("/api/events/stream", "")
		defer stop()
		synctest.Wait()
		close(b.stopping)
		if _, err := io.ReadAll(body); err != nil {
			t.Errorf("the stream does not end cleanly: %v", err)
		}
	})
}

func TestStreamEndsWithItsSession(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		made, err := b.admin.CreateToken(t.Context(), client.NewToken{Name: "ci", Role: "viewer"})
		b.must(err)
		_, body, stop := b.open("/api/events/stream", made.Secret)
		defer stop()
		synctest.Wait()
		b.must(b.admin.RevokeToken(t.Context(), made.ID))
		begin := time.Now()
		if _, err := io.ReadAll(body); err != nil {
			t.Error(err)
		}
		if lived := time.Since(begin); lived > 16*time.Second {
			t.Errorf("a revoked token went on reading for %s", lived)
		}
	})
}

// open begins to read a path and returns the answer.
func (b *bed) open(path, credential string, headers ...string) (http.Header, io.Reader, func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	req, err := http.NewRequestWithContext(ctx, get, "http://docker-watcher.test"+path, nil)
	b.must(err)
	if credential == "" {
		credential = b.viewer.Credential()
	}
	req.Header.Set("Authorization", "Bearer "+credential)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DialContext: b.listener.dial}
	res, err := transport.RoundTrip(req) //nolint:bodyclose // closed by the func that is returned
	b.must(err)
	if res.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s", path, res.Status)
	}
	return res.Header, res.Body, func() {
		cancel()
		_ = res.Body.Close()
		transport.CloseIdleConnections()
	}
}

// openStream reads a stream message by message.
func (b *bed) openStream(path, credential string) (messages func(n int) string, stop func()) {
	b.t.Helper()
	_, body, stop := b.open(path, credential)
	return readMessages(b, body), stop
}

// readMessages reads the next n messages of a stream.
func readMessages(b *bed, body io.Reader) func(n int) string {
	lines := bufio.NewReader(body)
	return func(n int) string {
		b.t.Helper()
		var text strings.Builder
		for n > 0 {
			line, err := lines.ReadString('\n')
			if err != nil {
				b.t.Fatal(fmt.Errorf("after %q: %w", text.String(), err))
			}
			text.WriteString(line)
			if line == "\n" {
				n--
			}
		}
		return text.String()
	}
}
