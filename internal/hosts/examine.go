package hosts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

// examineTimeout bounds a test as a whole: somebody waits for it.
const examineTimeout = 30 * time.Second

// Fault is why a host cannot be used, for programs.
type Fault string

// The faults.
const (
	FaultNone       Fault = ""
	FaultHostKey    Fault = "host_key_unknown" // nobody has said yes to the ssh server's key
	FaultUntrusted  Fault = "untrusted"        // certificate or host key are not the right ones
	FaultRejected   Fault = "rejected"         // our certificate or key are not accepted
	FaultUnanswered Fault = "unreachable"
	FaultDenied     Fault = "denied" // it answers, but may not be asked what we must ask
)

// Report is what a test of a host found.
type Report struct {
	Fault       Fault
	Error, Hint string
	// HostKey and Fingerprint are what an ssh server showed that is not known.
	HostKey, Fingerprint string

	Info       docker.Info   // what the engine says of itself
	Latency    time.Duration // of one small question on a connection that stands
	CanList    bool
	CanInspect bool
	Found      int      // containers with our label, of this installation
	SameAs     []string // hosts that we know by the same engine id and data root: perhaps the same engine
}

// OK reports that the host can be used.
func (r Report) OK() bool { return r.Fault == FaultNone }

// nobody is an id that no container has: an engine that may be asked for containers says so.
var nobody = strings.Repeat("0", 64)

// examine asks an engine all that must be possible, and changes nothing.
func examine(ctx context.Context, e *docker.Engine, installation string) Report {
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	var r Report
	if err := e.Ping(ctx); err != nil { // it also makes the connection
		return r.failed(err)
	}
	began := time.Now()
	if err := e.Ping(ctx); err != nil {
		return r.failed(err)
	}
	r.Latency = time.Since(began)
	info, err := e.Info(ctx)
	if err != nil {
		return r.failed(err)
	}
	r.Info = info
	ours, listErr := e.List(ctx, docker.ListOptions{Labels: []string{docker.LabelInstallation + "=" + installation}})
	r.CanList, r.Found = listErr == nil, len(ours)
	_, inspectErr := e.Inspect(ctx, nobody)
	if r.CanInspect = errors.Is(inspectErr, docker.ErrNotFound); r.CanInspect {
		inspectErr = nil
	} else if inspectErr == nil {
		inspectErr = fmt.Errorf("%w: it shows a container that there cannot be", docker.ErrEngine)
	}
	if err := errors.Join(listErr, inspectErr); err != nil {
		return r.failed(err)
	}
	return r
}

// failed says what an error means for who adds a host.
func (r Report) failed(err error) Report {
	r.Error = err.Error()
	if unknown, first := errors.AsType[*docker.UnknownHostKey](err); first {
		r.HostKey, r.Fingerprint = unknown.Line, unknown.Fingerprint
	}
	r.Fault = faultOf(err)
	r.Hint = Remedy(err)
	return r
}

func faultOf(err error) Fault {
	_, first := errors.AsType[*docker.UnknownHostKey](err)
	switch {
	case first:
		return FaultHostKey
	case errors.Is(err, docker.ErrUntrusted):
		return FaultUntrusted
	case errors.Is(err, docker.ErrRejected):
		return FaultRejected
	case errors.Is(err, docker.ErrUnavailable), errors.Is(err, docker.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return FaultUnanswered
	}
	return FaultDenied
}

var remedies = map[Fault]string{
	FaultHostKey:    "compare the fingerprint on the host itself (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then send the key as ssh.host_key",
	FaultUntrusted:  "find out who answers there before you change what is trusted",
	FaultRejected:   "docs/hosts.md says how the engine or the ssh server is told of us",
	FaultUnanswered: "see that the engine runs and that this machine may reach it; a test of the host says more",
	FaultDenied:     "listing and inspecting containers must be allowed; a proxy before the engine may forbid it (docs/hosts.md)",
}

// Remedy says what to do about a host that could not be asked.
func Remedy(err error) string { return cmp.Or(docker.Remedy(err), remedies[faultOf(err)]) }
