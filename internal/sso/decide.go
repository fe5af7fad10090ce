package sso

import (
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Identity is what the provider tells of somebody who signed in there.
type Identity struct {
	Issuer   string
	Subject  string
	Name     string // what they are called here
	Email    string
	Verified bool // the provider knows that the address is theirs
	Groups   []string
}

// Verdict is what somebody may, by the groups that they are in.
type Verdict struct {
	Mapped bool // the rules say it; false: an admin does, for each user
	Role   store.Role
	Grants map[string]store.Role // by the id of the project
}

// Decide says whether somebody may come in, and what the rules give them. Of several rules the highest role counts.
func Decide(p Provider, who Identity) (Verdict, error) {
	if !p.allows(who) {
		return Verdict{}, ErrNotAllowed
	}
	v := Verdict{Mapped: len(p.Rules) > 0, Grants: map[string]store.Role{}}
	for _, r := range p.Rules {
		if !slices.Contains(who.Groups, r.Group) {
			continue
		}
		if r.ProjectID == "" {
			v.Role = higher(v.Role, r.Role)
			continue
		}
		v.Grants[r.ProjectID] = higher(v.Grants[r.ProjectID], r.Role)
	}
	return v, nil
}

func (p Provider) allows(who Identity) bool {
	if len(p.AllowedGroups) == 0 && len(p.AllowedDomains) == 0 {
		return true
	}
	if slices.ContainsFunc(p.AllowedGroups, func(g string) bool { return slices.Contains(who.Groups, g) }) {
		return true
	}
	_, domain, found := strings.Cut(strings.ToLower(who.Email), "@")
	return found && who.Verified && slices.Contains(p.AllowedDomains, domain)
}

func higher(a, b store.Role) store.Role {
	if a.Covers(b) {
		return a
	}
	return b
}

// identityOf reads the claims of a token.
func identityOf(p Provider, issuer, subject string, claims map[string]any) Identity {
	text := func(name string) string { s, _ := claims[name].(string); return s }
	who := Identity{Issuer: issuer, Subject: subject, Email: text("email"), Groups: groupsIn(claims[or(p.GroupsClaim, "groups")])}
	switch verified := claims["email_verified"].(type) {
	case bool:
		who.Verified = verified
	case string: // some providers write it so
		who.Verified = verified == "true"
	}
	if p.NameClaim != "" {
		if p.NameClaim != "email" || who.Verified {
			who.Name = text(p.NameClaim)
		}
		return who
	}
	who.Name = text("preferred_username")
	if who.Name == "" && who.Verified { // an address that nobody has proven would be a name that anybody can take
		who.Name = who.Email
	}
	return who
}

// groupsIn reads a claim that is a list of texts, or one text.
func groupsIn(claim any) (groups []string) {
	switch c := claim.(type) {
	case string:
		return []string{c}
	case []any:
		for _, g := range c {
			if s, ok := g.(string); ok {
				groups = append(groups, s)
			}
		}
	}
	return groups
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
