package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// The errors of the adapter, whatever engine is behind it. Docker's and podman's
// status codes are mapped here and nowhere else.
var (
	ErrNotFound    = errors.New("no such object on the engine")
	ErrConflict    = errors.New("the engine refused: the object is busy or in another state")
	ErrUnavailable = errors.New("the engine does not answer")
	ErrTimeout     = errors.New("the engine did not answer in time")
	ErrNotOwned    = errors.New("not a container of this installation")
	ErrInvalid     = errors.New("the engine refused the request as invalid")
	// ErrDenied: the registry (or a proxy before the engine) wants other credentials.
	ErrDenied = errors.New("access denied")
	// ErrEngine: the engine answered that it has failed itself (a 5xx), or with something that is not its API.
	ErrEngine = errors.New("the engine failed")

	// ErrUntrusted: who answers does not prove to be the engine that is meant. ErrRejected: who answers does not let
	// us in. Both are an engine that does not answer.
	ErrUntrusted = unreached("who answers there is not the one that is trusted")
	ErrRejected  = unreached("who answers there does not let us in")
	// ErrSocketRights: this user may not use the engine's socket on this machine. ErrTooOld: the engine speaks no API that we do. Remedy
	// has the words for both.
	ErrSocketRights = unreached("this user may not use the engine's socket")
	ErrTooOld       = unreached("the engine is too old")
	// ErrAbsent: the host is not in use.
	ErrAbsent = unreached("the host is not in use")

	// errNoLog: the container's log driver keeps nothing that the engine could read back.
	errNoLog = errors.New("its log driver keeps nothing to read")
)

// unreached is a kind of ErrUnavailable.
func unreached(text string) error { return &unavailable{text} }

type unavailable struct{ text string }

func (u *unavailable) Error() string { return u.text }
func (u *unavailable) Unwrap() error { return ErrUnavailable }

// failure turns whatever came back from the client into one of our errors, with the
// engine's own words kept. ctx is the caller's: when that one has ended it is neither the
// engine's fault nor a timeout of ours.
func failure(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ended := context.Cause(ctx); ended != nil {
		if errors.Is(ended, context.DeadlineExceeded) {
			return fmt.Errorf("%s: %w: %w", doing, ErrTimeout, ended)
		}
		return fmt.Errorf("%s: %w", doing, ended)
	}
	if told := wayFailure(err); told != nil {
		return fmt.Errorf("%s: %w", doing, told)
	}
	for _, known := range []error{ErrNotFound, ErrConflict, ErrUnavailable, ErrTimeout, ErrNotOwned, ErrInvalid, ErrDenied, errNoLog, ErrEngine} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%s: %w: %s", doing, kind, words(err))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// wayFailure is what went wrong before the engine was asked, without all that clients put round it; nil when it is something else.
func wayFailure(err error) error {
	if told, ok := errors.AsType[*refusedWay](err); ok {
		return told
	}
	if told, ok := errors.AsType[*UnknownHostKey](err); ok {
		return told
	}
	return nil
}

// kindOf says which of our errors an error of the client is; nil when it comes from neither
// the engine nor the way to it (a reader or a callback of the caller's).
func kindOf(err error) error {
	if kind := podmanKind(err); kind != nil {
		return kind
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return ErrTimeout
	case errdefs.IsNotFound(err):
		return ErrNotFound
	case errdefs.IsConflict(err), errdefs.IsFailedPrecondition(err):
		return ErrConflict
	case errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err):
		return ErrDenied
	case errdefs.IsInvalidArgument(err):
		return ErrInvalid
	case errdefs.IsUnavailable(err), client.IsErrConnectionFailed(err), brokenOff(err):
		return ErrUnavailable
	case errdefs.IsInternal(err), errdefs.IsUnknown(err), errdefs.IsNotImplemented(err), errdefs.IsResourceExhausted(err), notTheAPI(err):
		return ErrEngine
	default:
		return nil
	}
}

// podmanKind recognises what podman answers 500 to where docker has a code for it.
func podmanKind(err error) error {
	if !errdefs.IsInternal(err) {
		return nil
	}
	return kindOfWords(err.Error())
}

// kindOfWords is what an error 500 means by its text; nil when it is just that.
func kindOfWords(text string) error {
	switch {
	case containsAny(text, "container state improper", "cannot be removed without force", "that name is already in use",
		"please force removal", "network already exists"):
		return ErrConflict
	case containsAny(text, "no such container", "no such network", "network not found"):
		return ErrNotFound
	default:
		return nil
	}
}

// brokenOff is a connection that ended before the answer was whole.
func brokenOff(err error) bool {
	var of net.Error
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.ErrClosedPipe) || errors.As(err, &of)
}

// notTheAPI is an answer that does not read as the engine's.
func notTheAPI(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &kind)
}

// words are the engine's, without what the client puts before them.
func words(err error) string {
	return strings.TrimPrefix(err.Error(), "Error response from daemon: ")
}

// inBand is an error that came in the middle of a pull or a load, after a 200. Engines give
// no code with it, so the few that matter are told apart by their words.
func inBand(message string) error {
	lower := strings.ToLower(message)
	switch {
	case containsAny(lower, "unauthorized", "authentication required", "no basic auth credentials", "access denied", "access to the resource is denied"):
		return fmt.Errorf("%w: %s", ErrDenied, message)
	case containsAny(lower, "manifest unknown", "not found", "no such image", "name unknown", "repository name not known"):
		return fmt.Errorf("%w: %s", ErrNotFound, message)
	case containsAny(lower, "timeout", "deadline exceeded"):
		return fmt.Errorf("%w: %s", ErrTimeout, message)
	default:
		return fmt.Errorf("%w: %s", ErrEngine, message)
	}
}

func containsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// errorOfStatus reads the error out of an answer that we asked for without the client.
func errorOfStatus(resp *http.Response) error {
	const enough = 64 << 10
	body, err := io.ReadAll(io.LimitReader(resp.Body, enough))
	if err != nil {
		return fmt.Errorf("read the error of a %s: %w", resp.Status, err)
	}
	var told struct{ Message string }
	if json.Unmarshal(body, &told) != nil || told.Message == "" {
		told.Message = strings.TrimSpace(string(body))
	}
	if told.Message == "" {
		told.Message = resp.Status
	}
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound:
		return fmt.Errorf("%w: %s", ErrNotFound, told.Message)
	case code == http.StatusConflict:
		return fmt.Errorf("%w: %s", ErrConflict, told.Message)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrDenied, told.Message)
	case code == http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %s", ErrUnavailable, told.Message)
	case code >= http.StatusBadRequest && code < http.StatusInternalServerError:
		return fmt.Errorf("%w: %s", ErrInvalid, told.Message)
	case kindOfWords(told.Message) != nil:
		return fmt.Errorf("%w: %s", kindOfWords(told.Message), told.Message)
	default:
		return fmt.Errorf("%w: %s", ErrEngine, told.Message)
	}
}
