package api

import (
	"context"
	"errors"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/hosts"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type hostJSON struct {
	ID               string        `json:"id"`
	Name             string        `json:"name"`
	Endpoint         string        `json:"endpoint"`
	EngineID         string        `json:"engine_id,omitempty" doc:"as the engine says; two engines can share one"`
	DataRoot         string        `json:"data_root,omitempty"`
	Version          string        `json:"version,omitempty" doc:"of the engine"`
	APIVersion       string        `json:"api_version,omitempty" doc:"negotiated"`
	OS               string        `json:"os,omitempty"`
	Arch             string        `json:"arch,omitempty"`
	ReachedBy        reachedByJSON `json:"reached_by"`
	Managed          bool          `json:"managed" doc:"it is the host of --docker-host: only that flag changes how it is reached"`
	DisabledSince    moment        `json:"disabled_since" doc:"it is not asked, judged or acted on; null: it is in use"`
	Revision         int64         `json:"revision"`
	Reachable        bool          `json:"reachable" doc:"asked now"`
	Error            string        `json:"error,omitempty" doc:"why it is not reachable"`
	Hint             string        `json:"hint,omitempty" doc:"what to do about it"`
	ClockSkewMS      int64         `json:"clock_skew_ms" doc:"the engine's clock minus ours; above 60 s cleanups are held back"`
	StreamAgeSeconds int64         `json:"stream_age_seconds" doc:"how long the event stream has been unbroken; 0: it is down"`
	LastScanAt       moment        `json:"last_scan_at" doc:"good or bad"`
	LastGoodScanAt   moment        `json:"last_good_scan_at"`
	Frozen           bool          `json:"frozen" doc:"verdicts and cleanups are held back"`
	FrozenSince      moment        `json:"frozen_since"`
	FrozenReason     string        `json:"frozen_reason,omitempty"`
	AutoHeld         string        `json:"auto_held,omitempty" doc:"why automatic cleanup does nothing on it"`
	AutoHeldSince    moment        `json:"auto_held_since"`
	KnownSince       stamp         `json:"known_since" doc:"nobody watched it before"`
	Uses             hostUsesJSON  `json:"uses"`
	BlindIntervals   []blindJSON   `json:"blind_intervals" nullable:"false" doc:"of the last 30 days"`
}

// hostUsesJSON is what names a host: while anything does, it cannot be removed.
type hostUsesJSON struct {
	Instances int `json:"instances"`
	Stages    int `json:"stages"`
	Archives  int `json:"archives" doc:"of removed instances, to be restored there"`
	Plans     int `json:"plans" doc:"that can still be applied, or are"`
	UnderWay  int `json:"under_way" doc:"deploys, and cleanups and restores that have not ended"`
}

type blindJSON struct {
	From   stamp  `json:"from"`
	To     moment `json:"to" doc:"null: still blind"`
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

const (
	blindShown  = 30 * 24 * time.Hour
	pingTimeout = 3 * time.Second
)

func (s *server) listHosts(ctx context.Context, _ *none) (*out[list[hostJSON]], error) {
	all, err := s.d.DB.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	items, errs := make([]hostJSON, len(all)), make([]error, len(all))
	allAtOnce(len(all), func(i int) { items[i], errs[i] = s.hostOf(ctx, all[i]) })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return answer(list[hostJSON]{Items: items}), nil
}

// allAtOnce calls do for 0..n-1, so that of many that are waited for none waits for another.
func allAtOnce(n int, do func(i int)) {
	var wg guard.Group
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

func (s *server) getHost(ctx context.Context, in *ByID) (*versioned[hostJSON], error) {
	h, err := s.d.DB.Host(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	item, err := s.hostOf(ctx, h)
	if err != nil {
		return nil, err
	}
	return atRevision(item, h.Revision), nil
}

// hostOf tells what is known of a host, and asks its engine now.
func (s *server) hostOf(ctx context.Context, h store.Host) (hostJSON, error) {
	blind, err := s.d.DB.BlindIntervals(ctx, h.ID, time.Now().Add(-blindShown))
	if err != nil {
		return hostJSON{}, err
	}
	use, err := s.d.DB.UseOfHost(ctx, h.ID, time.Now())
	if err != nil {
		return hostJSON{}, err
	}
	j := hostJSON{
		Uses: hostUsesJSON{Instances: use.Instances, Stages: use.Stages, Archives: use.Archives, Plans: use.Plans, UnderWay: use.Deploys + use.Removals},
		ID:   h.ID, Name: h.Name, Endpoint: h.Endpoint, EngineID: h.EngineID, DataRoot: h.DataRoot, Version: h.EngineVersion,
		ReachedBy: reachedBy(h), Managed: h.Name == store.LocalHost, DisabledSince: moment(h.DisabledSince), Revision: h.Revision,
		APIVersion: h.APIVersion, OS: h.OS, Arch: h.Arch, ClockSkewMS: h.ClockSkew.Milliseconds(),
		LastScanAt: moment(h.LastScanAt), LastGoodScanAt: moment(h.LastGoodScan),
		Frozen: !h.FrozenSince.IsZero(), FrozenSince: moment(h.FrozenSince), FrozenReason: h.FrozenReason,
		AutoHeld: h.AutoHeld, AutoHeldSince: moment(h.AutoHeldSince), KnownSince: stamp(h.CreatedAt),
		BlindIntervals: make([]blindJSON, 0, len(blind)),
	}
	for _, b := range blind {
		j.BlindIntervals = append(j.BlindIntervals, blindOf(b))
	}
	if h.DisabledSince.IsZero() {
		s.askHost(ctx, h.ID, &j)
	} else {
		j.Error, j.Hint = "it is disabled since "+h.DisabledSince.UTC().Format(time.RFC3339), hintDisabled
	}
	return j, nil
}

func (s *server) askHost(ctx context.Context, id string, j *hostJSON) {
	engine, err := s.reach(ctx, id)
	if err != nil {
		j.Error, j.Hint = err.Error(), hosts.Remedy(err)
	} else {
		j.Reachable = true
	}
	if engine == nil {
		return
	}
	j.StreamAgeSeconds = int64(engine.StreamAge().Seconds())
	if skew, ok := engine.Skew(); ok {
		j.ClockSkewMS = skew.Milliseconds()
	}
}

// reach asks an engine whether it is there.
func (s *server) reach(ctx context.Context, hostID string) (*docker.Engine, error) {
	engine, err := s.d.Fleet.Engine(hostID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return engine, engine.Ping(ctx)
}
