package api

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/routing"
)

// checkRoutes looks whether what is served is what was asked for; false: nothing serves routes here. Why it is not is for those who may see all.
func (s *server) checkRoutes() (c checkJSON, served bool) {
	r := s.d.Routes
	if r.Router == nil {
		return checkJSON{}, false
	}
	st := r.Router.State()
	c = checkJSON{Name: "routes"}
	switch driver := s.driver(); {
	case r.away() != "":
		c.Detail, c.more = "the data plane cannot be reached: it answers by what it was told last if it runs, and nothing new is served", r.away()
		c.Hint = "start it, it is found by itself: systemctl start docker-watcher-proxy, or server proxy with the same --proxy-socket and --data"
	case driver != nil && driver.Error != "":
		c.Detail, c.more, c.Hint = driver.Name+" is away since "+time.Time(driver.ErrorAt).UTC().Format(time.RFC3339)+": nothing new is served", driver.Error, driverHints[driver.Name]
	case driver != nil && driver.Drift != "":
		c.Detail, c.more = "somebody else has changed what "+driver.Name+" answers by, since "+time.Time(driver.DriftSince).UTC().Format(time.RFC3339), driver.Drift
		c.Hint = "change it back, or have it undone by itself: --proxy-drift mend"
		if driver.Mends {
			c.Hint = "it is undone by itself; if this stays, see who writes there"
		}
	case st.Error != "":
		c.Detail, c.more = "the table of routes is not applied since "+st.ErrorAt.UTC().Format(time.RFC3339)+": the former one is served", st.Error
		c.Hint = "what was saved is served when that is mended: docker-watcher proxy state says what is in the way"
	case !inStep(st):
		c.Detail, c.Hint = "what is served is not what was asked for", "docker-watcher proxy state tells of both; the log of the daemon says more"
	default:
		c.OK = true
	}
	return c, true
}

// inStep reports that the table in force is the one that was made last; before the first one is made the last good one is served.
func inStep(st routing.State) bool {
	return st.Desired == "" || st.Applied == "" || st.AppliedAt.IsZero() || st.Desired == st.Applied
}

var driverHints = map[string]string{
	"caddy":   "start Caddy, it is told anew by itself; or give its admin API by --caddy-admin",
	"traefik": "see that Traefik runs, asks " + TraefikPath + " and shows the token of --traefik-token-file (docs/routing.md)",
}
