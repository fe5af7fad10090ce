package certs

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// zone is a DNS server of example.com, in which every name is this machine, and the service by which its records are written.
type zone struct {
	addr string

	mu       sync.Mutex
	at       map[string]string   // addresses of names that are elsewhere
	txt      map[string][]string // by absolute name
	ever     int                 // records that were written
	tokens   []string            // by which the service was asked for
	stumbles chan struct{}       // closed when the service panics, which it does once; nil: it does not
}

func newZone(t *testing.T) *zone {
	t.Helper()
	z := &zone{at: map[string]string{}, txt: map[string][]string{}}
	l, err := net.Listen("tcp", loopbacktest.Free(t)) // else the system may have given the same port to somebody for packets
	if err != nil {
		t.Fatal(err)
	}
	z.addr = l.Addr().String()
	packets, err := net.ListenPacket("udp", z.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, srv := range []*dns.Server{{Listener: l, Handler: z}, {PacketConn: packets, Handler: z}} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		go func() { _ = srv.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = srv.Shutdown() })
	}
	return z
}

// ServeDNS answers one question.
func (z *zone) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(r)
	m.Authoritative = true
	q := r.Question[0]
	name := strings.ToLower(q.Name)
	head := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: q.Name, Rrtype: kind, Class: dns.ClassINET}
	}
	switch q.Qtype {
	case dns.TypeA:
		addr := "127.0.0.1"
		if other, ok := z.at[name]; ok {
			addr = other
		}
		m.Answer = append(m.Answer, &dns.A{Hdr: head(dns.TypeA), A: net.ParseIP(addr)})
	case dns.TypeTXT:
		for _, text := range z.txt[name] {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: head(dns.TypeTXT), Txt: []string{text}})
		}
	case dns.TypeSOA:
		if name == "example.com." {
			m.Answer = append(m.Answer, &dns.SOA{Hdr: head(dns.TypeSOA), Ns: "ns.example.com.", Mbox: "ops.example.com.", Serial: 1})
		}
	}
	_ = w.WriteMsg(m) // who asked left if this fails
}

// service is a provider that writes into the zone.
func (z *zone) service(token string) certmagic.DNSProvider {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.tokens = append(z.tokens, token)
	if z.stumbles != nil {
		close(z.stumbles)
		z.stumbles = nil
		panic("oops")
	}
	return z
}

// stumble has the service panic the next time that it is asked for, and says when it does.
func (z *zone) stumble() <-chan struct{} {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.stumbles = make(chan struct{})
	return z.stumbles
}

// AppendRecords adds records.
func (z *zone) AppendRecords(_ context.Context, in string, records []libdns.Record) ([]libdns.Record, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, r := range records {
		name := libdns.AbsoluteName(r.RR().Name, in)
		z.txt[name] = append(z.txt[name], r.RR().Data)
		z.ever++
	}
	return records, nil
}

// DeleteRecords takes them away.
func (z *zone) DeleteRecords(_ context.Context, in string, records []libdns.Record) ([]libdns.Record, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, r := range records {
		name := libdns.AbsoluteName(r.RR().Name, in)
		z.txt[name] = slices.DeleteFunc(z.txt[name], func(text string) bool { return text == r.RR().Data })
	}
	return records, nil
}

func TestADomainThatNobodyCanComeToIsProvenByARecord(t *testing.T) {
	r := newAuthority(t, 90*day)
	r.zone.at["inside.example.com."] = "127.0.0.99"
	r.acme.DNS, r.acme.DNSToken = "pretend", "sealed:the-token"
	k := r.start(Folder(t.TempDir()), auto("inside.example.com"))
	k.next(Issued)
	if _, err := r.visit("inside.example.com", r.roots); err != nil {
		t.Error(err)
	}
	r.zone.mu.Lock()
	defer r.zone.mu.Unlock()
	if r.zone.ever == 0 || !slices.Equal(slices.Compact(r.zone.tokens), []string{"the-token"}) {
		t.Errorf("%d records were written, by the tokens %v", r.zone.ever, r.zone.tokens)
	}
	for name, left := range r.zone.txt {
		if len(left) != 0 {
			t.Errorf("left behind at %s: %v", name, left)
		}
	}
}

// TestAPanicInAnOrder fails it, as an error does, and it is tried again; one in the question when to renew is no harm.
func TestAPanicInAnOrder(t *testing.T) {
	r := newAuthority(t, 90*day)
	r.acme.DNS, r.acme.DNSToken = "pretend", "sealed:the-token"
	r.zone.stumble()
	k := r.start(Folder(t.TempDir()), auto("shop.example.com"))
	if e := k.next(Failed); e.Trouble.Detail != "panic: oops" {
		t.Errorf("told %+v", e.Trouble)
	}
	k.next(Issued)
	stumbled := r.zone.stumble()
	k.mu.Lock()
	k.held[ID{Auto, "shop.example.com"}].saved.AskedAt = time.Now().Add(-askWishes) // half a day later
	k.mu.Unlock()
	k.wake()
	waittest.Next(t, "it is asked when to renew", stumbled)
	if err := k.Renew(ID{Auto, "shop.example.com"}); err != nil {
		t.Fatal(err)
	}
	k.next(Renewed)
}

func TestAnUnknownDNSServiceIsTold(t *testing.T) {
	r := newAuthority(t, 90*day)
	r.acme.DNS, r.acme.DNSToken = "nobody", "sealed:x"
	k := r.start(Folder(t.TempDir()), auto("shop.example.com"))
	if e := k.next(Failed); !strings.Contains(e.Trouble.Detail, "DNS service is unknown") || strings.Contains(e.Trouble.Detail, "sealed") {
		t.Errorf("told %+v", e.Trouble)
	}
	if r.orders.Load() != 0 {
		t.Error("an order was made that cannot be proven")
	}
}

func TestServicesAreMadeByAToken(t *testing.T) {
	if got := DNSServices(); !slices.Equal(got, []string{"cloudflare", "hetzner"}) {
		t.Errorf("the services are %v", got)
	}
	for _, name := range DNSServices() {
		if _, err := (names{services: dnsServices}).byRecord(name, "a-token"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// propagation is how long a record may take to be seen in tests.
const propagation = 20 * time.Second
