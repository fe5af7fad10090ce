package sso

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
)

// noEndpoint is what an address is that is none of endpoint's.
const noEndpoint = "no address that starts with https:// (http:// on this machine only)"

// webAddress tells whether a text is an address that secrets may be sent to, without a query.
func webAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.RawQuery == "" && endpoint(text)
}

// endpoint tells whether a text is an address that secrets may be sent to.
func endpoint(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.Fragment == "" && u.User == nil && len(text) <= longestText && guarded(u)
}

// guarded tells whether nobody on the way to an address can read or change what goes there and back.
func guarded(u *url.URL) bool {
	local := slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && local
}

// checkEndpoints refuses a provider to which the secret cannot be sent, or whose keys cannot be believed. Where its UserInfo is matters only to
// those who need it.
func checkEndpoints(p *oidc.Provider) error {
	var said struct {
		Keys string `json:"jwks_uri"`
	}
	if err := p.Claims(&said); err != nil {
		return fmt.Errorf("%w: read what it says of itself: %w", ErrUnavailable, terse{err})
	}
	for _, one := range []struct{ name, address string }{{"token_endpoint", p.Endpoint().TokenURL}, {"jwks_uri", said.Keys}} {
		if !endpoint(one.address) {
			return fmt.Errorf("%w: its %s is %s", ErrUnavailable, one.name, noEndpoint)
		}
	}
	return nil
}

// mostLed is how many times in a row the provider may lead on to another address.
const mostLed = 10

// checkLed goes where the provider leads on to, unless others could read there what is sent along, such as the secret or a token, or write the
// answer.
func checkLed(to *http.Request, from []*http.Request) error {
	if !guarded(to.URL) {
		return errors.New("it leads on to an address that does not start with https:// (http:// on this machine only)")
	}
	if len(from) >= mostLed {
		return errors.New("it leads on and on")
	}
	return nil
}
