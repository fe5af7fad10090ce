package caddy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	dialTimeout   = 3 * time.Second
	answerTimeout = 15 * time.Second // Caddy answers a write when it serves by it
	answerLimit   = 64 << 20         // bytes of its whole configuration
	refusalLimit  = 2000             // bytes of an answer that is no success
)

var (
	errChanged = errors.New("somebody else changed Caddy's configuration meanwhile")
	errAway    = errors.New("Caddy cannot be asked") //nolint:staticcheck // a name
	errMissing = errors.New("it is not there")
)

// refusedError is that Caddy will not have a configuration. It serves by the former one.
type refusedError struct{ text string }

func (e refusedError) Error() string { return "Caddy refuses it: " + e.text }

// admin speaks with Caddy's admin API.
type admin struct {
	client *http.Client
	base   string
	unix   bool
}

// newAdmin reads where the API is: http://host:port, https://host:port or unix:///path.
func newAdmin(address string) (admin, error) {
	u, err := url.Parse(address)
	if err != nil {
		return admin{}, fmt.Errorf("read the address of Caddy's admin API: %w", err)
	}
	dial := (&net.Dialer{Timeout: dialTimeout}).DialContext
	a := admin{base: strings.TrimSuffix(address, "/"), unix: u.Scheme == "unix"}
	if a.unix {
		a.base = "http://caddy"
		path := u.Path
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
		}
	}
	// No connection is kept: Caddy makes its admin API anew with each configuration.
	a.client = &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: answerTimeout}
	return a, nil
}

// config is Caddy's whole configuration, and its tag, by which a write says what it has seen.
func (a admin) config(ctx context.Context) (config any, tag string, err error) {
	head, err := a.do(ctx, http.MethodGet, "/config/", "", nil, &config)
	if err == nil && head.Get("Etag") == "" {
		err = errors.New("this Caddy gives no ETag for its configuration: 2.6 or later is needed")
	}
	return config, head.Get("Etag"), err
}

// ours is our part, as it is there; errMissing: it is not.
func (a admin) ours(ctx context.Context) (part any, err error) {
	_, err = a.do(ctx, http.MethodGet, "/id/"+ID, "", nil, &part)
	return part, err
}

// write makes a step, if the configuration is as it was when the tag was read; else errChanged.
func (a admin) write(ctx context.Context, s step, tag string) error {
	_, err := a.do(ctx, s.method, "/config"+s.path, tag, s.body, nil)
	return err
}

// upstream is what Caddy says of an address that it leads to.
type upstream struct {
	Address  string `json:"address"`
	Requests int    `json:"num_requests"` // under way
	Fails    int    `json:"fails"`        // dials in vain, of late
}

func (a admin) upstreams(ctx context.Context) (all []upstream, err error) {
	_, err = a.do(ctx, http.MethodGet, "/reverse_proxy/upstreams", "", nil, &all)
	return all, err
}

// built finds the version in Caddy's figures.
var built = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`go_build_info\{[^}]*path="github\.com/caddyserver/caddy/v2"[^}]*version="(v[^"]+)"`)
})

// version is what Caddy says of itself; empty: it says nothing, as packages of distributions do.
func (a admin) version(ctx context.Context) string {
	var text string
	if _, err := a.do(ctx, http.MethodGet, "/metrics", "", nil, &text); err != nil {
		return ""
	}
	if m := built().FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// do makes one request. One that only asks is made again where it was cut off: Caddy ends its admin API when somebody changes the
// configuration, and begins another.
func (a admin) do(ctx context.Context, method, path, tag string, body, into any) (http.Header, error) {
	head, err := a.try(ctx, method, path, tag, body, into)
	for range asks {
		if method != http.MethodGet || !cutOff(err) || ctx.Err() != nil {
			break
		}
		head, err = a.try(ctx, method, path, tag, body, into)
	}
	return head, err
}

// cutOff tells that the other side ended a connection that it had taken.
func cutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// try makes one request once. Its answer is read into a pointer to a value of JSON, or to a text; nil: it has none.
func (a admin) try(ctx context.Context, method, path, tag string, body, into any) (http.Header, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("write what Caddy is told: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("make a request to Caddy: %w", err)
	}
	if a.unix {
		req.URL.Host, req.Host = " ", "" // over a socket Caddy takes no Host but an empty one
	} else {
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host) // for those that enforce it
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if tag != "" {
		req.Header.Set("If-Match", tag)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAway, bare(err))
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAway, err)
	}
	if err := refusal(resp.StatusCode, answer); err != nil {
		return nil, err
	}
	maps.Copy(resp.Header, resp.Trailer) // where Caddy says the tag
	switch to := into.(type) {
	case nil:
	case *string:
		*to = string(answer)
	default:
		if err := json.Unmarshal(answer, into); err != nil {
			return nil, fmt.Errorf("%w: its answer to %s cannot be read: %w", errAway, path, err)
		}
	}
	return resp.Header, nil
}

// bare is an error of a request without its method and address, which say nothing new.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// refusal is what an answer of Caddy says that is no success.
func refusal(status int, answer []byte) error {
	switch {
	case status < 300:
		return nil
	case status == http.StatusPreconditionFailed:
		return errChanged
	case status == http.StatusNotFound:
		return errMissing
	}
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &said) != nil || said.Error == "" {
		said.Error = strings.TrimSpace(string(answer[:min(len(answer), refusalLimit)]))
	}
	if status == http.StatusForbidden || status == http.StatusUnauthorized {
		return fmt.Errorf("%w: its admin API does not let us in: %s", errAway, said.Error)
	}
	return refusedError{said.Error[:min(len(said.Error), refusalLimit)]}
}
