package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// ErrGone is a registry's own word that it does not have what was asked for (404), as opposed to not being able to ask.
var ErrGone = errors.New("the registry has no such thing")

// Class says in which way a registry could not be asked, or what it said in place of an answer.
type Class string

// The classes. Only ClassNotFound is an answer.
const (
	ClassUnauthorized Class = "unauthorized"   // it wants other credentials
	ClassNotFound     Class = "not_found"      // its own word that it has no such repository, tag or digest
	ClassRateLimited  Class = "rate_limited"   // it was asked too often
	ClassUnreachable  Class = "unreachable"    // no connection, or no answer in time
	ClassCertificate  Class = "certificate"    // nobody that we trust vouches for it
	ClassPlainHTTP    Class = "plain_http"     // it speaks plain http, which is not allowed for it
	ClassNotRegistry  Class = "not_a_registry" // something answers there that speaks another language
	ClassBroken       Class = "broken"         // it answers with an error of its own, or with half an answer
)

// Error is a question that was not answered. Its text holds no credentials.
type Error struct {
	Class   Class
	Host    string
	What    string    // what was asked, such as "list the tags of acme/shop"
	Detail  string    // what came in place of an answer
	RetryAt time.Time // not before, if it said so; of ClassRateLimited

	anonymous bool  // it was asked without credentials
	cause     error // for Is; its text may be anything
}

// Error says what was asked of whom, and what came of it.
func (e *Error) Error() string { return "ask " + e.Host + " to " + e.What + ": " + e.Detail }

// Is finds ErrGone and what the error came of.
func (e *Error) Is(target error) bool {
	return target == ErrGone && e.Class == ClassNotFound || e.cause != nil && errors.Is(e.cause, target)
}

// Remedy says what to do about it.
func (e *Error) Remedy() string {
	switch e.Class {
	case ClassUnauthorized:
		if e.anonymous {
			return "it wants a login: give it a user name with a password or token that may read"
		}
		return "give it the user name and the password or token once more: tokens end, and need the right to read"
	case ClassNotFound:
		if e.anonymous {
			return "see that the name is right and that it was pushed; some registries say so of what needs a login, too"
		}
		return "see that the name is right, that it was pushed, and that its user may read it"
	case ClassRateLimited:
		if e.anonymous {
			return "wait; with a login the limit is most often higher"
		}
		return "wait, and have it asked less often"
	case ClassUnreachable:
		return "see that the host and the port are right and that nothing between docker-watcher and it stops the way"
	case ClassCertificate:
		return "give it the certificate of the authority that signed its own, as PEM (ca), and see that the host is the name in it"
	case ClassPlainHTTP:
		return "let it speak TLS, or allow plain http for it (plain_http) where nobody else is on the way"
	case ClassNotRegistry:
		return "see that the host is the one in the names of images, and not that of a web page"
	case ClassBroken:
		return "the log of the registry says more; try again later"
	}
	return ""
}

// refusal makes an Error of whatever the library returned.
func (c *Client) refusal(what string, within time.Duration, err error) error {
	e := &Error{Host: c.access.Host, What: what, anonymous: c.auth == authn.Anonymous, cause: err}
	e.Class, e.Detail = classOf(err, within, c.conduit.mayBePlain(c.access.Host))
	if e.Class == ClassRateLimited {
		e.RetryAt = c.limits.now().RetryAt
		if !e.RetryAt.IsZero() {
			e.Detail += ", until " + e.RetryAt.Format(time.RFC3339)
		}
	}
	e.Detail = short(c.without(e.Detail))
	return e
}

// errNotRegistry and errHalf are what we find wrong ourselves.
var (
	errNotRegistry = errors.New("what answers there is no registry")
	errHalf        = errors.New("half an answer")
)

func classOf(err error, within time.Duration, plain bool) (Class, string) {
	// Where plain http is allowed it was tried after this, and says only that it is not spoken.
	if detail := distrust(err); detail != "" {
		return ClassCertificate, "its certificate is not trusted: " + detail
	}
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		return classOfAnswer(answer)
	}
	if class, detail := classOfDialing(err, within, plain); class != "" {
		return class, detail
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return ClassBroken, "its answer is larger than " + strconv.FormatInt(large.Limit, 10) + " bytes"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errHalf):
		return ClassBroken, "its answer ended in the middle"
	case errors.As(err, &syntax), errors.As(err, &kind), errors.Is(err, io.EOF), errors.Is(err, errNotRegistry):
		return ClassNotRegistry, "what answers there does not speak as a registry does"
	case strings.Contains(err.Error(), "no token in bearer response"):
		return ClassBroken, "its token server gave no token"
	}
	return ClassBroken, err.Error()
}

// classOfAnswer sorts a status that was no success.
func classOfAnswer(answer *transport.Error) (Class, string) {
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ClassUnauthorized, said(answer)
	case http.StatusTooManyRequests:
		return ClassRateLimited, "it was asked too often"
	case http.StatusNotFound:
		switch {
		case saysGone(answer):
			return ClassNotFound, said(answer)
		case len(answer.Errors) == 0:
			return ClassNotRegistry, "what answers there does not speak as a registry does (404)"
		}
	}
	return ClassBroken, said(answer)
}

// said is an answer in its own words, where it has some.
func said(answer *transport.Error) string {
	words := []string{"it answered " + strconv.Itoa(answer.StatusCode) + " " + http.StatusText(answer.StatusCode)}
	for _, d := range answer.Errors[:min(len(answer.Errors), 3)] {
		word := string(d.Code)
		if d.Message != "" {
			word += " (" + d.Message + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// saysGone reports whether an answer is the word of a registry: its status, in the form that registries use.
func saysGone(answer *transport.Error) bool {
	return answer.StatusCode == http.StatusNotFound &&
		slices.ContainsFunc(answer.Errors, func(e transport.Diagnostic) bool { return slices.Contains(goneCodes, e.Code) })
}

// goneCodes are the words for what is not there; the last two are Harbor's and Quay's.
var goneCodes = []transport.ErrorCode{transport.ManifestUnknownErrorCode, transport.NameUnknownErrorCode, "NOT_FOUND", "TAG_EXPIRED"}

// distrust says why the certificate of a registry is not trusted, if that is what is wrong.
func distrust(err error) string {
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Error()
	}
	return ""
}

// classOfDialing sorts what kept an answer from coming at all; an empty class: one came. The library may have tried
// both https and plain http.
func classOfDialing(err error, within time.Duration, plain bool) (Class, string) {
	var dial *net.OpError
	var lookup *net.DNSError
	var request *url.Error
	switch {
	case !plain && errors.Is(err, http.ErrSchemeMismatch):
		return ClassPlainHTTP, "it speaks plain http, which is not allowed for it"
	case errors.Is(err, context.DeadlineExceeded):
		return ClassUnreachable, "no answer within " + within.String()
	case errors.Is(err, context.Canceled):
		return ClassUnreachable, "given up: the caller left or the daemon stops"
	case errors.As(err, &lookup):
		return ClassUnreachable, lookup.Error()
	case errors.As(err, &dial):
		return ClassUnreachable, dial.Error()
	case errors.As(err, &request) && (request.Timeout() || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return ClassUnreachable, "the connection ended without an answer"
	case errors.Is(err, errPlain):
		return ClassPlainHTTP, "it leads to plain http, which is not allowed for it"
	}
	return "", ""
}

// queries are the part of an address that may carry a signature or a token.
var queries = regexp.MustCompile(`\?[^\s"']+`)

// without takes credentials out of a text, in each form that they go over the wire in.
func (c *Client) without(text string) string {
	text = queries.ReplaceAllString(text, "?...")
	if c.access.Password == "" {
		return text
	}
	pair := []byte(c.access.Username + ":" + c.access.Password)
	for _, secret := range []string{
		base64.StdEncoding.EncodeToString(pair), base64.URLEncoding.EncodeToString(pair),
		url.QueryEscape(c.access.Password), url.PathEscape(c.access.Password), c.access.Password,
	} {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// mostText is how much of what somebody else wrote is kept.
const mostText = 400

func short(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) > mostText {
		text = strings.ToValidUTF8(text[:mostText], "") + "..."
	}
	return text
}
