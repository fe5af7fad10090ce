package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// scope says which of a caller's roles counts for a route.
type scope string

const (
	scopeAll   scope = ""      // the role in all projects: what a route has that says nothing else
	scopeSelf  scope = "self"  // whoever is signed in: it is about the caller alone
	scopeEnrol scope = "enrol" // as self, and open before a required second factor is set up
	scopeSome  scope = "some"  // the role in any project: its handler shows, or does, only what visible and mayIn allow

	// The role in the project of what {id} names.
	scopeProject  scope = "project"
	scopeStage    scope = "stage"
	scopeInstance scope = "instance"
	scopeDeploy   scope = "deploy"
	scopeRoute    scope = "route"
	scopeArchive  scope = "archive"
	scopePlan     scope = "plan" // in the projects of all of its items
)

// scopeOf is the scope of a route, by the id of its operation. A route that is not here needs a role in all projects.
func scopeOf(operation string) scope {
	switch operation {
	case "logout", "get-me", "offer-second-factor", "confirm-second-factor":
		return scopeEnrol
	case "change-password", "list-my-sessions", "end-my-session", "end-my-other-sessions", "make-recovery-codes", "remove-second-factor",
		"list-tokens", "create-token", "revoke-token":
		return scopeSelf
	case "list-projects", "list-stages", "list-instances", "list-stale", "list-stats", "list-archives", "list-routes", "list-events", "export-events", "stream-events",
		"overview", "create-route":
		return scopeSome
	case "get-project", "get-project-policy", "try-new-rule":
		return scopeProject
	case "get-stage", "diff-stage", "get-stage-policy", "try-rule", "list-deploys", "start-deploy", "rollback":
		return scopeStage
	case "get-instance", "remove-instance", "get-logs", "get-instance-stats", "get-instance-stats-history", "start-instance", "stop-instance",
		"restart-instance", "pin-instance", "unpin-instance", "snooze-instance", "unsnooze-instance", "cleanup-one":
		return scopeInstance
	case "get-deploy", "get-deploy-log", "cancel-deploy":
		return scopeDeploy
	case "get-route", "update-route", "delete-route", "enable-route", "disable-route", "test-route", "get-route-health":
		return scopeRoute
	case "get-archive", "get-archive-logs", "restore-archive":
		return scopeArchive
	case "get-plan", "cancel-plan":
		return scopePlan
	}
	return scopeAll
}

// powers are what a caller may: in all projects, and in single ones.
type powers struct {
	role   store.Role
	grants map[string]store.Role // by the id of the project
	enrol  bool                  // nothing yet but to set up a second factor
}

// may is the one answer to whether somebody may use a route: yes or no, by the role that it needs, its scope, and the projects that
// what it names belongs to.
func (p powers) may(need store.Role, where scope, projects []string) bool {
	switch {
	case where == scopeEnrol:
		return true
	case p.enrol:
		return false
	case where == scopeSelf, p.role.Covers(need):
		return true
	case where == scopeAll:
		return false
	case where == scopeSome:
		return slices.ContainsFunc(slices.Collect(maps.Values(p.grants)), func(r store.Role) bool { return r.Covers(need) })
	}
	return len(projects) > 0 && !slices.ContainsFunc(projects, func(id string) bool { return !p.in(id).Covers(need) })
}

// in is the role in one project.
func (p powers) in(projectID string) store.Role {
	if granted := p.grants[projectID]; granted.Covers(p.role) {
		return granted
	}
	return p.role
}

// visible are the projects whose things the caller may see; nil: all.
func (p powers) visible() store.Among {
	if p.role.Covers(viewer) {
		return nil
	}
	return slices.AppendSeq(store.Among{}, maps.Keys(p.grants))
}

// visible are the projects whose things whoever asks may see; nil: all.
func visible(ctx context.Context) store.Among { return visitOf(ctx).powers.visible() }

// roleIn is the role of whoever asks in one project.
func roleIn(ctx context.Context, projectID string) store.Role {
	return visitOf(ctx).powers.in(projectID)
}

// powersOf reads what a caller may.
func (s *server) powersOf(ctx context.Context, c auth.Caller) (powers, error) {
	p := powers{role: c.Role, enrol: c.MustEnrol}
	if c.Role.Covers(admin) {
		return p, nil // no grant adds to that
	}
	var err error
	p.grants, err = s.d.Auth.Grants(ctx, c)
	return p, err
}

// refusal is why a caller may not use a route; nil if they may. What belongs to a project that they may not see is not there for them.
func (s *server) refusal(ctx context.Context, op *huma.Operation, id string, v visit, need store.Role) *Problem {
	where := scopeOf(op.OperationID)
	var projects []string
	if !v.powers.may(need, where, nil) && len(v.powers.grants) > 0 {
		var err error
		if projects, err = s.projectsOf(ctx, where, id); err != nil && !errors.Is(err, store.ErrNotFound) {
			return problemOf(ctx, s.log, err)
		}
	}
	switch {
	case v.powers.may(need, where, projects):
		return nil
	case v.powers.enrol:
		return mustEnrol()
	case v.powers.role == "" && len(v.powers.grants) > 0 && where.named() && !v.powers.may(viewer, where, projects):
		return newProblem(http.StatusNotFound, codeNotFound, "there is no such "+string(where))
	}
	return s.forbidden(v, op.OperationID, need, "")
}

// named tells whether {id} names something that belongs to a project.
func (w scope) named() bool {
	switch w {
	case scopeProject, scopeStage, scopeInstance, scopeDeploy, scopeRoute, scopeArchive, scopePlan:
		return true
	case scopeAll, scopeSelf, scopeEnrol, scopeSome:
	}
	return false
}

// projectsOf are the projects that what {id} names belongs to.
func (s *server) projectsOf(ctx context.Context, where scope, id string) ([]string, error) {
	var projectID string
	var err error
	switch where {
	case scopeProject:
		var p store.Project
		p, err = s.findProject(ctx, id)
		projectID = p.ID
	case scopeStage:
		var st store.Stage
		st, err = s.d.DB.Stage(ctx, id)
		projectID = st.ProjectID
	case scopeInstance:
		var i store.InstanceView
		i, err = s.d.DB.Instance(ctx, id)
		projectID = i.ProjectID
	case scopeDeploy:
		var d store.Deploy
		d, err = s.d.DB.Deploy(ctx, id)
		projectID = d.ProjectID
	case scopeRoute:
		var r store.RouteView
		r, err = s.findRoute(ctx, id, false)
		projectID = r.ProjectID
	case scopeArchive:
		var a store.Archive
		a, err = s.d.DB.Archive(ctx, id)
		projectID = a.ProjectID
	case scopePlan:
		return s.projectsOfPlan(ctx, id)
	case scopeAll, scopeSelf, scopeEnrol, scopeSome:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []string{projectID}, nil
}

func (s *server) projectsOfPlan(ctx context.Context, id string) (projects []string, err error) {
	p, err := s.d.DB.Plan(ctx, id)
	for _, item := range p.Items {
		projects = append(projects, item.ProjectID)
	}
	return projects, err
}
