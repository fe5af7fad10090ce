package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/doctor"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// registryTimeout bounds how long one registry is asked.
const registryTimeout = 15 * time.Second

type doctorJSON struct {
	Well     bool        `json:"well"`
	Findings []checkJSON `json:"findings" nullable:"false"`
}

// examine asks every part now, also those that cost something: it reads the whole database and asks each registry.
func (s *server) examine(ctx context.Context, _ *none) (*out[doctorJSON], error) {
	all := s.checks(ctx)
	for _, f := range []doctor.Finding{doctor.Folder(s.d.DataDir), doctor.Disk(s.d.DataDir)} {
		all = append(all, checkJSON{Name: f.Name, OK: f.OK, Detail: f.Detail, Hint: f.Remedy})
	}
	all = append(all, s.checkDatabase(ctx))
	registries, err := s.checkRegistries(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, registries...)
	all = append(all, s.checkJobs()...)
	all = append(all, s.checkBackups())
	j := doctorJSON{Well: true, Findings: all}
	for _, c := range all {
		j.Well = j.Well && c.OK
	}
	return answer(j), nil
}

func (s *server) checkDatabase(ctx context.Context) checkJSON {
	if err := s.d.DB.Check(ctx); err != nil {
		return checkJSON{Name: "database", Detail: err.Error(), Hint: "stop the daemon and put the newest backup back: server restore FILE"}
	}
	return checkJSON{Name: "database", OK: true, Detail: "read whole, no damage found"}
}

// checkRegistries asks all at once; what one answers is not kept.
func (s *server) checkRegistries(ctx context.Context) ([]checkJSON, error) {
	rows, err := s.d.DB.Registries(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]checkJSON, len(rows))
	allAtOnce(len(rows), func(i int) { found[i] = s.checkRegistry(ctx, rows[i]) })
	return found, nil
}

func (s *server) checkRegistry(ctx context.Context, r store.Registry) checkJSON {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	c := checkJSON{Name: "registry:" + r.Name}
	at, err := s.d.Registries.At(ctx, r.Host)
	if err == nil {
		_, err = at.Check(ctx, "")
	}
	if refusal, ok := errors.AsType[*registry.Error](err); ok {
		c.Detail, c.Hint = refusal.Detail, refusal.Remedy()
		return c
	}
	if err != nil {
		c.Detail, c.Hint = err.Error(), "see that this machine reaches "+r.Host
		return c
	}
	c.OK, c.Detail = true, r.Host+" answers"
	return c
}

// checkJobs tells of those that are late or failed the last time.
func (s *server) checkJobs() []checkJSON {
	var found []checkJSON
	for _, st := range s.d.Scheduler.All() {
		c := checkJSON{Name: "job:" + st.Name, OK: true}
		switch {
		case st.LastError != "":
			c.OK, c.Detail = false, fmt.Sprintf("its last run, at %s, failed: %s", st.LastEnd.UTC().Format(time.RFC3339), st.LastError)
			c.Hint = "it is tried again at " + st.Next.UTC().Format(time.RFC3339) + "; the log of the daemon says more"
		case st.Overdue:
			c.OK, c.Detail, c.Hint = false, "a run that was due did not come", "start the daemon anew; the log of the daemon says more"
		case st.LastEnd.IsZero():
			c.Detail = "not run since the start; due at " + st.Next.UTC().Format(time.RFC3339)
		default:
			c.Detail = "well at " + st.LastEnd.UTC().Format(time.RFC3339)
		}
		found = append(found, c)
	}
	return found
}

func (s *server) checkBackups() checkJSON {
	c := checkJSON{Name: "backup"}
	all, err := s.d.Backups.List()
	switch {
	case err != nil:
		c.Detail, c.Hint = err.Error(), "see that "+s.d.Backups.Folder()+" may be read"
	case s.d.Backups.Late():
		c.Detail, c.Hint = "there is no backup that is young enough", "docker-watcher backup make says why"
	case len(all) == 0:
		c.OK, c.Detail = true, "there is none yet"
	default:
		c.OK, c.Detail = true, "the newest was made at "+all[0].At.UTC().Format(time.RFC3339)
	}
	return c
}
