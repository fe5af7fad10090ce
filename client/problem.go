package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The codes of problems that programs act upon; see docs/api.md for all of them.
const (
	CodeUnauthenticated  = "unauthenticated"
	CodeForbidden        = "forbidden"
	CodeNotFound         = "not_found"
	CodeMethodNotAllowed = "method_not_allowed"
	CodeInvalid          = "invalid"
	CodeConflict         = "conflict"
	CodeRevision         = "revision_mismatch"
	CodeWrongState       = "wrong_state"
	CodeBusy             = "busy"
	CodeNotStale         = "not_stale"
	CodePlanExpired      = "plan_expired"
	CodePlanUsed         = "plan_used"
	CodeFrozen           = "frozen"
	CodeBlind            = "blind"
	CodeUnavailable      = "engine_unavailable"
	CodeTooLarge         = "too_large"
	CodeTooMany          = "too_many_requests"
	CodeSetUp            = "set_up"
	CodeInternal         = "internal"
	CodeConflicts        = "restore_conflicts"
	CodeNotRestorable    = "not_restorable"
	CodeNotMended        = "not_mended"
	CodeRefused          = "refused"
	CodeRegistry         = "registry_unavailable"
	CodeHostUnusable     = "host_unusable"
	CodeHostDisabled     = "host_disabled"
	CodeManaged          = "managed"
	CodeInUse            = "in_use"
	CodeNotAdoptable     = "not_adoptable"
	CodeNotAdopted       = "not_adopted"
	CodeNotAccepted      = "not_accepted"
	CodeNotServed        = "not_served"
	CodeLastAdmin        = "last_admin"
	CodeSecondFactor     = "second_factor"
	CodeMustEnrol        = "must_enrol"
	CodeProvider         = "provider_unavailable"
)

// Problem is an error that docker-watcher answered with (RFC 9457).
type Problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Code   string       `json:"code"`
	Hint   string       `json:"hint,omitempty"` // what to do about it
	Errors []FieldError `json:"errors,omitempty"`
	ID     string       `json:"id,omitempty"` // of an internal error, to be found in the log
	// Conflicts are what is in the way of a restore.
	Conflicts []RestoreConflict `json:"conflicts,omitempty"`
	// HostReport is what the test of a host found that was not added or changed for it.
	HostReport *HostReport `json:"host_report,omitempty"`
}

// FieldError says which part of a request is wrong, and how.
type FieldError struct {
	Location string `json:"location"` // such as body.spec.ports[0].container
	Message  string `json:"message"`
}

// Error tells the problem in one line.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	if p.Detail == "" {
		b.WriteString(strings.ToLower(p.Title))
	}
	for i, e := range p.Errors {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep)
		if e.Location != "" {
			b.WriteString(strings.TrimPrefix(e.Location, "body.") + " ")
		}
		b.WriteString(e.Message)
	}
	if p.ID != "" {
		b.WriteString(" (id " + p.ID + ")")
	}
	return b.String()
}

// AsProblem returns the problem in err, if that is what it is.
func AsProblem(err error) (*Problem, bool) {
	p, ok := errors.AsType[*Problem](err)
	return p, ok
}

// HasCode reports whether err is a problem with this code.
func HasCode(err error, code string) bool {
	p, ok := AsProblem(err)
	return ok && p.Code == code
}

// maxProblem is how much of an answer that is no problem of ours is read.
const maxProblem = 64 << 10

func readProblem(res *http.Response) *Problem {
	text, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	p := &Problem{}
	if err == nil && json.Unmarshal(text, p) == nil && p.Status != 0 {
		return p
	}
	// Something between us and docker-watcher answered.
	return &Problem{
		Type:   "about:blank",
		Title:  http.StatusText(res.StatusCode),
		Status: res.StatusCode,
		Detail: fmt.Sprintf("the server answered %s, and not as docker-watcher does", res.Status),
	}
}
