package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// sessionLifetime is how long a browser stays signed in.
const sessionLifetime = 30 * 24 * time.Hour

// Credentials are what somebody signs in with.
type Credentials struct {
	Name     string
	Password string
	Code     string // of the second factor, or a recovery code; empty: not given yet
}

// SignIn checks a password (argon2id, a bounded number at once) and, where the user has one, the second factor, and opens a
// session; the token is shown once. ErrFactorNeeded says that the password was right and the code is missing.
func (s *Service) SignIn(ctx context.Context, c Credentials, userAgent, addr string) (token string, sess store.Session, err error) {
	name := cleanName(c.Name)
	now := time.Now().UTC()
	if ok, tell := s.throttle.allow(addr, name, now); !ok {
		if tell {
			s.loginFailed(ctx, name, addr, "too many attempts, further ones are refused")
		}
		return "", store.Session{}, ErrThrottled
	}
	user, err := s.db.UserByName(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", store.Session{}, fmt.Errorf("read user: %w", err)
	}
	ok, err := s.hasher.matches(ctx, user.PasswordHash, c.Password)
	if err != nil {
		return "", store.Session{}, fmt.Errorf("check password: %w", err)
	}
	if !ok {
		s.loginFailed(ctx, name, addr, "wrong name or password")
		return "", store.Session{}, ErrDenied
	}
	if !user.DisabledAt.IsZero() { // after the work of a check: the answer comes no sooner, and in the same words
		s.loginFailed(ctx, name, addr, "the user is disabled")
		return "", store.Session{}, ErrDenied
	}
	if err := s.checkFactor(ctx, user, c.Code, addr, now); err != nil {
		return "", store.Session{}, err
	}
	s.throttle.forgive(addr, name)
	return s.openSession(ctx, user, userAgent, addr, "")
}

// openSession signs a user in who has shown who they are. How says by what, where it was not a password.
func (s *Service) openSession(ctx context.Context, user store.User, userAgent, addr, how string) (token string, sess store.Session, err error) {
	now := time.Now().UTC()
	token = randomText(30)
	sess = store.Session{
		ID: store.NewID(), UserID: user.ID, TokenHash: digest(token), UserAgent: clip(userAgent, 200), Addr: addr,
		CreatedAt: now, ExpiresAt: now.Add(sessionLifetime), SeenAt: now,
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteExpiredSessions(ctx, now); err != nil {
			return err
		}
		if err := tx.InsertSession(ctx, sess); err != nil {
			return err
		}
		if err := tx.NoteSignIn(ctx, user.ID, now); err != nil {
			return err
		}
		return tx.Emit(ctx, store.Event{
			Time: now, Severity: store.SeverityInfo, Source: store.SourceAuth, Kind: "auth.login", Actor: "user:" + user.Name,
			Message: fmt.Sprintf("%s signed in from %s%s", user.Name, NetworkOf(addr), how), Data: map[string]any{"addr": addr, "user_agent": sess.UserAgent},
		})
	})
	if err != nil {
		return "", store.Session{}, fmt.Errorf("open session: %w", err)
	}
	return token, sess, nil
}

// Logout ends the session by which somebody asks; one that has ended already is no error.
func (s *Service) Logout(ctx context.Context, by By) error {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, by.UserID)
		if err != nil {
			return err
		}
		if err := tx.DeleteSession(ctx, by.SessionID); err != nil {
			return err
		}
		return tx.Emit(ctx, userEvent(by, "session.ended", u, u.Name+" signed out"))
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// BySession tells who a caller is; ErrDenied or ErrExpired otherwise.
func (s *Service) BySession(ctx context.Context, token string) (Caller, error) {
	if token == "" {
		return Caller{}, ErrDenied
	}
	sess, user, err := s.db.SessionByHash(ctx, digest(token))
	if errors.Is(err, store.ErrNotFound) || err == nil && !user.DisabledAt.IsZero() {
		return Caller{}, ErrDenied
	}
	if err != nil {
		return Caller{}, fmt.Errorf("read session: %w", err)
	}
	now := time.Now().UTC()
	if over(sess.ExpiresAt, sessionLifetime, now) {
		return Caller{}, fmt.Errorf("the session has %w: sign in again", ErrExpired)
	}
	enrol, err := s.mustEnrol(ctx, user)
	if err != nil {
		return Caller{}, err
	}
	s.touchSession(ctx, sess, now)
	caller := Caller{Actor: "user:" + user.Name, Name: user.Name, Role: user.Role, SessionID: sess.ID, UserID: user.ID, MustEnrol: enrol}
	if enrol {
		caller.Role = ""
	}
	return caller, nil
}

// over reports whether what lasts so long from when it was given, until an end, is good for nothing now: that has come, or lies further ahead than anything that
// was given by now, for the clock ran ahead then and would make it last as much longer.
func over(until time.Time, lasts time.Duration, now time.Time) bool {
	return !now.Before(until) || store.DatedAhead(until, now.Add(lasts))
}

// touchSession notes that a session was used. That it could not be written keeps nobody out.
func (s *Service) touchSession(ctx context.Context, sess store.Session, now time.Time) {
	if !s.touchDue(sess.ID, sess.SeenAt, now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, touchTimeout)
	defer cancel()
	err := s.db.Update(ctx, func(tx *store.Tx) error { return tx.TouchSession(ctx, sess.ID, now) })
	if err != nil && !errors.Is(err, store.ErrNotFound) { // it ended at this moment
		s.log.Warn("last use of a session was not written", "session", sess.ID, "error", err)
	}
}

// Sessions are where a user is signed in, the one seen last first.
func (s *Service) Sessions(ctx context.Context, userID string) ([]store.Session, error) {
	return s.db.Sessions(ctx, userID, time.Now())
}

// EndSession ends one session of a user.
func (s *Service) EndSession(ctx context.Context, userID, sessionID string, by By) error {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, userID)
		if err != nil {
			return err
		}
		open, err := tx.Sessions(ctx, userID, time.Now())
		if err != nil {
			return err
		}
		for _, sess := range open {
			if sess.ID != sessionID {
				continue
			}
			if err := tx.DeleteSession(ctx, sessionID); err != nil {
				return err
			}
			return tx.Emit(ctx, userEvent(by, "session.ended", u, fmt.Sprintf("a session of %s, opened from %s, was ended", u.Name, NetworkOf(sess.Addr))))
		}
		return store.ErrNotFound
	})
	if err != nil {
		return fmt.Errorf("end session %s: %w", sessionID, err)
	}
	return nil
}

// EndSessions ends every session of a user but for the one that asks, and tells how many.
func (s *Service) EndSessions(ctx context.Context, userID string, by By) (ended int, err error) {
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, userID)
		if err != nil {
			return err
		}
		if ended, err = tx.DeleteSessions(ctx, userID, by.SessionID); err != nil || ended == 0 {
			return err
		}
		e := userEvent(by, "session.ended", u, fmt.Sprintf("%d sessions of %s were ended", ended, u.Name))
		e.Data["sessions_ended"] = ended
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return 0, fmt.Errorf("end the sessions of user %s: %w", userID, err)
	}
	return ended, nil
}

// clip bounds what a stranger can have us keep.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 { // not inside a character
		limit--
	}
	return s[:limit]
}
