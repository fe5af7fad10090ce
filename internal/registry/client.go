package registry

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const userAgent = "docker-watcher"

// Client asks one registry.
type Client struct {
	access    Access
	registry  name.Registry
	names     []name.Option
	auth      authn.Authenticator
	transport *http.Transport
	conduit   *conduit
	limits    *limits
	known     *answers
	use       use
}

func newClient(access Access) (*Client, error) {
	c := &Client{access: access, auth: authn.Anonymous, limits: &limits{}, known: &answers{kept: map[string]kept{}}}
	if access.PlainHTTP {
		c.names = append(c.names, name.Insecure)
	}
	var err error
	if c.registry, err = name.NewRegistry(access.Host, c.names...); err != nil {
		return nil, fmt.Errorf("read the host %q: %w", access.Host, err)
	}
	if c.transport, err = dialing(access.CA); err != nil {
		return nil, fmt.Errorf("prepare to ask %s: %w", access.Host, err)
	}
	if access.Username != "" || access.Password != "" {
		c.auth = authn.FromConfig(authn.AuthConfig{Username: access.Username, Password: access.Password})
	}
	c.conduit = &conduit{next: c.transport, access: access, scheme: c.registry.Scheme(), host: c.registry.RegistryStr(), limits: c.limits, known: c.known, most: mostBytes}
	puller, err := c.newPuller()
	if err != nil {
		return nil, fmt.Errorf("prepare to ask %s: %w", access.Host, err)
	}
	c.use = use{puller: puller, last: map[string]time.Time{}}
	return c, nil
}

// newPuller is signed in nowhere yet.
func (c *Client) newPuller() (*remote.Puller, error) {
	return remote.NewPuller(
		remote.WithTransport(c.conduit), remote.WithAuthFromKeychain(keychain{c.access.Host, c.auth}), remote.WithUserAgent(userAgent),
		// Who asks again is the caller, later: a registry that has had enough is not pressed.
		remote.WithRetryPredicate(func(error) bool { return false }), remote.WithRetryStatusCodes(),
	)
}

// host is how the registry is dialled, which is not what Docker Hub is called in names.
func (c *Client) host() string { return c.registry.RegistryStr() }

// keychain has the one key of one registry.
type keychain struct {
	host string
	auth authn.Authenticator
}

// Resolve gives nobody else's key.
func (k keychain) Resolve(at authn.Resource) (authn.Authenticator, error) {
	if canonical(at.RegistryStr()) != k.host {
		return authn.Anonymous, nil
	}
	return k.auth, nil
}

// Traffic is what it was asked.
func (c *Client) Traffic() Traffic { return c.known.sofar() }

// Allowance is what the registry last said that it may be asked.
func (c *Client) Allowance() Allowance { return c.limits.now() }

// ask asks one question within a time, unless the registry wants to be left alone, and sorts what went wrong.
func (c *Client) ask(ctx context.Context, within time.Duration, what string, question func(context.Context) error) error {
	if until := c.limits.now().RetryAt; time.Now().Before(until) {
		return &Error{
			Class: ClassRateLimited, Host: c.access.Host, What: what, RetryAt: until,
			Detail: "it wants to be left alone until " + until.UTC().Format(time.RFC3339), anonymous: c.auth == authn.Anonymous,
		}
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := question(bounded)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil && bounded.Err() == nil {
		// It was another caller that left, who had begun to sign in for both.
		err = question(bounded)
	}
	if err == nil {
		return nil
	}
	return c.refusal(what, within, err)
}

// ValidCA reports what is wrong with the PEM of authorities. Anything but certificates is refused: it is shown to who may read.
func ValidCA(text string) error {
	if text == "" {
		return nil
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(text)) {
		return errNoCA
	}
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("it holds more than certificates: a %s has no place here", block.Type)
		}
	}
	return nil
}

var errNoCA = errors.New("it holds no certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----")
