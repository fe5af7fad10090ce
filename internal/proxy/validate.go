package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/net/http/httpguts"
)

// FieldError says what is wrong with one field of a rule. Several come joined.
type FieldError struct {
	Rule   string // its id
	Field  string // such as domains[1] or health_check.path
	Reason string
	Taken  bool // another rule has it already
}

func (e FieldError) Error() string { return "rule " + e.Rule + ": " + e.Field + ": " + e.Reason }

// The bounds of a rule.
const (
	maxAddresses = 100
	maxTargets   = 20
	maxHeaders   = 50
	maxUsers     = 100
	maxNetworks  = 500
	maxNote      = 500
	maxHSTS      = 3 * 365 * 24 * 3600
)

// checking gathers what is wrong with one rule.
type checking struct {
	rule  string
	wrong []error
}

func (c *checking) bad(field, format string, args ...any) {
	c.wrong = append(c.wrong, FieldError{Rule: c.rule, Field: field, Reason: fmt.Sprintf(format, args...)})
}

// Validate says of every field of a rule what is wrong with it.
func (r Rule) Validate(p Policy) error {
	c := &checking{rule: r.ID}
	c.addresses(r.Addresses)
	c.targets(r, p)
	c.redirects(r.Options)
	c.tls(r)
	c.headers("request_headers", r.Options.RequestHeaders)
	c.headers("response_headers", r.Options.ResponseHeaders)
	c.users(r.Options.BasicAuth)
	c.networks("allow_ips", r.Options.AllowIPs)
	c.networks("deny_ips", r.Options.DenyIPs)
	c.limits(r.Options)
	if err := r.Options.CheckTrust(); err != nil {
		c.bad("target_ca", "%v", err)
	}
	if r.Options.HealthCheck != nil {
		c.health(*r.Options.HealthCheck)
	}
	return errors.Join(c.wrong...)
}

// Validate checks a table as a whole: each rule, and that no address leads to two.
func (t Table) Validate(p Policy) error {
	return t.validate(p, func(int) bool { return false })
}

// validate is Validate without the rules that are known to be good by themselves.
func (t Table) validate(p Policy, good func(n int) bool) error {
	p = t.Policy(p)
	var wrong []error
	holder, ids := make(map[Address]string, len(t.Rules)), make(map[string]bool, len(t.Rules))
	for n, r := range t.Rules {
		if !good(n) {
			wrong = append(wrong, r.Validate(p))
		}
		if r.ID == "" || ids[r.ID] {
			wrong = append(wrong, FieldError{Rule: r.ID, Field: "id", Reason: "each rule has one of its own", Taken: true})
		}
		ids[r.ID] = true
		for i, a := range r.Addresses {
			if other, taken := holder[a]; taken {
				wrong = append(wrong, FieldError{Rule: r.ID, Field: fmt.Sprintf("domains[%d]", i), Reason: fmt.Sprintf("%s is served by rule %s already", a, other), Taken: true})
				continue
			}
			holder[a] = r.ID
		}
	}
	if p.Fits != nil {
		wrong = append(wrong, p.Fits(t)...)
	}
	wrong = append(wrong, t.publicNames()...)
	wrong = append(wrong, t.agreed()...)
	return errors.Join(wrong...)
}

// Policy is a policy with what the table refuses beside.
func (t Table) Policy(p Policy) Policy {
	p.Refused = append(slices.Clip(p.Refused), t.Refused...)
	p.Engines = append(slices.Clip(p.Engines), t.Engines...)
	p.Own = append(slices.Clip(p.Own), t.Own...)
	return p
}

func (c *checking) addresses(list []Address) {
	if len(list) == 0 {
		c.bad("domains", "at least one domain is needed, such as app.example.com")
	}
	if len(list) > maxAddresses {
		c.bad("domains", "at most %d", maxAddresses)
	}
	for i, a := range list {
		clean, err := CleanDomain(a.Domain)
		switch {
		case err != nil:
			c.bad(fmt.Sprintf("domains[%d]", i), "%v", err)
		case clean != a.Domain:
			c.bad(fmt.Sprintf("domains[%d]", i), "it is written %s", clean)
		}
		prefix, err := CleanPrefix(a.PathPrefix)
		switch {
		case err != nil:
			c.bad("path_prefix", "%v", err)
		case prefix != a.PathPrefix:
			c.bad("path_prefix", "it is written %s", prefix)
		}
	}
}

func (c *checking) targets(r Rule, p Policy) {
	switch {
	case r.Options.RedirectTo != "" && len(r.Targets) > 0:
		c.bad("targets", "a rule that redirects has none")
	case r.Options.RedirectTo == "" && len(r.Targets) == 0:
		c.bad("targets", "at least one is needed, such as http://10.0.0.5:3000")
	case len(r.Targets) > maxTargets:
		c.bad("targets", "at most %d", maxTargets)
	}
	seen := map[string]bool{}
	for i, t := range r.Targets {
		field := fmt.Sprintf("targets[%d]", i)
		if seen[t.Ref] {
			c.bad(field, "it is there twice")
		}
		seen[t.Ref] = true
		if t.URL == "" {
			continue // it cannot be reached now, which is no fault of the rule
		}
		if _, err := ParseTarget(t.URL, p); err != nil {
			c.bad(field, "%v", err)
		}
	}
}

// ParseTarget reads where requests may be led to: http or https, a host, perhaps a port and a path.
func ParseTarget(text string, p Policy) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("a target is a URL such as http://10.0.0.5:3000 or https://app.internal")
	case u.User != nil:
		return nil, errors.New("a name and a password do not belong here: set the header Authorization")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, errors.New("a target has no query")
	case hasDots(u.Path):
		return nil, errors.New("its path must not hold . or .. as a part")
	case strings.ContainsAny(u.Hostname(), "%*"):
		return nil, errors.New("it is no host")
	}
	port := portOf(u)
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return nil, errors.New("a port is a number from 1 to 65535")
	}
	if err := p.checkName(u.Hostname(), port); err != nil {
		return nil, err
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		number, _ := strconv.ParseUint(port, 10, 16) // in range, as seen above
		if err := p.Check(netip.AddrPortFrom(addr, uint16(number))); err != nil {
			return nil, err
		}
	}
	if strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), "localhost") {
		number, _ := strconv.ParseUint(port, 10, 16) // in range, as seen above
		if err := p.Check(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(number))); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// portOf is the port of a URL, also where its scheme says it.
func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

func hostPort(u *url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }

func (c *checking) redirects(o Options) {
	if o.RedirectTo != "" {
		u, err := url.Parse(o.RedirectTo)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(o.RedirectTo, "\r\n") {
			c.bad("redirect_to", "a whole URL is wanted, such as https://www.example.com")
		}
	}
	switch o.RedirectCode {
	case 0, 301, 302, 303, 307, 308:
	default:
		c.bad("redirect_code", "301, 302, 303, 307 or 308")
	}
	if o.HSTSSeconds < 0 || o.HSTSSeconds > maxHSTS {
		c.bad("hsts_seconds", "from 0 to %d (3 years)", maxHSTS)
	}
}

// framing are headers that say where a message ends or whom a connection belongs to: a rule has no say in them.
var framing = []string{
	"Connection", "Content-Length", "Host", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Via",
}

func (c *checking) headers(field string, list []Header) {
	if len(list) > maxHeaders {
		c.bad(field, "at most %d", maxHeaders)
	}
	for i, h := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case !httpguts.ValidHeaderFieldName(h.Name):
			c.bad(at, "%q is no name of a header", h.Name)
		case slices.Contains(framing, textproto.CanonicalMIMEHeaderKey(h.Name)):
			c.bad(at, "%s is set by the proxy itself", h.Name)
		case !httpguts.ValidHeaderFieldValue(h.Value):
			c.bad(at, "the value of %s must be one line of text", h.Name)
		}
	}
}

func (c *checking) users(list []Credential) {
	if len(list) > maxUsers {
		c.bad("basic_auth", "at most %d", maxUsers)
	}
	seen := map[string]bool{}
	for i, u := range list {
		at := fmt.Sprintf("basic_auth[%d]", i)
		switch {
		case u.User == "" || strings.Contains(u.User, ":") || strings.ContainsFunc(u.User, func(r rune) bool { return r < ' ' || r == 0x7f }):
			c.bad(at, "a name without : and control characters is needed")
		case seen[u.User]:
			c.bad(at, "%s is there twice", u.User)
		}
		seen[u.User] = true
		if _, err := bcrypt.Cost([]byte(u.Hash)); err != nil {
			c.bad(at, "a password is needed")
		}
	}
}

func (c *checking) networks(field string, list []string) {
	if len(list) > maxNetworks {
		c.bad(field, "at most %d", maxNetworks)
	}
	for i, text := range list {
		if _, err := ParsePrefix(text); err != nil {
			c.bad(fmt.Sprintf("%s[%d]", field, i), "%v", err)
		}
	}
}

func (c *checking) limits(o Options) {
	c.span("connect_timeout", o.ConnectTimeout, 100*time.Millisecond, time.Minute)
	c.span("response_timeout", o.ResponseTimeout, 100*time.Millisecond, time.Hour)
	if o.MaxBodyBytes < 0 {
		c.bad("max_body_bytes", "0 (any) or more")
	}
	if len(o.MaintenanceNote) > maxNote {
		c.bad("maintenance_note", "at most %d characters", maxNote)
	}
}

// span checks a duration; zero is its default.
func (c *checking) span(field string, s Span, least, most time.Duration) {
	if d := time.Duration(s); d != 0 && (d < least || d > most) {
		c.bad(field, "from %s to %s", least, most)
	}
}

// CheckPath says what is wrong with a path that targets are asked for; it may have a query.
func CheckPath(text string) error {
	if u, err := url.Parse(text); err != nil || !strings.HasPrefix(text, "/") || u.Host != "" || u.Fragment != "" {
		return errors.New("a path such as /healthz is wanted")
	}
	return nil
}

func (c *checking) health(h HealthCheck) {
	if err := CheckPath(h.Path); err != nil {
		c.bad("health_check.path", "%v", err)
	}
	c.span("health_check.interval", h.Interval, time.Second, time.Hour)
	c.span("health_check.timeout", h.Timeout, 100*time.Millisecond, time.Minute)
	c.count("health_check.passes", h.Passes)
	c.count("health_check.fails", h.Fails)
}

// count checks how many in a row are wanted; zero is the default.
func (c *checking) count(field string, n int) {
	if n < 0 || n > 100 {
		c.bad(field, "from 1 to 100")
	}
}
