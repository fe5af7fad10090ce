package api

import (
	"context"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// scope says which of a caller's roles counts for a route.
type scope string

const (
	scopeAll   scope = ""      // the role in all projects: what a route has that says nothing else
	scopeSelf  scope = "self"  // whoever is signed in: it is about the caller alone
	scopeEnrol scope = "enrol" // as self, and open before a required second factor is set up
)

// scopeOf is the scope of a route, by the id of its operation. A route that is not here needs a role in all projects.
func scopeOf(operation string) scope {
	switch operation {
	case "logout", "get-me", "offer-second-factor", "confirm-second-factor":
		return scopeEnrol
	case "change-password", "list-my-sessions", "end-my-session", "end-my-other-sessions", "make-recovery-codes", "remove-second-factor",
		"list-tokens", "create-token", "revoke-token":
		return scopeSelf
	}
	return scopeAll
}

// powers are what a caller may: in all projects, and in single ones.
type powers struct {
	role   store.Role
	grants map[string]store.Role // by the id of the project
	enrol  bool                  // nothing yet but to set up a second factor
}

// may is the one answer to whether somebody may use a route.
func (p powers) may(need store.Role, where scope) bool {
	switch {
	case where == scopeEnrol:
		return true
	case p.enrol:
		return false
	case where == scopeSelf:
		return true
	}
	return p.role.Covers(need)
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
