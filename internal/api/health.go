package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/hosts"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type livenessJSON struct {
	Status  string `json:"status" enum:"ok"`
	Version string `json:"version"`
}

func (s *server) health(context.Context, *none) (*out[livenessJSON], error) {
	return answer(livenessJSON{Status: "ok", Version: s.d.Version}), nil
}

type readinessJSON struct {
	Ready  bool        `json:"ready"`
	Checks []checkJSON `json:"checks" nullable:"false"`
}

type checkJSON struct {
	Name   string `json:"name" doc:"store, scan, routes, or engine:<name of the host>"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty" doc:"what is wrong"`
	Hint   string `json:"hint,omitempty" doc:"what to do about it"`

	more string // of what is wrong, with addresses and names of others: not for strangers
}

type readinessOut struct {
	Status int
	Body   readinessJSON
}

// readiness asks every part now. It is 503 while one of them cannot do its work;
// the daemon serves all the same and recovers by itself. Anyone may ask; who may read everything is told all.
func (s *server) readiness(ctx context.Context, _ *none) (*readinessOut, error) {
	seesAll := visitOf(ctx).caller.Role.Covers(viewer)
	checks := s.checks(ctx)
	o := &readinessOut{Status: http.StatusOK, Body: readinessJSON{Ready: true, Checks: checks}}
	for i := range checks {
		if !checks[i].OK {
			o.Status, o.Body.Ready = http.StatusServiceUnavailable, false
		}
		if seesAll {
			checks[i].Detail = checks[i].whole()
		}
	}
	return o, nil
}

// whole is all that is known of what is wrong.
func (c checkJSON) whole() string {
	if c.more == "" {
		return c.Detail
	}
	return c.Detail + ": " + c.more
}

func (s *server) checks(ctx context.Context) []checkJSON {
	if err := s.d.DB.Ping(ctx); err != nil {
		s.log.WarnContext(ctx, "store does not answer", "error", err)
		return []checkJSON{{
			Name: "store", Detail: "the database does not answer",
			Hint: "see that the data folder's disk has room and may be written; the log of the daemon says more",
		}}
	}
	checks := []checkJSON{{Name: "store", OK: true}}
	all, err := s.d.DB.Hosts(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "hosts could not be read", "error", err)
		return append(checks, checkJSON{Name: "hosts", Detail: "the hosts could not be read", Hint: "the log of the daemon says more"})
	}
	engines := make([]checkJSON, len(all))
	allAtOnce(len(all), func(i int) { engines[i] = s.checkEngine(ctx, all[i]) })
	checks = append(append(checks, engines...), s.checkScan())
	if c, served := s.checkRoutes(); served {
		checks = append(checks, c)
	}
	return checks
}

// checkEngine is not well either while an engine that answers cannot be judged: a cleaner that has
// stopped in silence looks like one that finds nothing.
func (s *server) checkEngine(ctx context.Context, h store.Host) checkJSON {
	c := checkJSON{Name: "engine:" + h.Name}
	if !h.DisabledSince.IsZero() {
		c.OK, c.Detail = true, "disabled since "+h.DisabledSince.UTC().Format(time.RFC3339)
		return c
	}
	_, err := s.reach(ctx, h.ID)
	switch {
	case err != nil:
		c.Detail, c.more, c.Hint = "the engine could not be asked", err.Error(), hosts.Remedy(err)
	case !h.FrozenSince.IsZero():
		c.Detail = fmt.Sprintf("frozen since %s (%s): nothing is judged or cleaned up there", h.FrozenSince.UTC().Format(time.RFC3339), h.FrozenReason)
		c.Hint = "look at the host; if all is as it should be, an admin ends the freeze: docker-watcher hosts accept " + h.Name
	case h.LastScanAt.After(h.LastGoodScan):
		c.Detail = "the last scan could not judge it, at " + h.LastScanAt.UTC().Format(time.RFC3339)
		c.Hint = "it is tried again every minute; docker-watcher events says why, docker-watcher stale scan tries now"
	default:
		c.OK = true
	}
	return c
}

func (s *server) checkScan() checkJSON {
	c := checkJSON{Name: "scan", OK: true}
	if s.d.Scheduler == nil {
		return c
	}
	if st, ok := s.d.Scheduler.Status(ScanJob); ok && st.Overdue {
		c.OK, c.Detail = false, "a scan that was due did not come: what became stale since is not seen"
		c.Hint = "start a scan by hand (POST /api/containers/stale/scan) and see what it answers"
	}
	return c
}
