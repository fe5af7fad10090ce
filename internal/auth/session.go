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

// Login checks a password (argon2id, a bounded number at once) and opens a session; the token is shown once.
func (s *Service) Login(ctx context.Context, name, password, userAgent, addr string) (token string, sess store.Session, err error) {
	name = cleanName(name)
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
	ok, err := s.hasher.matches(ctx, user.PasswordHash, password)
	if err != nil {
		return "", store.Session{}, fmt.Errorf("check password: %w", err)
	}
	if !ok {
		s.loginFailed(ctx, name, addr, "wrong name or password")
		return "", store.Session{}, ErrDenied
	}
	s.throttle.forgive(addr, name)
	token = randomText(30)
	sess = store.Session{
		ID: store.NewID(), UserID: user.ID, TokenHash: digest(token), UserAgent: clip(userAgent, 200), Addr: addr,
		CreatedAt: now, ExpiresAt: now.Add(sessionLifetime),
	}
	if err := s.openSession(ctx, user, sess); err != nil {
		return "", store.Session{}, fmt.Errorf("open session: %w", err)
	}
	return token, sess, nil
}

func (s *Service) openSession(ctx context.Context, user store.User, sess store.Session) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteExpiredSessions(ctx, sess.CreatedAt); err != nil {
			return err
		}
		if err := tx.InsertSession(ctx, sess); err != nil {
			return err
		}
		return tx.Emit(ctx, store.Event{
			Time: sess.CreatedAt, Severity: store.SeverityInfo, Source: store.SourceAuth, Kind: "auth.login", Actor: "user:" + user.Name,
			Message: fmt.Sprintf("%s signed in from %s", user.Name, hostOf(sess.Addr)), Data: map[string]any{"addr": sess.Addr, "user_agent": sess.UserAgent},
		})
	})
}

func (s *Service) loginFailed(ctx context.Context, name, addr, why string) {
	name = clip(name, 64)
	s.record(ctx, store.Event{
		Severity: store.SeverityWarn, Kind: "auth.login_failed", Actor: systemActor,
		Message: fmt.Sprintf("sign-in as %q from %s was refused: %s", name, hostOf(addr), why), Data: map[string]any{"name": name, "addr": addr},
	})
}

// Logout ends a session; one that has ended already is no error.
func (s *Service) Logout(ctx context.Context, sessionID string) error {
	err := s.db.Update(ctx, func(tx *store.Tx) error { return tx.DeleteSession(ctx, sessionID) })
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
	if errors.Is(err, store.ErrNotFound) {
		return Caller{}, ErrDenied
	}
	if err != nil {
		return Caller{}, fmt.Errorf("read session: %w", err)
	}
	if !time.Now().Before(sess.ExpiresAt) {
		return Caller{}, fmt.Errorf("the session has %w: sign in again", ErrExpired)
	}
	return Caller{Actor: "user:" + user.Name, Name: user.Name, Role: user.Role, SessionID: sess.ID, UserID: user.ID}, nil
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
