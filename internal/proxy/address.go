package proxy

import (
	"errors"
	"net"
	"net/netip"
	"path"
	"strings"

	"golang.org/x/net/idna"
)

const longestDomain = 253

// domains reads names as browsers do, and refuses what no DNS name can be.
var domains = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.BidiRule())

// CleanDomain writes a domain as tables hold it: lower case, in the letters of DNS (xn--), without a port or a trailing dot.
// An address of the network is taken as well.
func CleanDomain(text string) (string, error) {
	name := strings.TrimSpace(text)
	switch {
	case name == "":
		return "", errors.New("a domain is needed, such as app.example.com")
	case strings.Contains(name, "://") || strings.Contains(name, "/"):
		return "", errors.New("only the name is wanted here, such as app.example.com: no http:// and no path")
	case strings.HasPrefix(name, "*"):
		return "", errors.New("wildcards are not served: name each domain")
	case strings.ContainsAny(name, " \t\r\n"):
		return "", errors.New("a domain has no spaces in it")
	}
	if addr, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		if addr.Zone() != "" {
			return "", errors.New("an address with a zone is no domain")
		}
		return addr.Unmap().String(), nil
	}
	if strings.Contains(name, ":") {
		return "", errors.New("the port is not part of the domain: leave it out")
	}
	clean, err := domains.ToASCII(strings.TrimSuffix(name, "."))
	if again, errAgain := domains.ToASCII(clean); err != nil || errAgain != nil || again != clean || clean == "" || strings.HasSuffix(clean, ".") || len(clean) > longestDomain {
		return "", errors.New("it is no name that DNS can hold: letters, digits and '-' between its dots")
	}
	return clean, nil
}

// hostOf is the domain that a Host header asks for, as tables hold it; empty when it cannot be one. Whatever is in tables
// already in the form of DNS is found without reading it anew.
func hostOf(header string) string {
	host := header
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") && (strings.IndexByte(host, ':') == i || host[0] == '[') {
		if !digits(host[i+1:]) {
			return ""
		}
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	if plain(host) {
		return host
	}
	clean, err := CleanDomain(host)
	if err != nil {
		return ""
	}
	return clean
}

// digits tells that nothing else is in a text; an empty one is good as well: a port may be left out after its colon.
func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// plain tells that a name is in the form of DNS as it is.
func plain(host string) bool {
	if host == "" || strings.Contains(host, "xn--") {
		return false
	}
	for i := range len(host) {
		c := host[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

const longestPrefix = 512

// CleanPrefix writes a path prefix as tables hold it: it starts with a slash and, but for / itself, ends without one.
func CleanPrefix(text string) (string, error) {
	prefix := strings.TrimSpace(text)
	if prefix == "" {
		prefix = "/"
	}
	switch {
	case !strings.HasPrefix(prefix, "/"):
		return "", errors.New("a path starts with a slash, such as /api")
	case strings.ContainsAny(prefix, "?#%\\*\"<> ") || strings.ContainsFunc(prefix, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", errors.New("a path as it is read, such as /api: no query, no escapes, no wildcards")
	case len(prefix) > longestPrefix:
		return "", errors.New("it is longer than 512 characters")
	case hasDots(prefix):
		return "", errors.New("it must not hold . or .. as a part")
	}
	return path.Clean(prefix), nil
}

// hasDots tells that a path has a part that stands for a folder above or for the same one, also with parameters: some targets read ..;x as ..
func hasDots(p string) bool {
	if !strings.Contains(p, "/.") {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if part, _, _ = strings.Cut(part, ";"); part == "." || part == ".." {
			return true
		}
	}
	return false
}

// below tells whether a path is a prefix or under it: /api holds /api and /api/x, not /apix.
func below(p, prefix string) bool {
	return prefix == "/" || strings.HasPrefix(p, prefix) && (len(p) == len(prefix) || p[len(prefix)] == '/')
}

// ParsePrefix reads an address or a network of the net, such as 10.0.0.0/8.
func ParsePrefix(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("an address or a network such as 10.0.0.0/8 is wanted")
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// ParsePrefixes reads several, with commas or spaces between them.
func ParsePrefixes(text string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' }) {
		p, err := ParsePrefix(part)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func within(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// addrOf is the address of an address with a port; the zero one when it is none.
func addrOf(hostPort string) netip.Addr {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}
