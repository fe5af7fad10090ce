package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// names answers for every name of DNS with the addresses of now, as long as the test runs.
type names struct{ now atomic.Pointer[[]netip.Addr] }

func newNames(t *testing.T) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{}
	n.are()
	go n.serve(conn)
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = conn.Close()
	})
	return n
}

func (n *names) are(addrs ...string) {
	list := []netip.Addr{}
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	n.now.Store(&list)
}

func (n *names) serve(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer, err := n.answer(buf[:size]); err == nil {
			_, _ = conn.WriteTo(answer, from) // the one who asks comes again
		}
	}
}

func (n *names) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	m.Response, m.Additionals = true, nil
	q := m.Questions[0]
	for _, a := range *n.now.Load() {
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0}
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m.Pack()
}

func TestANameIsHeldAgainstThePolicyEachTimeItIsDialled(t *testing.T) {
	dns := newNames(t)
	var asked atomic.Int64
	port := portOfTest(app(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Connection", "close") // so that each request dials
		_, _ = io.WriteString(w, "here")
	}))
	r := newRig(t)
	table := Table{Rules: []Rule{rule("a.example", "http://moves.test:"+port)}, Refused: []netip.Prefix{netip.MustParsePrefix("127.0.0.3/32"), netip.MustParsePrefix("fd99::/16")}}
	dns.are("127.0.0.1")
	if _, err := r.Apply(table); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addrs  string
		status int
	}{
		{"127.0.0.1", 200},
		{"169.254.169.254", 502},
		{"::ffff:169.254.169.254", 502},
		{"fd00:ec2::254", 502},
		{"fe80::1", 502},
		{"64:ff9b::a9fe:a9fe", 502},
		{"0.0.0.0", 502}, // would be this machine
		{"::", 502},
		{"127.0.0.3", 502}, // by the admin's list
		{"fd99::1", 502},
		{"169.254.169.254 127.0.0.1", 200}, // the good one of two
	} {
		dns.are(strings.Fields(c.addrs)...)
		before := asked.Load()
		status, _, _ := r.get("a.example", "/")
		if status != c.status || (asked.Load() > before) != (c.status == 200) {
			t.Errorf("when the name leads to %s it answers %d, want %d", c.addrs, status, c.status)
		}
		if report, _ := r.Report("a.example"); c.status == 502 && !strings.Contains(report.Targets[0].Trouble, "is refused as a target") {
			t.Errorf("when the name leads to %s the trouble is %q", c.addrs, report.Targets[0].Trouble)
		}
	}
	dns.are("127.0.0.1")
	// The admin's list counts from the moment on that it is saved, also for a rule that has not changed.
	table.Refused = append(table.Refused, netip.MustParsePrefix("127.0.0.0/31"))
	if _, err := r.Apply(table); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := r.get("a.example", "/"); status != 502 {
		t.Errorf("when the list refuses it, it answers %d", status)
	}
	// Trying a target and checking its health take the same way.
	dns.are("169.254.169.254")
	for _, step := range Try(t.Context(), Policy{}, "http://moves.test:"+port, Options{}, "a.example", "/") {
		if step.OK {
			t.Errorf("trying it says %+v", step)
		}
	}
	if why := check(t.Context(), r.current.Load().byID["a.example"], r.current.Load().byID["a.example"].upstreams[0], HealthCheck{Path: "/"}.filled()); !strings.Contains(why, "refused as a target") {
		t.Errorf("its health check says %q", why)
	}
}

func TestNoConnectionOutlivesThePolicyThatLetItBeMade(t *testing.T) {
	dns := newNames(t)
	port := portOfTest(says(t, "here"))
	r := newRig(t)
	table := Table{Rules: []Rule{rule("a.example", "http://moves.test:"+port)}}
	dns.are("127.0.0.1")
	for _, c := range []struct {
		refused string
		status  int
	}{{"10.0.0.0/8", 200}, {"127.0.0.0/8", 502}, {"10.0.0.0/8", 200}} {
		table.Refused = []netip.Prefix{netip.MustParsePrefix(c.refused)}
		if _, err := r.Apply(table); err != nil {
			t.Fatal(err)
		}
		for range 3 { // also after it could not be dialled
			if status, _, _ := r.get("a.example", "/"); status != c.status {
				t.Errorf("with %s refused it answers %d, want %d", c.refused, status, c.status)
			}
		}
	}
}

func TestRedirectsOfTargetsAreForTheClient(t *testing.T) {
	var asked atomic.Int64
	secret := app(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	r := newRig(t)
	r.apply(rule("a.example", app(t, func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, secret+"/latest/meta-data", http.StatusFound)
	})))
	status, _, head := r.get("a.example", "/")
	if status != http.StatusFound || head.Get("Location") != secret+"/latest/meta-data" {
		t.Errorf("it answers %d to %s", status, head.Get("Location"))
	}
	e := r.current.Load().byID["a.example"]
	if why := check(t.Context(), e, e.upstreams[0], HealthCheck{Path: "/"}.filled()); why != "" {
		t.Errorf("the health check says %q", why)
	}
	for _, step := range Try(t.Context(), Policy{}, e.rule.Targets[0].URL, Options{}, "a.example", "/") {
		if !step.OK {
			t.Errorf("trying it says %+v", step)
		}
	}
	if asked.Load() > 0 {
		t.Errorf("we went where a target sends clients, %d times", asked.Load())
	}
}

func TestTargetsThatHideAnAddress(t *testing.T) {
	for _, target := range []string{
		"http://2852039166", "http://0xa9fea9fe", "http://0xA9.0xFE.0xA9.0xFE", "http://0251.0376.0251.0376", "http://0251.254.169.254", "http://169.254.43518", "http://169.16689662", "http://017700000001:80",
		"http://127.1", "http://0", "http://0x", "http://0x7f.1", "http://1.2.3.4.5", "http://2852039166.", "http://a.example.1", "http://[::ffff:169.254.169.254]", "http://[::ffff:a9fe:a9fe]", "http://[fe80::1%25eth0]",
		"http://[fe80::1]", "http://169.254.169.254.", "http://0.0.0.0", "http://[::]", "http://[0:0:0:0:0:ffff:a9fe:a9fe]:80", "http://metadata", "http://METADATA.google.internal.", "http://169.254.169.254:80@10.0.0.5",
		"http://10.0.0.5:80#@x", "http://10.0.0.5?x", "http://*.example", "http://a%2eexample", "gopher://10.0.0.5", "file:///etc/passwd", "unix:///var/run/docker.sock", "http://", "//10.0.0.5", "http://10.0.0.5:0", "http://10.0.0.5:65536",
	} {
		if u, err := ParseTarget(target, Policy{}); err == nil {
			t.Errorf("%s is taken as %s", target, u)
		}
	}
	for _, target := range []string{"http://10.0.0.5", "http://fab0x1.example", "http://0x1.example", "http://1.example:80", "http://a1", "http://[fd12::1]:80", "https://127.0.0.1:3000/base", "http://x0", "http://deadbeef"} {
		if _, err := ParseTarget(target, Policy{}); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func FuzzCleanPrefix(f *testing.F) {
	for _, seed := range []string{"/", "/api", "api", "//a//b/", "/a/../b", "/..;/x", "/%2e", "/ü", "/a\x00", "/."} {
		f.Add(seed, "/x")
	}
	f.Fuzz(func(t *testing.T, text, rest string) {
		prefix, err := CleanPrefix(text)
		if err != nil {
			return
		}
		if again, err := CleanPrefix(prefix); err != nil || again != prefix {
			t.Errorf("%q is written %q, and that %q (%v)", text, prefix, again, err)
		}
		if hasDots(prefix) || strings.ContainsAny(prefix, "?#% \r\n\x00") || !below(prefix, prefix) || prefix != "/" && below(prefix+"x", prefix) {
			t.Errorf("%q is written %q", text, prefix)
		}
		x := index[string]{}
		x.add(Address{"a.example", prefix}, prefix)
		x.sort()
		if _, _, ok := x.find("a.example", prefix+rest); !ok && strings.HasPrefix(rest, "/") {
			t.Errorf("%q%q is not below its prefix", prefix, rest)
		}
	})
}
