package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiny-forge/docker-watcher/internal/adopt"
	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/hosts"
	"github.com/tiny-forge/docker-watcher/internal/reclaim"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/sso"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Problem is every error of the API (RFC 9457).
type Problem struct {
	Type   string         `json:"type" doc:"urn:docker-watcher:problem:<code>"`
	Title  string         `json:"title" doc:"the status in words"`
	Status int            `json:"status" doc:"the HTTP status"`
	Detail string         `json:"detail" doc:"what is wrong with this request"`
	Code   string         `json:"code" doc:"what is wrong, for programs"`
	Hint   string         `json:"hint,omitempty" doc:"what to do about it"`
	Errors []ProblemField `json:"errors,omitempty" doc:"the parts of the request that are wrong"`
	ID     string         `json:"id,omitempty" doc:"of an internal error: look for it in the log"`
	// Conflicts are what is in the way of a restore.
	Conflicts []conflictJSON `json:"conflicts,omitempty" doc:"what is in the way of a restore, with the choices that would settle it"`

	// HostReport is what the test of a host found that was not added or changed for it.
	HostReport *hostReportJSON `json:"host_report,omitempty" doc:"what the test of a host found"`

	header http.Header
	told   bool // an event tells of this refusal already
	guess  bool // somebody who is signed in did not show once more that it is they: not the password, or a code, of theirs
}

// ProblemField says which part of a request is wrong, and how. The value that was
// sent is not repeated: it may be a secret.
type ProblemField struct {
	Location string `json:"location" doc:"such as body.spec.ports[0].container"`
	Message  string `json:"message"`
}

// The codes of problems.
const (
	codeUnauthenticated  = "unauthenticated"
	codeForbidden        = "forbidden"
	codeCrossOrigin      = "cross_origin"
	codeNotFound         = "not_found"
	codeMethodNotAllowed = "method_not_allowed"
	codeInvalid          = "invalid"
	codeMediaType        = "unsupported_media_type"
	codeConflict         = "conflict"
	codeRevision         = "revision_mismatch"
	codeWrongState       = "wrong_state"
	codeBusy             = "busy"
	codeNotOwned         = "not_owned"
	codeNotStale         = "not_stale"
	codePlanExpired      = "plan_expired"
	codePlanUsed         = "plan_used"
	codeFrozen           = "frozen"
	codeBlind            = "blind"
	codeUnavailable      = "engine_unavailable"
	codeStore            = "store_unavailable"
	codeTimeout          = "timeout"
	codeTooLarge         = "too_large"
	codeTooMany          = "too_many_requests"
	codeSetUp            = "set_up"
	codeInternal         = "internal"
	codeConflicts        = "restore_conflicts"
	codeNotRestorable    = "not_restorable"
	codeNotMended        = "not_mended"
	codeRefused          = "refused"
	codeRegistry         = "registry_unavailable"
	codeHostUnusable     = "host_unusable"
	codeHostDisabled     = "host_disabled"
	codeManaged          = "managed"
	codeInUse            = "in_use"
	codeNotAdoptable     = "not_adoptable"
	codeNotAdopted       = "not_adopted"
	codeNotAccepted      = "not_accepted"
	codeNotServed        = "not_served"
	codeLastAdmin        = "last_admin"
	codeFactor           = "second_factor"
	codeMustEnrol        = "must_enrol"
	codeProvider         = "provider_unavailable"
)

const (
	hintEngine    = "see that the engine runs and that its socket may be opened by docker-watcher; 'docker-watcher hosts' says more"
	hintStore     = "nothing was changed; the log of the daemon says more"
	hintFrozen    = "see 'docker-watcher hosts': an admin can accept what changed"
	hintNotServed = "it is saved; the former table is served meanwhile: 'docker-watcher proxy state' says what is in the way"
	hintChanged   = "look at it again"
	hintDisabled  = "an admin puts it to use again: docker-watcher hosts enable NAME"
	hintProvider  = "sign in with name and password meanwhile; the log of the daemon says what is wrong, and the next sign-in asks the provider anew"
	hintThrottle  = "wait a minute and try again"
)

func newProblem(status int, code, detail string) *Problem {
	return &Problem{
		Type: "urn:docker-watcher:problem:" + code, Title: http.StatusText(status), Status: status, Detail: detail, Code: code,
	}
}

// Error tells the problem in one line.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are headers that belong to the answer, such as Retry-After.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is that of RFC 9457.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func (p *Problem) hint(text string) *Problem {
	p.Hint = text
	return p
}

func (p *Problem) with(name, value string) *Problem {
	p.header = http.Header{name: {value}}
	return p
}

func (p *Problem) field(location, message string) *Problem {
	p.Errors = append(p.Errors, ProblemField{Location: location, Message: message})
	return p
}

// invalid is a request with one wrong part.
func invalid(location, message string) *Problem {
	return invalidRequest().field(location, message)
}

// invalidRequest is the same before its fields are named.
func invalidRequest() *Problem {
	return newProblem(http.StatusUnprocessableEntity, codeInvalid, "the request is invalid, nothing was done")
}

// The framework makes its errors by this variable, one for the whole process: each
// becomes a problem of ours, and what was sent is never repeated in it. Names of
// fields are exact: a delete key must not be found by a misspelt one.
func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return problemFromFramework(status, msg, errs)
	}
	huma.ValidateStrictCasing = true
}

func problemFromFramework(status int, msg string, errs []error) *Problem {
	p := newProblem(status, codeInvalid, msg)
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		p = newProblem(http.StatusUnprocessableEntity, codeInvalid, "the request is invalid, nothing was done")
		if len(errs) == 0 {
			p = p.field("body", msg)
		}
	case http.StatusRequestEntityTooLarge:
		p = newProblem(status, codeTooLarge, "the body is larger than 1 MiB")
	case http.StatusUnsupportedMediaType:
		p = newProblem(status, codeMediaType, "the body must be application/json")
	case http.StatusInternalServerError:
		p = newProblem(status, codeInternal, "something went wrong inside docker-watcher")
	}
	for _, err := range errs {
		var detail huma.ErrorDetailer
		if errors.As(err, &detail) {
			d := detail.ErrorDetail()
			p = p.field(missing(d.Location, d.Message))
		}
	}
	return p
}

// missing names the field that the framework misses, which it says of the whole that lacks it.
func missing(location, message string) (field, text string) {
	if name, ok := strings.CutPrefix(message, "expected required property "); ok {
		if name, ok = strings.CutSuffix(name, " to be present"); ok {
			return location + "." + name, "it is needed"
		}
	}
	return location, message
}

// problemOf is the only map from an error to an HTTP status. An unknown error is
// told to the log under an id, and only the id to the caller.
func problemOf(ctx context.Context, log *slog.Logger, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	for _, known := range problems {
		if errors.Is(err, known.err) {
			p := newProblem(known.status, known.code, known.text(err)).hint(known.hint)
			if known.location != "" {
				p.Detail = "the request is invalid, nothing was done"
				p.Errors = fieldsOf(known.location, err)
			}
			if known.status == http.StatusTooManyRequests {
				p = p.with("Retry-After", "60")
			}
			p.told, p.guess = known.told, known.guess
			return p
		}
	}
	id := rand.Text()[:12]
	log.ErrorContext(ctx, "request failed", "problem_id", id, "error", err)
	p := newProblem(http.StatusInternalServerError, codeInternal, "something went wrong inside docker-watcher").
		hint("look for the id in the log of the daemon")
	p.ID = id
	return p
}

type problemRule struct {
	err      error
	status   int
	code     string
	hint     string
	location string // of the part of the request, when it is the request that is wrong
	fixed    string // said instead of the error's own text
	told     bool   // whoever refuses makes an event of it
	guess    bool
}

// problems maps what the packages below refuse. The first that matches counts.
var problems = []problemRule{
	{err: store.ErrNotFound, status: http.StatusNotFound, code: codeNotFound},
	{err: store.ErrConflict, status: http.StatusConflict, code: codeConflict},
	{err: store.ErrBadTransition, status: http.StatusConflict, code: codeWrongState},
	{err: store.ErrBadCursor, status: http.StatusUnprocessableEntity, code: codeInvalid, location: "query.cursor"},
	{err: store.ErrBusy, status: http.StatusServiceUnavailable, code: codeStore, fixed: store.ErrBusy.Error(), hint: hintStore},
	{err: store.ErrDiskFull, status: http.StatusServiceUnavailable, code: codeStore, fixed: store.ErrDiskFull.Error(), hint: hintStore},
	{err: store.ErrMoved, status: http.StatusServiceUnavailable, code: codeStore, fixed: store.ErrMoved.Error(), hint: hintStore},
	{err: store.ErrReadOnly, status: http.StatusServiceUnavailable, code: codeStore, fixed: store.ErrReadOnly.Error(), hint: hintStore},
	{err: store.ErrCorrupt, status: http.StatusServiceUnavailable, code: codeStore, fixed: store.ErrCorrupt.Error(), hint: hintStore},
	{err: store.ErrUnreadable, status: http.StatusServiceUnavailable, code: codeStore, fixed: store.ErrUnreadable.Error(), hint: hintStore},
	{err: store.ErrLockLost, status: http.StatusServiceUnavailable, code: codeStore, fixed: store.ErrLockLost.Error(), hint: hintStore},
	{err: store.ErrUnavailable, status: http.StatusServiceUnavailable, code: codeStore, fixed: store.ErrUnavailable.Error(), hint: hintStore},
	{err: store.ErrClosed, status: http.StatusServiceUnavailable, code: codeStore, fixed: "the daemon stops"},

	{err: stale.ErrWrongState, status: http.StatusConflict, code: codeWrongState},
	{err: stale.ErrNotStale, status: http.StatusConflict, code: codeNotStale},
	{err: stale.ErrPlanExpired, status: http.StatusConflict, code: codePlanExpired, hint: "make a new plan"},
	{err: stale.ErrPlanUsed, status: http.StatusConflict, code: codePlanUsed, hint: "make a new plan"},
	{err: stale.ErrFrozen, status: http.StatusConflict, code: codeFrozen, hint: hintFrozen},
	{err: deploy.ErrFrozen, status: http.StatusConflict, code: codeFrozen, hint: hintFrozen},
	{err: stale.ErrBlind, status: http.StatusConflict, code: codeBlind, hint: hintEngine},

	{err: stale.ErrNotRestorable, status: http.StatusConflict, code: codeNotRestorable},
	{err: stale.ErrNotMended, status: http.StatusConflict, code: codeNotMended},

	{err: reclaim.ErrPlanExpired, status: http.StatusConflict, code: codePlanExpired, hint: "make a new plan"},
	{err: reclaim.ErrPlanUsed, status: http.StatusConflict, code: codePlanUsed, hint: "make a new plan"},
	{err: reclaim.ErrRefused, status: http.StatusConflict, code: codeRefused},

	{err: hosts.ErrManaged, status: http.StatusConflict, code: codeManaged},
	{err: hosts.ErrBusy, status: http.StatusConflict, code: codeBusy},
	{err: hosts.ErrInUse, status: http.StatusConflict, code: codeInUse},

	{err: adopt.ErrNotAdoptable, status: http.StatusConflict, code: codeNotAdoptable},
	{err: adopt.ErrGone, status: http.StatusConflict, code: codeConflict, hint: "docker-watcher adopt ls shows what is there now"},
	{err: adopt.ErrBusy, status: http.StatusConflict, code: codeBusy},
	{err: adopt.ErrNotAdopted, status: http.StatusConflict, code: codeNotAdopted, hint: "what docker-watcher made is removed, not given back"},
	{err: adopt.ErrInUse, status: http.StatusConflict, code: codeInUse},
	{err: routing.ErrNotServed, status: http.StatusConflict, code: codeNotServed, hint: hintNotServed},

	{err: backup.ErrBusy, status: http.StatusConflict, code: codeBusy},
	{err: backup.ErrNotFound, status: http.StatusNotFound, code: codeNotFound},
	{err: deploy.ErrBusy, status: http.StatusConflict, code: codeBusy},
	{err: deploy.ErrWrongState, status: http.StatusConflict, code: codeWrongState},
	{err: deploy.ErrInvalid, status: http.StatusUnprocessableEntity, code: codeInvalid, location: "body"},

	{err: auth.ErrDenied, status: http.StatusUnauthorized, code: codeUnauthenticated, fixed: auth.ErrDenied.Error(), told: true},
	{err: auth.ErrExpired, status: http.StatusUnauthorized, code: codeUnauthenticated, fixed: "the session, token or link has expired"},
	{err: auth.ErrSetUp, status: http.StatusConflict, code: codeSetUp},
	{err: auth.ErrWeak, status: http.StatusUnprocessableEntity, code: codeInvalid, location: "body.password"},
	{err: auth.ErrInvalid, status: http.StatusUnprocessableEntity, code: codeInvalid, location: "body.name"},
	{err: sso.ErrOff, status: http.StatusConflict, code: codeWrongState, fixed: sso.ErrOff.Error(), hint: "an admin sets one up: docker-watcher identity-provider set, or Settings, Identity provider"},
	{err: sso.ErrUnavailable, status: http.StatusServiceUnavailable, code: codeProvider, fixed: sso.ErrUnavailable.Error(), hint: hintProvider},
	{err: sso.ErrNotAllowed, status: http.StatusForbidden, code: codeForbidden},
	{err: sso.ErrBroken, status: http.StatusUnauthorized, code: codeUnauthenticated},
	{err: sso.ErrDeclined, status: http.StatusUnauthorized, code: codeUnauthenticated, fixed: sso.ErrDeclined.Error()},
	{err: auth.ErrNameTaken, status: http.StatusForbidden, code: codeForbidden, fixed: auth.ErrNameTaken.Error()},
	{err: auth.ErrNotInvited, status: http.StatusForbidden, code: codeForbidden, fixed: auth.ErrNotInvited.Error()},
	{err: auth.ErrLastAdmin, status: http.StatusConflict, code: codeLastAdmin, fixed: auth.ErrLastAdmin.Error()},
	{err: auth.ErrLastWayIn, status: http.StatusConflict, code: codeLastAdmin, fixed: auth.ErrLastWayIn.Error(), hint: "have an admin with a password first: docker-watcher user create NAME --role admin makes a link that sets one"},
	{err: auth.ErrChanged, status: http.StatusPreconditionFailed, code: codeRevision, fixed: auth.ErrChanged.Error(), hint: hintChanged},
	{err: auth.ErrNoPassword, status: http.StatusConflict, code: codeWrongState, fixed: auth.ErrNoPassword.Error(), hint: "an admin can give out a link that sets one"},
	{err: auth.ErrWrongPassword, status: http.StatusUnprocessableEntity, code: codeInvalid, location: "body.current_password", guess: true},
	{err: auth.ErrFactorNeeded, status: http.StatusUnauthorized, code: codeFactor, fixed: auth.ErrFactorNeeded.Error(), hint: "send the code of your authenticator, or a recovery code, as code"},
	{err: auth.ErrFactorWrong, status: http.StatusUnauthorized, code: codeFactor, fixed: auth.ErrFactorWrong.Error(), told: true},
	{err: auth.ErrFactorSet, status: http.StatusConflict, code: codeWrongState, fixed: auth.ErrFactorSet.Error()},
	{err: auth.ErrNoFactor, status: http.StatusConflict, code: codeWrongState, fixed: auth.ErrNoFactor.Error()},
	{err: auth.ErrThrottled, status: http.StatusTooManyRequests, code: codeTooMany, hint: hintThrottle},

	{err: docker.ErrAbsent, status: http.StatusConflict, code: codeHostDisabled, hint: hintDisabled},
	{err: adopt.ErrUnfit, status: http.StatusConflict, code: codeFrozen, hint: hintFrozen},
	{err: docker.ErrSocketRights, status: http.StatusServiceUnavailable, code: codeUnavailable, hint: docker.Remedy(docker.ErrSocketRights)},
	{err: docker.ErrTooOld, status: http.StatusServiceUnavailable, code: codeUnavailable, hint: docker.Remedy(docker.ErrTooOld)},
	{err: docker.ErrUnavailable, status: http.StatusServiceUnavailable, code: codeUnavailable, hint: hintEngine},
	{err: docker.ErrTimeout, status: http.StatusServiceUnavailable, code: codeUnavailable, hint: hintEngine},
	{err: docker.ErrNotFound, status: http.StatusConflict, code: codeWrongState, hint: "the container is gone from the engine; the next scan shows it as missing"},
	{err: docker.ErrConflict, status: http.StatusConflict, code: codeWrongState},
	{err: docker.ErrNotOwned, status: http.StatusConflict, code: codeNotOwned, hint: "docker-watcher touches only what it made or adopted"},
	{err: docker.ErrInvalid, status: http.StatusUnprocessableEntity, code: codeInvalid, location: "body"},

	{err: context.DeadlineExceeded, status: http.StatusServiceUnavailable, code: codeTimeout, fixed: "it took too long and was given up", hint: hintEngine},
	{err: context.Canceled, status: http.StatusServiceUnavailable, code: codeTimeout, fixed: "given up: the caller left or the daemon stops"},
}

func (k problemRule) text(err error) string {
	if k.fixed != "" {
		return k.fixed
	}
	return err.Error()
}

// fieldsOf tells each of several joined errors apart, and where it is for those that name their field.
func fieldsOf(location string, err error) []ProblemField {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []ProblemField{{Location: location, Message: plainly(err)}}
	}
	each := many.Unwrap()
	if _, one := each[len(each)-1].(store.FieldError); one { //nolint:errorlint // it is a mistake itself, no list of them
		each = []error{err}
	}
	var fields []ProblemField
	for _, one := range each {
		named := fieldErrors(one)
		for _, f := range named {
			fields = append(fields, ProblemField{Location: location + "." + f.Field, Message: f.Reason})
		}
		if len(named) == 0 {
			fields = append(fields, ProblemField{Location: location, Message: plainly(one)})
		}
	}
	return fields
}

// plainly is what is wrong, without saying first that something is.
func plainly(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "invalid: "), "invalid ")
}

// wrongFields tells each field apart that the packages below refuse. Any other error stays what it is.
func wrongFields(where string, err error) error {
	fields := fieldErrors(err)
	if len(fields) == 0 {
		return err
	}
	p := newProblem(http.StatusUnprocessableEntity, codeInvalid, "the request is invalid, nothing was done")
	for _, f := range fields {
		p = p.field(where+"."+f.Field, f.Reason)
	}
	return p
}

// fieldErrors are all the wrong fields in an error, however deep they are joined.
func fieldErrors(err error) []store.FieldError {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var fields []store.FieldError
		for _, one := range many.Unwrap() {
			fields = append(fields, fieldErrors(one)...)
		}
		return fields
	}
	if field, ok := err.(store.FieldError); ok { //nolint:errorlint // what wraps it is looked into below
		return []store.FieldError{field}
	}
	if err == nil {
		return nil
	}
	return fieldErrors(errors.Unwrap(err))
}

// writeProblem answers outside of the framework.
func writeProblem(w http.ResponseWriter, p *Problem) {
	tracked(w).problem = p
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	// The caller left if this fails; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(p)
}
