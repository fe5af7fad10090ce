// Package adopt shows the containers that are not ours and takes some of them over: a row that names a host and a full
// container id, in a stage. Neither the look nor the adoption nor its end changes anything on an engine: all that is ever asked
// of one here is a list, an inspect and who it is.
//
// What a container would be proposed as (propose.go) and which spec it has (spec.go) are pure. An adoption is one transaction:
// projects, stages, rows and their events, or nothing. Nothing here starts by itself; an Adopter may be used by many at once.
package adopt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The refusals of this package, each with a reason in its text.
var (
	ErrNotAdoptable = errors.New("cannot be adopted")
	ErrGone         = errors.New("is not on the host by that id any more")
	ErrUnfit        = errors.New("the host cannot be acted on now")
	ErrBusy         = errors.New("something is under way on it")
	ErrNotAdopted   = errors.New("was not adopted")
	ErrInUse        = errors.New("routes lead to it")
)

const (
	// listWithin bounds what one host may take to say what it has.
	listWithin     = 20 * time.Second
	inspectsAtOnce = 8
	inspectWithin  = 10 * time.Second
	maxSkew        = time.Minute // of the engine's clock; beyond it no age can be told
	// MostAtOnce is how many containers one adoption takes at most.
	MostAtOnce = 100
)

// Hands are what others do for it; all are needed.
type Hands struct {
	// FirstLook is what one inspect tells of a container; now is the engine's clock.
	FirstLook func(c docker.Container, now time.Time) store.Instance
	// CheckSpec reports every part of a spec that no deploy would take.
	CheckSpec func(store.Spec) error
	// CheckReference reports what is wrong with an image repository and a tag or digest.
	CheckReference func(repository, tag string) error
	// Dangerous says which power over its host a spec gives to a container.
	Dangerous func(store.Spec) []string
	// Differing names the parts in which what runs is not what is wanted, without their values.
	Differing func(running, wanted store.Spec) []string
	// Follow has a container watched that has just become an instance; it does not wait.
	Follow func(hostID, containerID, instanceID string)
	// Claim keeps everybody else's hands off an instance until release is called.
	Claim func(instanceID string) (release func(), ok bool)
}

// By is who asks, and from where.
type By struct{ Actor, Addr string }

// Adopter looks at foreign containers and takes some over.
type Adopter struct {
	db    *store.DB
	fleet *docker.Fleet
	hands Hands
	self  string // full id of the container that this process runs in; empty: none
	log   *slog.Logger
}

// New joins its parts; it starts nothing. self is the full id of the container that the daemon itself runs in, if any: see Self.
func New(db *store.DB, fleet *docker.Fleet, hands Hands, self string, log *slog.Logger) *Adopter {
	return &Adopter{db: db, fleet: fleet, hands: hands, self: self, log: log}
}

// standing is a host whose engine has just said that it is the one that we know.
type standing struct {
	host   store.Host
	engine *docker.Engine
	info   docker.Info
}

// reach asks a host's engine who it is; ErrUnfit when it is not to be asked, when another answers, or when its clock tells no age.
func (a *Adopter) reach(ctx context.Context, h store.Host) (standing, error) {
	on := standing{host: h}
	if !h.DisabledSince.IsZero() {
		return on, fmt.Errorf("%w: it is disabled since %s: %w", ErrUnfit, h.DisabledSince.UTC().Format(time.RFC3339), docker.ErrAbsent)
	}
	var err error
	if on.engine, err = a.fleet.Engine(h.ID); err != nil {
		return on, err
	}
	if on.info, err = on.engine.Info(ctx); err != nil {
		return on, err
	}
	switch {
	case h.EngineID != "" && h.EngineID != on.info.EngineID, h.DataRoot != "" && h.DataRoot != on.info.DataRoot:
		return on, fmt.Errorf("%w: another engine answers than the one that we know it by", ErrUnfit)
	case on.info.Skew.Abs() > maxSkew:
		return on, fmt.Errorf("%w: its clock is off by %s", ErrUnfit, on.info.Skew.Round(time.Second))
	}
	return on, nil
}

// settled is nil for a host that is not frozen.
func settled(h store.Host) error {
	if h.FrozenSince.IsZero() {
		return nil
	}
	return fmt.Errorf("%w: it is frozen since %s: %s", ErrUnfit, h.FrozenSince.UTC().Format(time.RFC3339), h.FrozenReason)
}
