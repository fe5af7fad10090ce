package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// linkLifetime is how long a link that sets a password is good.
const linkLifetime = 72 * time.Hour

// By is who changes something, from where, and what they saw of it.
type By struct {
	Caller
	Addr string
	Seen string // the revision of the user in which they were seen: of another one nothing is done (ErrChanged); empty: whatever it is now
}

// Host is who sits at the machine of the store: the command server user.
func Host() By { return By{Caller: Caller{Actor: "host"}} }

// NewUser is a user to be made. Without a password they are invited: a one-time link sets it.
type NewUser struct {
	Name     string
	Role     store.Role            // empty: only what grants say
	Grants   map[string]store.Role // in single projects, by the id of the project
	Password string
	Provider string // the issuer by which they come in, instead of a password or a link
}

// CreateUser makes a user. Where no password was given, code is that of the link with which they set one, told once.
func (s *Service) CreateUser(ctx context.Context, n NewUser, by By) (u store.User, code string, err error) {
	now := time.Now().UTC()
	u = store.User{ID: store.NewID(), Name: cleanName(n.Name), Role: n.Role, CreatedAt: now, UpdatedAt: now}
	grants, err := grantRows(u.ID, n.Grants)
	if err := errors.Join(checkName(u.Name), checkRole(u.Role), err); err != nil {
		return store.User{}, "", err
	}
	how := "with a link to set a password"
	switch {
	case n.Provider != "":
		how = "for the identity provider"
		u.Provider = n.Provider
	case n.Password != "":
		how = "with a password"
		if u.PasswordHash, err = s.newHash(ctx, n.Password); err != nil {
			return store.User{}, "", err
		}
	default:
		code = giveLink(&u, now)
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertUser(ctx, u); err != nil {
			return err
		}
		if err := tx.SetGrants(ctx, u.ID, grants); err != nil {
			return err
		}
		e := userEvent(by, "user.created", u, fmt.Sprintf("user %s (%s) was made %s", u.Name, roleWord(u.Role), how))
		e.Data["role"], e.Data["grants"] = roleWord(u.Role), grantData(grants)
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return store.User{}, "", fmt.Errorf("create user %s: %w", u.Name, err)
	}
	return u, code, nil
}

// GiveLink gives a user a one-time link to set a password with, in place of a former one. Their password and sessions stay until it is used.
func (s *Service) GiveLink(ctx context.Context, id string, by By) (u store.User, code string, err error) {
	u, err = s.change(ctx, id, by, func(_ *store.Tx, u *store.User) (store.Event, error) {
		code = giveLink(u, time.Now().UTC())
		return userEvent(by, "user.link_made", *u, "a link that sets the password of "+u.Name+" was made"), nil
	})
	if err != nil {
		return store.User{}, "", err
	}
	return u, code, nil
}

// SpendLink sets the password of whoever the link is for, and ends their sessions. A disabled user's is good for nothing.
func (s *Service) SpendLink(ctx context.Context, code, password, addr string) (store.User, error) {
	now := time.Now().UTC()
	if ok, _ := s.throttle.allow(addr, "", now); !ok {
		return store.User{}, ErrThrottled
	}
	hash := digest(code)
	holder, err := s.db.UserByLink(ctx, hash)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && !holder.DisabledAt.IsZero():
		s.codeFailed(ctx, "password link", addr)
		return store.User{}, ErrDenied
	case err != nil:
		return store.User{}, fmt.Errorf("read the link: %w", err)
	case over(holder.LinkUntil, linkLifetime, now):
		return store.User{}, fmt.Errorf("the link has %w: ask an admin for a new one", ErrExpired)
	}
	fresh, err := s.newHash(ctx, password)
	if err != nil {
		return store.User{}, err
	}
	by := By{Caller: Caller{Actor: "user:" + holder.Name}, Addr: addr}
	return s.change(ctx, holder.ID, by, func(tx *store.Tx, u *store.User) (store.Event, error) {
		if u.LinkHash != hash || !u.DisabledAt.IsZero() { // spent, or replaced, meanwhile
			return store.Event{}, ErrDenied
		}
		return s.setPassword(ctx, tx, u, fresh, "", userEvent(by, "user.password_set", *u, u.Name+" set a password by the link that was given to them"))
	})
}

// ChangePassword changes the caller's own password and ends their other sessions.
func (s *Service) ChangePassword(ctx context.Context, by By, old, password string) error {
	u, err := s.confirmed(ctx, by, old)
	if err != nil {
		return err
	}
	fresh, err := s.newHash(ctx, password)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, u.ID, by, func(tx *store.Tx, u *store.User) (store.Event, error) {
		return s.setPassword(ctx, tx, u, fresh, by.SessionID, userEvent(by, "user.password_changed", *u, u.Name+" changed their password; other sessions were ended"))
	})
	return err
}

// Reset is how somebody is let back in.
type Reset struct {
	Password   string // empty: a link is given out
	DropFactor bool   // takes the second factor away
	Account    string // of the operating system, of who does it
}

// ResetByHost lets whoever sits at the machine back in: with a password, or with the code of a link where none is given. It enables
// the user, and takes the second factor away where asked to. A user who does not exist is store.ErrNotFound.
func (s *Service) ResetByHost(ctx context.Context, name string, r Reset) (u store.User, code string, err error) {
	u, err = s.db.UserByName(ctx, cleanName(name))
	if err != nil {
		return store.User{}, "", fmt.Errorf("reset user %s: %w", cleanName(name), err)
	}
	fresh := ""
	if r.Password != "" {
		if fresh, err = s.newHash(ctx, r.Password); err != nil {
			return store.User{}, "", err
		}
	}
	by := Host()
	u, err = s.change(ctx, u.ID, by, func(tx *store.Tx, u *store.User) (store.Event, error) {
		u.DisabledAt = time.Time{}
		if r.DropFactor {
			if err := tx.DropFactor(ctx, u.ID); err != nil {
				return store.Event{}, err
			}
		}
		e := userEvent(by, "user.reset", *u, "the way in of "+u.Name+" was reset by the command line of the host")
		e.Severity = store.SeverityWarn
		e.Data["second_factor_dropped"], e.Data["os_user"] = r.DropFactor, r.Account
		if fresh == "" {
			code = giveLink(u, time.Now().UTC())
		}
		return s.setPassword(ctx, tx, u, fresh, "", e)
	})
	return u, code, err
}

// setPassword puts a hash in place, spends a link with it, and ends the sessions but for one. An empty hash leaves the link and takes the password away.
func (s *Service) setPassword(ctx context.Context, tx *store.Tx, u *store.User, hash, but string, e store.Event) (store.Event, error) {
	u.PasswordHash = hash
	if hash != "" {
		u.LinkHash, u.LinkUntil = "", time.Time{}
	}
	ended, err := tx.DeleteSessions(ctx, u.ID, but)
	e.Data["sessions_ended"] = ended
	return e, err
}

// Disable keeps a user out: their sessions end and their tokens open nothing until they are enabled again.
func (s *Service) Disable(ctx context.Context, id string, by By) (store.User, error) {
	return s.change(ctx, id, by, func(tx *store.Tx, u *store.User) (store.Event, error) {
		if u.DisabledAt.IsZero() {
			u.DisabledAt = time.Now().UTC()
		}
		_, err := tx.DeleteSessions(ctx, u.ID, "")
		return userEvent(by, "user.disabled", *u, u.Name+" was disabled"), err
	})
}

// Enable lets a user in again.
func (s *Service) Enable(ctx context.Context, id string, by By) (store.User, error) {
	return s.change(ctx, id, by, func(_ *store.Tx, u *store.User) (store.Event, error) {
		u.DisabledAt = time.Time{}
		return userEvent(by, "user.enabled", *u, u.Name+" was enabled again"), nil
	})
}

// DeleteUser removes a user with their sessions and tokens.
func (s *Service) DeleteUser(ctx context.Context, id string, by By) error {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, id)
		if err != nil {
			return err
		}
		if err := asSeen(ctx, tx, u, by.Seen); err != nil {
			return err
		}
		if err := s.keepAnAdmin(ctx, tx, u, store.User{}); err != nil {
			return err
		}
		if err := tx.DeleteUser(ctx, id); err != nil {
			return err
		}
		return tx.Emit(ctx, userEvent(by, "user.removed", u, u.Name+" was removed, with their sessions and tokens"))
	})
	if err != nil {
		return fmt.Errorf("remove user %s: %w", id, err)
	}
	return nil
}

// change reads a user, has fn change them, and writes them with the event, in one transaction that never leaves the house without an admin.
func (s *Service) change(ctx context.Context, id string, by By, fn func(*store.Tx, *store.User) (store.Event, error)) (store.User, error) {
	var u store.User
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		before, err := tx.User(ctx, id)
		if err != nil {
			return err
		}
		if err := asSeen(ctx, tx, before, by.Seen); err != nil {
			return err
		}
		u = before
		e, err := fn(tx, &u)
		if err != nil {
			return err
		}
		if by.Actor != Host().Actor {
			if err := s.keepAnAdmin(ctx, tx, before, u); err != nil {
				return err
			}
		}
		if err := tx.UpdateUser(ctx, u); err != nil {
			return err
		}
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return store.User{}, fmt.Errorf("change user %s: %w", id, err)
	}
	return u, nil
}

// keepAnAdmin refuses a change after which nobody could administer any more. One transaction writes at a time, so of two changes
// that would each leave one admin only the first is made.
func (s *Service) keepAnAdmin(ctx context.Context, tx *store.Tx, before, after store.User) error {
	issuer, err := s.provider(ctx, tx)
	if err != nil || !administers(before, issuer) || administers(after, issuer) {
		return err
	}
	others, err := tx.OtherAdmins(ctx, before.ID, issuer)
	if err != nil {
		return err
	}
	if others == 0 {
		return ErrLastAdmin
	}
	return nil
}

// KeepAWayIn refuses a change of the identity provider, in the transaction of it, after which no admin could come in any more. Before and after are the
// issuers by which people come in; empty: by none.
func KeepAWayIn(ctx context.Context, tx *store.Tx, before, after string) error {
	had, err := tx.OtherAdmins(ctx, "", before)
	if err != nil || had == 0 {
		return err
	}
	left, err := tx.OtherAdmins(ctx, "", after)
	if err == nil && left == 0 {
		return ErrLastWayIn
	}
	return err
}

// administers tells whether somebody can come in as an admin, while people come in by the provider of this issuer, if that is not empty.
func administers(u store.User, issuer string) bool {
	provided := u.Subject != "" && u.Provider != "" && u.Provider == issuer
	return u.Role == store.RoleAdmin && u.DisabledAt.IsZero() && (u.PasswordHash != "" || provided)
}

// confirmed is the caller, after they gave their password once more. Guessing it is slowed down like a sign-in. That it was wrong is told by
// whoever knows what it was to confirm.
func (s *Service) confirmed(ctx context.Context, by By, password string) (store.User, error) {
	u, err := s.db.User(ctx, by.UserID)
	if err != nil {
		return store.User{}, fmt.Errorf("read user: %w", err)
	}
	if u.PasswordHash == "" {
		return store.User{}, ErrNoPassword
	}
	if ok, _ := s.throttle.allow(by.Addr, u.Name, time.Now().UTC()); !ok {
		return store.User{}, ErrThrottled
	}
	ok, err := s.hasher.matches(ctx, u.PasswordHash, password)
	if err != nil {
		return store.User{}, fmt.Errorf("check password: %w", err)
	}
	if !ok {
		return store.User{}, ErrWrongPassword
	}
	s.throttle.forgive(by.Addr, u.Name)
	return u, nil
}

func (s *Service) newHash(ctx context.Context, password string) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	return s.hasher.hash(ctx, password)
}

func giveLink(u *store.User, now time.Time) (code string) {
	code = randomText(20)
	u.LinkHash, u.LinkUntil = digest(code), now.Add(linkLifetime)
	return code
}

func checkRole(role store.Role) error {
	if role != "" && !role.Covers(store.RoleViewer) {
		return store.FieldError{Field: "role", Reason: "must be none, viewer, operator or admin"}
	}
	return nil
}

// roleWord is a role in the words of people.
func roleWord(r store.Role) string {
	if r == "" {
		return "none"
	}
	return string(r)
}

func userEvent(by By, kind string, u store.User, message string) store.Event {
	data := map[string]any{"user_id": u.ID, "user": u.Name}
	if by.Addr != "" {
		data["addr"] = by.Addr
	}
	return store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceAuth, Kind: kind, Message: message, Actor: by.Actor, Data: data,
	}
}
