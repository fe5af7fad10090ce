package proxy

import "sync/atomic"

// Totals are what rules of one kind have answered since the start, those included that are in no table any more.
type Totals struct {
	Requests int64
	Errors   int64 // answers of 500 and above, and those that never came
}

// Totals tells them by kind.
func (s *Server) Totals() map[Kind]Totals {
	return map[Kind]Totals{KindRoute: s.totals.routes.read(), KindProxy: s.totals.proxies.read()}
}

type totals struct{ routes, proxies total }

func (t *totals) of(k Kind) *total {
	if k == KindProxy {
		return &t.proxies
	}
	return &t.routes
}

// total is the sum over rules, kept beside their own figures: those go with the rule.
type total struct{ requests, errors atomic.Int64 }

func (t *total) read() Totals {
	return Totals{Requests: t.requests.Load(), Errors: t.errors.Load()}
}
