package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// runs plants an instance that runs.
func (b *bed) runs(name string) (store.Instance, *dockertest.Container) {
	b.t.Helper()
	return b.plant(b.shop("shop-of-"+name, "preview"), name, 0, func(i *store.Instance, tpl *dockertest.Template) {
		i.Status, tpl.State = store.StatusRunning, dockertest.Running
	})
}

func TestLogAsText(t *testing.T) {
	b := newBed(t)
	i, box := b.runs("shop-1")
	box.Log("stdout", "one")
	box.Log("stderr", "two \x1b[31mred\x1b[0m")
	box.Log("stdout", "three")
	path := "/api/instances/" + i.ID + "/logs"
	for query, want := range map[string]string{
		"":                                     "one\ntwo \x1b[31mred\x1b[0m\nthree\n",
		"?tail=1":                              "three\n",
		"?stream=stderr":                       "two \x1b[31mred\x1b[0m\n",
		"?stream=stdout&tail=2":                "three\n",
		"?search=T":                            "two \x1b[31mred\x1b[0m\nthree\n",
		"?search=T&match_case=true":            "",
		"?search=%5Et.%2Be%24&regex=true":      "three\n",
		"?since=1h":                            "one\ntwo \x1b[31mred\x1b[0m\nthree\n",
		"?since=2100-01-01T00:00:00Z":          "",
		"?until=7d":                            "",
		"?since=7d&until=2100-01-01T00:00:00Z": "one\ntwo \x1b[31mred\x1b[0m\nthree\n",
	} {
		status, h, text := b.raw(b.viewer, get, path+query, "")
		if status != http.StatusOK || text != want || h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %q %v, want %q", query, status, text, h, want)
		}
	}
	for query, field := range map[string]string{
		"?since=yesterday": "query.since", "?since=never": "query.since", "?until=1h&follow=true": "query.until", "?since=1h&until=2h": "query.until",
		"?search=(&regex=true": "query.search", "?search=" + strings.Repeat("x", 501): "query.search", "?search=(a{900}){2}&regex=true": "query.search",
		"?stream=both": "query.stream", "?download=zip": "query.download", "?download=text&follow=true": "query.download", "?last_event_id=7": "query.last_event_id", "?tail=-1": "query.tail",
	} {
		status, _, text := b.raw(b.viewer, get, path+query, "")
		if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"`+field+`"`) {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
}

func TestLogAsAFile(t *testing.T) {
	b := newBed(t)
	i, box := b.runs("shop-1")
	long := strings.Repeat("x", 1<<20)
	box.Log("stdout", long)
	box.Log("stdout", "end")
	path := "/api/instances/" + i.ID + "/logs?download="
	_, h, text := b.raw(b.viewer, get, path+"text", "", "Accept", "text/event-stream")
	if text != long+"\nend\n" || !strings.HasPrefix(h.Get("Content-Disposition"), `attachment; filename="shop-1_20`) || !strings.HasSuffix(h.Get("Content-Disposition"), `Z.log"`) {
		t.Errorf("%d bytes, %v", len(text), h)
	}
	_, h, packed := b.raw(b.viewer, get, path+"gzip", "")
	r, err := gzip.NewReader(strings.NewReader(packed))
	b.must(err)
	unpacked, err := io.ReadAll(r)
	b.must(err)
	if string(unpacked) != text || h.Get("Content-Type") != "application/gzip" || !strings.HasSuffix(h.Get("Content-Disposition"), `.log.gz"`) || len(packed) > len(text)/10 {
		t.Errorf("%d bytes of %d: %v", len(packed), len(unpacked), h)
	}
}

// A log that breaks off must not look like a whole one.
func TestLogThatBreaksOff(t *testing.T) {
	b := newBed(t)
	i, box := b.runs("shop-1")
	for range 100 {
		box.Log("stdout", strings.Repeat("x", 1000))
	}
	b.engine.Fail(dockertest.Fault{On: `/logs`, CutBody: 5000})
	var got bytes.Buffer
	if err := b.viewer.Logs(t.Context(), i.ID, client.LogOptions{}, &got); err == nil {
		t.Errorf("%d bytes without an error", got.Len())
	}
}

func TestLogStream(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		i, box := b.runs("shop-1")
		box.Log("stdout", "one")
		h, body, stop := b.open("/api/instances/"+i.ID+"/logs?follow=true", "", "Accept", "text/event-stream")
		defer stop()
		if h.Get("Content-Type") != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("got %v", h)
		}
		read := readMessages(b, body)
		if text := read(1); !strings.HasPrefix(text, "event: lines\nid: ") || !strings.Contains(text, `{"stream":"stdout","time":"`) || !strings.Contains(text, `"text":"one"}],"looked":1,"matched":1}`) {
			t.Errorf("got %q", text)
		}
		if text := read(1); text != "event: ping\ndata: {}\n\n" {
			t.Errorf("got %q", text)
		}
		box.OOM()
		if text := read(1); !strings.HasPrefix(text, "event: stopped\nid: ") || !strings.Contains(text, `"text":"it ended with code 137: out of memory"`) || !strings.Contains(text, `"exit_code":137,"oom_killed":true`) {
			t.Errorf("got %q", text)
		}
		if text := read(1); !strings.HasPrefix(text, "event: end\nid: ") || !strings.Contains(text, `"kind":"ended"`) {
			t.Errorf("got %q", text)
		}
		if _, err := body.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestLogStreamResumes cuts the connection again and again while lines are written: each comes once and in order.
func TestLogStreamResumes(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		const last = 400
		i, box := b.runs("shop-1")
		cut := &cuttingTransport{next: &http.Transport{DialContext: b.listener.dial}}
		defer cut.next.CloseIdleConnections()
		c := b.newClient(cut, client.WithCredential(b.viewer.Credential()))
		var got []string
		breaks := 0
		ended := make(chan error, 1)
		go func() {
			_, _, err := c.ReadLog(t.Context(), i.ID, client.LogOptions{Follow: true}, client.LogHandler{
				Line: func(l client.LogLine) error {
					if strings.HasPrefix(l.Text, "number") {
						got = append(got, l.Text)
					}
					if l.Text == fmt.Sprintf("number %d", last) {
						return errEnough
					}
					return nil
				},
				Disconnected: func(error) { breaks++ },
			})
			ended <- err
		}()
		for n := 1; n <= last; n++ {
			box.Log([]string{"stdout", "stderr"}[n%2], fmt.Sprintf("number %d", n))
			if n%7 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
			if n%50 == 0 {
				cut.cut()
				time.Sleep(2 * time.Second)
			}
		}
		if err := <-ended; !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if breaks < 5 {
			t.Errorf("it broke %d times", breaks)
		}
		wantNumbers(t, got, 1, last)
	})
}

func TestLogStreamEndsWhenTheDaemonStops(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		i, _ := b.runs("shop-1")
		_, body, stop := b.open("/api/instances/"+i.ID+"/logs?follow=true", "", "Accept", "text/event-stream")
		defer stop()
		synctest.Wait()
		close(b.stopping)
		text, err := io.ReadAll(body)
		if err != nil || strings.Contains(string(text), "event: end") {
			t.Errorf("the stream does not end cleanly: %v %q", err, text)
		}
	})
}

// A reader that does not read costs neither memory nor the engine's log, and is left after a while.
func TestLogReaderThatDoesNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		i, box := b.runs("shop-1")
		_, body, stop := b.open("/api/instances/"+i.ID+"/logs?follow=true", "", "Accept", "text/event-stream")
		defer stop()
		synctest.Wait()
		line := strings.Repeat("x", 1000)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		const lines = 50_000
		for n := range lines {
			box.Log("stdout", line) // the same string, so that the pretend log itself is small
			if n%1000 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 20<<20 {
			t.Errorf("%d MB more for a reader of %d MB that does not read", grown>>20, lines*len(line)>>20)
		}
		time.Sleep(writeTimeout + 5*time.Second)
		synctest.Wait()
		if text, err := io.ReadAll(body); err == nil {
			t.Errorf("it was not left: %d bytes", len(text))
		}
		if text := b.logs.String(); strings.Contains(text, "broke off") || strings.Contains(text, "level=ERROR") {
			t.Errorf("nothing broke: %s", text)
		}
	})
}

func TestReadLogEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		i, box := b.runs("shop-1")
		box.Log("stdout", "an error")
		box.Log("stdout", "fine")
		var got []string
		h := client.LogHandler{Line: func(l client.LogLine) error { got = append(got, l.Text); return nil }}
		last, tally, err := b.viewer.ReadLog(t.Context(), i.ID, client.LogOptions{Search: "error"}, h)
		if err != nil || last.Kind != "read" || strings.Join(got, ",") != "an error" || tally.Matched != 1 || tally.Looked < 2 {
			t.Errorf("%+v %+v %v: %v", last, tally, got, err)
		}
		box.Exit(4)
		last, _, err = b.viewer.ReadLog(t.Context(), i.ID, client.LogOptions{Follow: true}, client.LogHandler{})
		if err != nil || last.Kind != "ended" || last.ExitCode != 4 {
			t.Errorf("%+v: %v", last, err)
		}
		box.Remove()
		_, _, err = b.viewer.ReadLog(t.Context(), i.ID, client.LogOptions{Follow: true}, client.LogHandler{})
		if p, ok := client.AsProblem(err); !ok || p.Status >= http.StatusInternalServerError {
			t.Errorf("a container that is gone: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b.engine.Fail(dockertest.Fault{On: `.*`, Status: 500})
		if _, _, err = b.viewer.ReadLog(ctx, i.ID, client.LogOptions{}, client.LogHandler{}); err == nil || ctx.Err() != nil {
			t.Errorf("an engine that fails: %v", err)
		}
	})
}
