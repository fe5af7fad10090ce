package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/doctor"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type doctorJSON struct {
	Well     bool          `json:"well" doc:"nothing is wrong; there may be something to do all the same"`
	Findings []findingJSON `json:"findings" nullable:"false"`
}

// The severities of what is found.
const (
	findOK    = "ok"
	findInfo  = "info"
	findWarn  = "warn"
	findError = "error"
)

type findingJSON struct {
	Name     string `json:"name" doc:"what was looked at"`
	Severity string `json:"severity" enum:"ok,info,warn,error" doc:"info: nothing is wrong yet, and there is something to do; warn: the rest goes on; error: something cannot do its work"`
	OK       bool   `json:"ok" doc:"nothing is wrong: ok or info"`
	Detail   string `json:"detail,omitempty" doc:"what was found"`
	Hint     string `json:"hint,omitempty" doc:"what to do about it"`
}

// found is a finding of the severity that it has when something is wrong; info counts as nothing wrong.
func found(c checkJSON, wrong string) findingJSON {
	f := findingJSON{Name: c.Name, Severity: findOK, OK: c.OK, Detail: c.whole(), Hint: c.Hint}
	switch {
	case !c.OK:
		f.Severity = wrong
	case c.Hint != "":
		f.Severity = findInfo
	}
	return f
}

func foundAll(checks []checkJSON, wrong string) (all []findingJSON) {
	for _, c := range checks {
		all = append(all, found(c, wrong))
	}
	return all
}

// examine asks every part now, also those that cost something: it reads the whole database and asks each registry. One does so at a time.
func (s *server) examine(ctx context.Context, _ *none) (*out[doctorJSON], error) {
	if !s.examining.TryLock() {
		return nil, newProblem(http.StatusConflict, codeBusy, "the doctor is looking at everything for somebody already, and nothing was looked at again").
			hint("ask again when that has ended: with a large database it takes a while")
	}
	defer s.examining.Unlock()
	checks := s.checks(ctx)
	s.askEngines(ctx, checks)
	all := foundAll(checks, findError)
	stoodOn := append([]doctor.Finding{doctor.Folder(s.d.DataDir), doctor.Disk(s.d.DataDir), doctor.Key(s.d.DB.CheckKey(ctx))}, s.checkPorts(ctx)...)
	for _, f := range stoodOn {
		all = append(all, found(checkOf(f), findError))
	}
	all = append(all, found(s.checkDatabase(ctx), findError))
	registries, err := s.checkRegistries(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, foundAll(registries, findWarn)...)
	all = append(all, s.checkJobs(ctx)...)
	all = append(all, found(s.checkBackups(), findWarn))
	j := doctorJSON{Well: true, Findings: all}
	for _, c := range all {
		j.Well = j.Well && c.OK
	}
	return answer(j), nil
}

// checkOf is what server doctor finds, as the running daemon tells it.
func checkOf(f doctor.Finding) checkJSON {
	return checkJSON{Name: f.Name, OK: f.OK, Detail: f.Detail, Hint: f.Remedy}
}

// askEngines says of engines that are well who they are, and whether their clocks are right.
func (s *server) askEngines(ctx context.Context, checks []checkJSON) {
	all, err := s.d.DB.Hosts(ctx)
	if err != nil {
		return // that is told by another finding
	}
	allAtOnce(len(all), func(i int) {
		engine, err := s.d.Fleet.Engine(all[i].ID)
		if err != nil {
			return // it is disabled, or told already
		}
		for n := range checks {
			if c := &checks[n]; c.Name == "engine:"+all[i].Name && c.OK {
				name := c.Name
				*c = checkOf(doctor.Ask(ctx, engine))
				c.Name = name
			}
		}
	})
}

// checkPorts looks whether this process serves routes where it is to. Another process may be in a network of its own: that it is there is told
// by the check of the routes.
func (s *server) checkPorts(ctx context.Context) (all []doctor.Finding) {
	if s.d.Routes.Driver != nil || s.d.Routes.Apart != nil {
		return nil
	}
	http, https := s.d.Routes.listen()
	if http != "" {
		all = append(all, doctor.Serves(ctx, "routes", http))
	}
	if https != "" {
		all = append(all, doctor.Serves(ctx, "routes over TLS", https))
	}
	return all
}

func (s *server) checkDatabase(ctx context.Context) checkJSON {
	return databaseCheck(s.d.DB.Check(ctx), s.d.Backups.RestoreCommand)
}

// databaseCheck tells damage from a check that came to no end. Only damage is a reason to put a backup back, which loses what was written since.
func databaseCheck(err error, restore func(file string) string) checkJSON {
	switch {
	case err == nil:
		return checkJSON{Name: "database", OK: true, Detail: "read whole, no damage found"}
	case errors.Is(err, store.ErrCorrupt):
		return checkJSON{Name: "database", Detail: err.Error(), Hint: "stop the daemon and put the newest backup back: " + restore("FILE")}
	default:
		return checkJSON{
			Name: "database", Detail: "it could not be checked, which says nothing of damage: " + err.Error(),
			Hint: "see that the database can be reached and that its disk has room, then have it checked anew; put no backup back for this",
		}
	}
}

// failingRuns in a row are no passing thing; selfwatch tells of them as an error too.
const failingRuns = 3

// minuteUTC is how a finding writes a moment: people read it, and one machine's local time is not another's.
const minuteUTC = "2006-01-02 15:04 UTC"

// checkJobs tells of those that are late or failed the last time.
func (s *server) checkJobs(ctx context.Context) []findingJSON {
	var all []findingJSON
	for _, st := range s.d.Scheduler.All() {
		c := checkJSON{Name: "job:" + st.Name, OK: true}
		switch {
		case st.LastError != "":
			c.OK, c.Detail = false, fmt.Sprintf("its last try failed (%d in a row): %s", st.Failures, st.LastError)
			c.Hint = "it runs again at " + st.Next.UTC().Format(minuteUTC) + "; the log of the daemon says more"
		case st.Overdue:
			c.OK, c.Detail = false, "what was due did not come, or does not end"+s.lateOn(ctx, st.Name)
			c.Hint = "start the daemon anew; the log of the daemon says more, and docker-watcher jobs how each host does"
		case st.LastEnd.IsZero():
			c.Detail = "not run since the start; due at " + st.Next.UTC().Format(minuteUTC)
		default:
			c.Detail = "well at " + st.LastEnd.UTC().Format(minuteUTC)
		}
		wrong := findWarn
		if st.Overdue || st.Failures >= failingRuns {
			wrong = findError
		}
		all = append(all, found(c, wrong))
	}
	return all
}

// lateOn names the hosts on which the work of a job is late; empty: none, or it is not done on hosts.
func (s *server) lateOn(ctx context.Context, job string) string {
	hosts, err := s.d.DB.Hosts(ctx)
	if err != nil {
		return "" // that is told by another finding
	}
	var names []string
	works := s.worksOf(job)
	for _, h := range hosts {
		if works[h.ID].Overdue {
			names = append(names, h.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " on " + strings.Join(names, ", ")
}

func (s *server) checkBackups() checkJSON {
	c := checkJSON{Name: "backup"}
	folder := doctor.BackupFolder(s.d.Backups.Folder())
	all, err := s.d.Backups.List()
	all = backup.Dated(all, time.Now())
	switch {
	case !folder.OK:
		c.Detail, c.Hint = folder.Detail, folder.Remedy
	case err != nil:
		c.Detail, c.Hint = err.Error(), "see that "+s.d.Backups.Folder()+" may be read"
	case s.d.Backups.Late():
		c.Detail, c.Hint = "there is no backup that is young enough", "make one, or hear why that fails: docker-watcher backup make"
	case len(all) == 0:
		c.OK, c.Detail, c.Hint = true, "there is none yet", "make one: docker-watcher backup make"
	default:
		c.OK, c.Detail = true, "the newest was made at "+all[0].At.UTC().Format(minuteUTC)
	}
	return c
}
