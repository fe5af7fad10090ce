package certs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/cloudflare"
	"github.com/libdns/hetzner"
	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3"
	"go.uber.org/zap"
)

// dnsServices are the services whose records we can write, each by a token that may do so.
var dnsServices = map[string]func(token string) certmagic.DNSProvider{
	"cloudflare": func(token string) certmagic.DNSProvider { return &cloudflare.Provider{APIToken: token} },
	"hetzner":    func(token string) certmagic.DNSProvider { return hetzner.New(token) },
}

// DNSServices are the names of the services by whose records domains can be proven.
func DNSServices() []string { return slices.Sorted(maps.Keys(dnsServices)) }

// names is how records are written and looked for.
type names struct {
	services  map[string]func(token string) certmagic.DNSProvider
	resolvers []string      // empty: those of the system
	patience  time.Duration // until a record is to be seen; 0: two minutes
}

var errNoService = errors.New("the DNS service is unknown")

// byRecord proves domains by a record of DNS, which also proves those that nobody can come to.
func (n names) byRecord(service, token string) (acmez.Solver, error) {
	of, ok := n.services[service]
	if !ok {
		return nil, errNoService
	}
	return &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
		DNSProvider: careful{of(token)}, Resolvers: n.resolvers, PropagationTimeout: n.patience, Logger: zap.NewNop(),
	}}, nil
}

// careful has the client of a service fail where it would panic over an answer, as that of Hetzner does when a token knows no such zone: all sites are served by
// the same process.
type careful struct{ client certmagic.DNSProvider }

// AppendRecords adds records.
func (c careful) AppendRecords(ctx context.Context, zone string, records []libdns.Record) (added []libdns.Record, err error) {
	defer failInstead(&err, zone)
	return c.client.AppendRecords(ctx, zone, records)
}

// DeleteRecords takes them away.
func (c careful) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) (gone []libdns.Record, err error) {
	defer failInstead(&err, zone)
	return c.client.DeleteRecords(ctx, zone, records)
}

func failInstead(err *error, zone string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the DNS service gave no answer that its client understands; is %s there, and may the token change it? (%v)", strings.TrimSuffix(zone, "."), p)
	}
}
