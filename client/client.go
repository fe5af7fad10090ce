// Package client is the typed Go client of docker-watcher's HTTP API. The command
// line and the API's own tests are built on it. A Client is safe for concurrent
// use; every call ends with its context, and an answer that is a problem is
// returned as *Problem.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// DefaultTimeout ends a call that is not a stream when the caller's context does
// not end it earlier. A bulk cleanup is the longest call there is.
const DefaultTimeout = 15 * time.Minute

// Client speaks to one docker-watcher.
type Client struct {
	base       *url.URL
	http       *http.Client
	credential string
	userAgent  string
}

// Option changes how a Client works.
type Option func(*Client)

// WithCredential sets what proves who calls: an API token (dw_...) or the session
// credential that Login returned.
func WithCredential(credential string) Option {
	return func(c *Client) { c.credential = credential }
}

// WithHTTPClient replaces the HTTP client, for a transport of one's own. It must
// not have a Timeout of its own: it would cut streams.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) { c.http = h }
}

// WithUserAgent names the caller in the list of sessions.
func WithUserAgent(name string) Option {
	return func(c *Client) { c.userAgent = name }
}

// New returns a client of the docker-watcher at base, such as
// http://127.0.0.1:8080. It does not dial.
func New(base string, options ...Option) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(base, "/"))
	if err != nil {
		return nil, fmt.Errorf("read the address %q: %w", base, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("read the address %q: it must look like http://127.0.0.1:8080", base)
	}
	c := &Client{base: u, http: &http.Client{}, userAgent: "docker-watcher-client"}
	for _, option := range options {
		option(c)
	}
	return c, nil
}

// Credential is what the client proves itself with; empty when it is nobody.
func (c *Client) Credential() string { return c.credential }

// As returns a client of the same docker-watcher with another credential.
func (c *Client) As(credential string) *Client {
	other := *c
	other.credential = credential
	return &other
}

// List is one page of things. NextCursor is empty on the last page.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
}

// Page asks for one page of a list; the zero value is the first, of the usual size.
type Page struct {
	Limit  int
	Cursor string
}

func (p Page) addTo(q url.Values) {
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Cursor != "" {
		q.Set("cursor", p.Cursor)
	}
}

// call is one request.
type call struct {
	method string
	path   string // escaped already, starting with a slash
	query  url.Values
	body   any
	header http.Header
}

// do sends a request and reads the answer into out, unless out is nil.
func (c *Client) do(ctx context.Context, r call, out any) error {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	_, err := c.doHeader(ctx, r, out)
	return err
}

func (c *Client) doHeader(ctx context.Context, r call, out any) (h http.Header, err error) {
	res, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if out == nil || res.StatusCode == http.StatusNoContent {
		_, err = io.Copy(io.Discard, res.Body)
	} else {
		err = json.NewDecoder(res.Body).Decode(out)
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", r.method, r.path, err)
	}
	return res.Header, nil
}

// send returns an answer that is not a problem; the caller closes its body.
func (c *Client) send(ctx context.Context, r call) (*http.Response, error) {
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	problem := readProblem(res)
	if err := res.Body.Close(); err != nil {
		return nil, errors.Join(problem, err)
	}
	return nil, problem
}

// copyTo copies the body of an answer to w; what says in an error what was being done.
func (c *Client) copyTo(ctx context.Context, w io.Writer, what string, r call) (err error) {
	res, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, r call) (*http.Request, error) {
	target := c.base.String() + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("write the body of %s %s: %w", r.method, r.path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	maps.Copy(req.Header, r.header)
	if c.credential != "" {
		req.Header.Set("Authorization", "Bearer "+c.credential)
	}
	return req, nil
}

// part makes one segment of a path of anything.
func part(s string) string { return url.PathEscape(s) }

// ifMatch asks that a change happens only to the revision that was seen; 0 asks nothing.
func ifMatch(revision int64) http.Header {
	if revision == 0 {
		return nil
	}
	return ifMatchText(strconv.FormatInt(revision, 10))
}

// ifMatchText is the same where a revision is a text; empty asks nothing.
func ifMatchText(revision string) http.Header {
	if revision == "" {
		return nil
	}
	return http.Header{"If-Match": {`"` + revision + `"`}}
}

func setTime(q url.Values, name string, t time.Time) {
	if !t.IsZero() {
		q.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}

func setText(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
