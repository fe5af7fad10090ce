package plane

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// visitor is a client that keeps its connection.
type visitor struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (b *bed) visit() *visitor {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.http)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		b.t.Fatal(err)
	}
	return &visitor{b.t, conn, bufio.NewReader(conn)}
}

// get asks, and tells what is answered.
func (v *visitor) get() string {
	v.t.Helper()
	fmt.Fprint(v.conn, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	resp, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return "the connection is closed"
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Error(err)
	}
	answer := fmt.Sprintf("%d %s", resp.StatusCode, text)
	if resp.StatusCode != http.StatusOK {
		answer = resp.Status
	}
	if resp.Close {
		answer += ", and comes anew"
	}
	return answer
}

// leading is a table that leads to an instance.
func leading(instance, to string) proxy.Table {
	t := table("a.example")
	t.Rules[0].Targets = []proxy.Target{{Ref: "instance:" + instance + ":80", URL: to}}
	return t
}

// TestKeptConnectionsFollowTheTable switches after two take-overs, as a deploy does: who is still connected to a process before is led where
// all are led, and what served is free to stop.
func TestKeptConnectionsFollowTheTable(t *testing.T) {
	b := newBed(t)
	first := b.start()
	d := b.connect()
	waittest.Next(t, "the daemon comes", d.came)
	former := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "former") }))
	defer former.Close()
	if _, err := d.Apply(leading("1", former.URL)); err != nil {
		t.Fatal(err)
	}
	visitors := []*visitor{b.visit()}
	if got := visitors[0].get(); got != "200 former" {
		t.Fatalf("the first is answered %s", got)
	}
	second := b.take()
	waittest.Next(t, "the daemon comes to the second", d.came)
	visitors = append(visitors, b.visit())
	if got := visitors[1].get(); got != "200 former" {
		t.Fatalf("the second is answered %s", got)
	}
	b.take()
	waittest.Next(t, "the daemon comes to the third", d.came)
	if _, err := d.Apply(leading("2", says(t, "next"))); err != nil {
		t.Fatal(err)
	}
	soon, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := d.Drained(soon, "instance:1:"); err != nil {
		t.Fatal(err)
	}
	former.Close() // as the one that is drained stops
	for n, v := range visitors {
		if got := v.get(); got != "200 next, and comes anew" {
			t.Errorf("visitor %d is answered %s", n, got)
		}
	}
	for _, p := range []*running{first, second} {
		if err := waittest.Next(t, "one before ends", p.ended); err != nil {
			t.Error(err)
		}
		p.ended <- nil
	}
	if kept, err := proxy.KeptTable(b.options("").Proxy.File); err != nil || kept.Rules[0].Targets[0].Ref != "instance:2:80" {
		t.Errorf("kept for the next start is %+v, %v", kept, err)
	}
}

// TestATableThatCannotBeFollowedLeadsNobody: a plane that is older than what a table uses answers by no former one.
func TestATableThatCannotBeFollowedLeadsNobody(t *testing.T) {
	b := newBed(t)
	p := b.start()
	if _, err := p.proxy.Apply(table("a.example", says(t, "a"))); err != nil {
		t.Fatal(err)
	}
	for _, told := range []string{
		`4000 {"rules":[],"fireproof":true}`,
		`4000 {"rules":[{"id":"a","kind":"proxy","addresses":[{"domain":"a.example","path_prefix":"/"}],"targets":[{"ref":"x","url":"http://` + b.http + `"}],"options":{}}]}`,
		"soon", "",
	} {
		if got := b.visit().get(); !strings.HasPrefix(got, "200 a") {
			t.Fatalf("it is answered %s", got)
		}
		p.heed(told)
		if got := b.visit().get(); got != "421 Misdirected Request, and comes anew" {
			t.Errorf("after %q it is answered %s", told, got)
		}
		p.heed(`4000 {"rules":[{"id":"a","kind":"proxy","addresses":[{"domain":"a.example","path_prefix":"/"}],"targets":[{"ref":"x","url":"` + says(t, "a") + `"}],"options":{}}]}`)
	}
}

// TestWhoIsToldNoMoreLeadsNobody ends the plane that took the place: what was kept open at the one before is not answered by what nobody
// keeps up.
func TestWhoIsToldNoMoreLeadsNobody(t *testing.T) {
	b := newBed(t)
	p := b.start()
	if _, err := p.proxy.Apply(table("a.example", says(t, "a"))); err != nil {
		t.Fatal(err)
	}
	v := b.visit()
	if got := v.get(); got != "200 a" {
		t.Fatalf("it is answered %s", got)
	}
	b.take().end()
	if _, err := v.in.ReadByte(); err != io.EOF {
		t.Errorf("the connection ends with %v", err)
	}
	if err := waittest.Next(t, "the one before ends", p.ended); err != nil {
		t.Error(err)
	}
	p.ended <- nil
}

// TestAPlaneThatKnowsNoTablesIsAskedOn takes the place of one of a former version: what is open on it counts all the same.
func TestAPlaneThatKnowsNoTablesIsAskedOn(t *testing.T) {
	b := newBed(t)
	p := b.start()
	v := b.visit()
	if got := v.get(); got != "404 Not Found" {
		t.Fatalf("it is answered %s", got)
	}
	n, err := Take(t.Context(), b.options("v2"))
	if err != nil {
		t.Fatal(err)
	}
	if !n.before.follows {
		t.Error("one of this version is not told of tables")
	}
	n.before.follows = false
	b.run(n)
	d := b.connect()
	waittest.Next(t, "the daemon comes", d.came)
	if _, err := d.Apply(table("a.example", says(t, "a"))); err != nil {
		t.Fatal(err)
	}
	if n.before.conn == nil {
		t.Error("it is given up")
	}
	if got := v.get(); got != "404 Not Found, and comes anew" {
		t.Errorf("it answers %s", got)
	}
	if err := waittest.Next(t, "the one before ends", p.ended); err != nil {
		t.Error(err)
	}
	p.ended <- nil
}

// TestWhileAPlaceIsKeptNobodyTakesIt, and what was taken is not kept any more.
func TestWhileAPlaceIsKeptNobodyTakesIt(t *testing.T) {
	b := newBed(t)
	first := b.start()
	if !first.WhileKept(t.Context(), func() {
		if _, err := Take(t.Context(), b.options("2")); err == nil || !strings.Contains(err.Error(), "at this moment") {
			t.Errorf("a try meanwhile: %v", err)
		}
	}) {
		t.Error("the place was not kept")
	}
	b.take()
	if first.WhileKept(t.Context(), func() { t.Error("it acts though its place is taken") }) {
		t.Error("a place that was taken is kept")
	}
}
