package certs

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/cloudflare"
	"github.com/libdns/hetzner"
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
		DNSProvider: of(token), Resolvers: n.resolvers, PropagationTimeout: n.patience, Logger: zap.NewNop(),
	}}, nil
}
