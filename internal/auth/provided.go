package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Provided is somebody whom an identity provider has vouched for.
type Provided struct {
	Issuer, Subject, Name string
	// Mapped: the provider's groups say what they may, at each sign-in anew. Else an admin does.
	Mapped bool
	Role   store.Role
	Grants map[string]store.Role // by the id of the project
	Create bool                  // whoever is not known is made a user
}

// SignInProvided opens a session for somebody whom an identity provider has vouched for. They are known by issuer and subject; the
// first time, by a user of their name whom an admin made for that provider, and else made where Create says so. A user of that name
// who comes in by a password is never taken over.
func (s *Service) SignInProvided(ctx context.Context, p Provided, userAgent, addr string) (token string, sess store.Session, err error) {
	p.Name = cleanName(p.Name)
	u, err := s.provided(ctx, p, addr)
	if err == nil && !u.DisabledAt.IsZero() {
		err = ErrDenied
	}
	if err != nil {
		if errors.Is(err, ErrDenied) || errors.Is(err, ErrNameTaken) || errors.Is(err, ErrNotInvited) || errors.Is(err, ErrInvalid) {
			s.loginFailed(ctx, cmp.Or(u.Name, p.Name), addr, "the identity provider vouches for them, but "+err.Error())
		}
		return "", store.Session{}, err
	}
	return s.openSession(ctx, u, userAgent, addr, " by the identity provider")
}

// MayBeginProvided tells whether a sign-in by an identity provider may begin, and counts it: not where too many from this address have.
func (s *Service) MayBeginProvided(ctx context.Context, addr string) bool {
	ok, tell := s.throttle.allowBegin(addr, time.Now().UTC())
	if tell {
		s.loginFailed(ctx, "", addr, "too many were begun by the identity provider, further ones are refused")
	}
	return ok
}

// RefuseProvided tells of a sign-in by an identity provider that came to nothing before SignInProvided, or counts it, for anybody can
// have that happen. The name is what the provider calls them, empty where it told none.
func (s *Service) RefuseProvided(ctx context.Context, name, addr, why string) (told bool) {
	return s.loginFailed(ctx, cleanName(name), addr, why)
}

func (s *Service) provided(ctx context.Context, p Provided, addr string) (store.User, error) {
	if p.Subject == "" {
		return store.User{}, ErrDenied
	}
	u, err := s.db.UserBySubject(ctx, p.Issuer, p.Subject)
	if errors.Is(err, store.ErrNotFound) {
		u, err = s.meet(ctx, p, By{Caller: Caller{Actor: "user:" + p.Name}, Addr: addr})
	}
	if err != nil || !p.Mapped || !u.DisabledAt.IsZero() {
		return u, err
	}
	// Not by what the provider calls them now: here somebody else may be called so.
	return s.applyMapping(ctx, u, p, By{Caller: Caller{Actor: "user:" + u.Name}, Addr: addr})
}

// meet makes somebody known who comes in for the first time.
func (s *Service) meet(ctx context.Context, p Provided, by By) (store.User, error) {
	if err := checkName(p.Name); err != nil {
		return store.User{}, err
	}
	known, err := s.db.UserByName(ctx, p.Name)
	switch {
	case err == nil && known.Provider == p.Issuer && known.Subject == "":
		return s.change(ctx, known.ID, by, func(_ *store.Tx, u *store.User) (store.Event, error) {
			if u.Provider != p.Issuer || u.Subject != "" {
				return store.Event{}, ErrNameTaken
			}
			u.Subject = p.Subject
			return userEvent(by, "user.linked", *u, u.Name+" came in by the identity provider for the first time"), nil
		})
	case err == nil:
		return store.User{}, ErrNameTaken
	case !errors.Is(err, store.ErrNotFound):
		return store.User{}, fmt.Errorf("read user: %w", err)
	case !p.Create:
		return store.User{}, ErrNotInvited
	}
	now := time.Now().UTC()
	u := store.User{ID: store.NewID(), Name: p.Name, Provider: p.Issuer, Subject: p.Subject, CreatedAt: now, UpdatedAt: now}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertUser(ctx, u); err != nil {
			return err
		}
		return tx.Emit(ctx, userEvent(by, "user.created", u, u.Name+" was made a user at the first sign-in by the identity provider"))
	})
	if errors.Is(err, store.ErrConflict) {
		return store.User{}, ErrNameTaken
	}
	if err != nil {
		return store.User{}, fmt.Errorf("create user %s: %w", u.Name, err)
	}
	return u, nil
}

// applyMapping gives a user what their groups say, if that is not what they have. The last admin stays one, whatever the groups say:
// nobody else could mend the rules.
func (s *Service) applyMapping(ctx context.Context, u store.User, p Provided, by By) (store.User, error) {
	rows, err := s.db.Grants(ctx, u.ID)
	if err != nil {
		return store.User{}, err
	}
	if p.Grants, err = s.ofProjectsThatAreThere(ctx, p.Grants); err != nil {
		return store.User{}, err
	}
	same := u.Role == p.Role && len(rows) == len(p.Grants)
	for _, g := range rows {
		same = same && p.Grants[g.ProjectID] == g.Role
	}
	if same {
		return u, nil
	}
	changed, err := s.ChangePowers(ctx, u.ID, Change{Role: &p.Role, Grants: p.Grants}, by)
	if errors.Is(err, ErrLastAdmin) {
		s.log.Warn("the groups of the last admin no longer make them one: they stay one", "user", u.Name)
		return u, nil
	}
	return changed, err
}

// ofProjectsThatAreThere leaves out what rules say of projects that were removed since.
func (s *Service) ofProjectsThatAreThere(ctx context.Context, grants map[string]store.Role) (map[string]store.Role, error) {
	there := map[string]store.Role{}
	for id, role := range grants {
		_, err := s.db.Project(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read a project of the rules: %w", err)
		}
		there[id] = role
	}
	return there, nil
}
