package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	dialTimeout = 10 * time.Second
	mostAnswer  = 4 << 10 // bytes of an answer that are looked at
	shownAnswer = 200     // and told
)

// Failure is why a target did not take a message. Its text holds nothing secret.
type Failure struct {
	Text      string
	Permanent bool          // it will never take this message
	After     time.Duration // it wants to be left alone for so long, at most an hour
}

// post is how letters leave the house.
type post struct {
	client  *http.Client
	dialer  *net.Dialer
	version string
	refuse  func(ctx context.Context, at netip.AddrPort) error
	clean   func(string) string // takes the secrets of a channel out of a text; send sets it
	longest int                 // of these secrets, in bytes
}

func newPost(o Options) post {
	p := post{version: o.Version, refuse: o.Refuse}
	p.dialer = &net.Dialer{Timeout: dialTimeout, ControlContext: p.control}
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: p.dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	// Where a target leads on to was not agreed to by anybody.
	p.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return p
}

// control looks at the address that is dialled, whatever name led to it.
func (p post) control(ctx context.Context, _, addr string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("read an address to dial: %w", err)
	}
	return p.allowed(ctx, at)
}

func (p post) allowed(ctx context.Context, at netip.AddrPort) error {
	if p.refuse == nil {
		return nil
	}
	if err := p.refuse(ctx, at); err != nil {
		return refused{err}
	}
	return nil
}

// writtenOut looks at the addresses that are written out in the URL of a channel. Where a name leads is seen when it is dialled.
func (p post) writtenOut(ctx context.Context, text string) error {
	a, err := parse(text)
	if err != nil {
		return err
	}
	if a.kind == "smtp" {
		port, err := strconv.ParseUint(mailPort(a.url), 10, 16)
		if err != nil {
			port = 0 // which no port is: it is found out when it is dialled
		}
		return p.literal(ctx, a.url.Hostname(), uint16(port))
	}
	var r *http.Request
	if a.kind == "matrix" {
		r, err = asMatrix(ctx, a.url, http.MethodPut, "", nil)
	} else {
		r, err = p.request(ctx, a, "", Letter{})
	}
	if err != nil {
		return fmt.Errorf("make a request of the channel: %w", err)
	}
	return p.literal(ctx, r.URL.Hostname(), portOf(r.URL))
}

// literal looks at a host that is an address, and lets names be.
func (p post) literal(ctx context.Context, host string, port uint16) error {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil //nolint:nilerr // it is a name
	}
	return p.allowed(ctx, netip.AddrPortFrom(ip, port))
}

// refused is that we do not dial an address.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// send makes one attempt, and tells what the target answered.
func (p post) send(ctx context.Context, to store.ChannelAddress, l Letter) (answer string, failure *Failure) {
	a, err := parse(to.URL)
	if err != nil {
		return "", &Failure{Text: "the URL of the channel: " + err.Error()}
	}
	secrets := longestFirst(append(a.secrets(), to.Secret))
	p.clean, p.longest = scrubber(secrets), len(secrets[0])
	if a.kind == "smtp" {
		answer, err = p.mail(ctx, a.url, l)
	} else {
		answer, err = p.http(ctx, a, to.Secret, l)
	}
	answer = p.clean(answer)
	if err == nil {
		return answer, nil
	}
	f := failureOf(err)
	f.Text = cut(p.clean(f.Text), 500)
	return answer, &f
}

// http sends a letter by one request, or by some for each of several rooms.
func (p post) http(ctx context.Context, a address, secret string, l Letter) (answer string, err error) {
	if a.kind == "matrix" {
		return p.matrix(ctx, a.url, l)
	}
	r, err := p.request(ctx, a, secret, l)
	if err != nil {
		return "", err
	}
	return p.do(ctx, r, l)
}

// statusError is an answer that is none of success.
type statusError struct {
	status int
	text   string
	after  time.Duration
	before bool // it is of a question that came before the message, and says nothing of that
}

func (e statusError) Error() string {
	text := "it answered " + strconv.Itoa(e.status) + " " + http.StatusText(e.status)
	if e.text != "" {
		text += ": " + e.text
	}
	return text
}

// do sends a request of a letter, and tells what was answered.
func (p post) do(ctx context.Context, r *http.Request, l Letter) (string, error) {
	r.Header.Set("Idempotency-Key", l.View.ID)
	status, body, err := p.ask(ctx, r)
	text := p.shown(body)
	if err != nil {
		return text, err
	}
	if silent(string(body)) {
		return text, statusError{status: status, text: text}
	}
	return strconv.Itoa(status) + " " + text, nil
}

// ask sends a request, and returns the beginning of what was answered. An answer that is none of success is a statusError.
func (p post) ask(ctx context.Context, r *http.Request) (status int, body []byte, err error) {
	// Where a proxy of the environment dials for us, the address is not seen by us; one that is written out is.
	if err := p.literal(ctx, r.URL.Hostname(), portOf(r.URL)); err != nil {
		return 0, nil, err
	}
	r.Header.Set("User-Agent", "docker-watcher/"+p.version)
	resp, err := p.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil && resp.StatusCode >= http.StatusMultipleChoices {
		body = nil // the status says it all
	}
	if resp.StatusCode >= http.StatusOK && resp.StatusCode < http.StatusMultipleChoices {
		return resp.StatusCode, body, nil
	}
	return resp.StatusCode, body, statusError{status: resp.StatusCode, text: p.shown(body), after: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
}

// shown is the beginning of what was answered. Secrets are taken out before it is cut: of one that is cut off nobody would know that it is one. So
// the end of what was read is not shown where more may come: blanks can bring it to the front.
func (p post) shown(body []byte) string {
	text := p.clean(string(body))
	if len(body) == mostAnswer {
		text = text[:max(len(text)-p.longest, 0)]
	}
	return printable(text)
}

// silent finds a refusal in an answer that says 200: Slack's API does so.
func silent(body string) bool {
	return strings.HasPrefix(strings.ReplaceAll(body, " ", ""), `{"ok":false`)
}

func portOf(u *url.URL) uint16 {
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return uint16(n)
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}

func retryAfter(text string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(seconds, int(time.Hour/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), time.Hour)
}

// failureOf says what an error of sending means. What the target says of a message itself is for ever, all else may pass.
func failureOf(err error) Failure {
	if some, is := errors.AsType[roomsError](err); is {
		return some.failure()
	}
	if status, is := errors.AsType[statusError](err); is {
		return Failure{Text: status.Error(), Permanent: !status.before && lost(status.status), After: status.after}
	}
	if no, is := errors.AsType[refused](err); is {
		return Failure{Text: no.Error()}
	}
	if m, is := errors.AsType[mailError](err); is {
		return Failure{Text: m.Error(), Permanent: m.permanent}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Failure{Text: "it did not answer within " + sendTimeout.String()}
	}
	if errors.Is(err, context.Canceled) {
		return Failure{Text: "the daemon was stopped before it answered"}
	}
	if u, is := errors.AsType[*url.Error](err); is {
		err = u.Err // without the URL
	}
	return Failure{Text: err.Error()}
}

// lost are the answers by which a target refuses a message for what it is. A wrong token is not among them: it can be set right.
func lost(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusUnsupportedMediaType:
		return true
	}
	return false
}

// scrubber takes secrets, longest first, out of a text.
func scrubber(secrets []string) func(string) string {
	var pairs []string
	for _, s := range secrets {
		if len(s) >= 3 {
			pairs = append(pairs, s, "***")
		}
	}
	replacer := strings.NewReplacer(pairs...)
	return replacer.Replace
}

// printable is the first line or so of what somebody answered.
func printable(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))), " ")
	return cut(s, shownAnswer)
}
