package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	tokenPrefix = "dw_"
	tokenBytes  = 25 // 40 characters

	// touchEvery bounds how often the last use of a token is written.
	touchEvery   = time.Minute
	mostTouched  = 10_000
	touchTimeout = 2 * time.Second

	// adminFile names the token whose secret comes from --admin-token-file.
	adminFile            = "admin-token-file"
	shortestFileToken    = 32
	longestFileToken     = 512
	systemActor          = "system"
	tokenCreated         = "token.created"
	tokenRevoked         = "token.revoked"
	messageTokenReplaced = "the admin token of the file was replaced"
)

// ByToken tells who a caller is; ErrDenied or ErrExpired otherwise.
func (s *Service) ByToken(ctx context.Context, token string) (Caller, error) {
	if token == "" {
		return Caller{}, ErrDenied
	}
	t, err := s.db.TokenByHash(ctx, digest(token))
	if errors.Is(err, store.ErrNotFound) {
		return Caller{}, ErrDenied
	}
	if err != nil {
		return Caller{}, fmt.Errorf("read token: %w", err)
	}
	now := time.Now().UTC()
	if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
		return Caller{}, fmt.Errorf("the token has %w", ErrExpired)
	}
	caller := Caller{Actor: "token:" + t.Name, Name: t.Name, Role: t.Role, Until: t.ExpiresAt}
	if t.UserID != "" {
		u, err := s.db.User(ctx, t.UserID)
		if errors.Is(err, store.ErrNotFound) || err == nil && !u.DisabledAt.IsZero() {
			return Caller{}, ErrDenied
		}
		if err != nil {
			return Caller{}, fmt.Errorf("read the user of a token: %w", err)
		}
		caller.UserID, caller.Most, caller.Role = u.ID, t.Role, t.Role.Least(u.Role)
	}
	s.touch(ctx, t, now)
	return caller, nil
}

// touch notes that a token was used. That it could not be written keeps nobody out.
func (s *Service) touch(ctx context.Context, t store.Token, now time.Time) {
	if !s.touchDue(t.ID, t.LastUsedAt, now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, touchTimeout)
	defer cancel()
	if err := s.db.Update(ctx, func(tx *store.Tx) error { return tx.TouchToken(ctx, t.ID, now) }); err != nil {
		s.log.Warn("last use of a token was not written", "token", t.Name, "error", err)
	}
}

// touchDue says whether the last use of a session or token is to be written now.
func (s *Service) touchDue(id string, written, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.touched[id]
	if written.After(last) && !written.After(now.Add(touchEvery)) { // else the clock ran ahead when it was written
		last = written
	}
	if now.Sub(last) < touchEvery {
		return false
	}
	if len(s.touched) >= mostTouched {
		clear(s.touched) // of what ended long ago: at worst each is written once more
	}
	s.touched[id] = now
	return true
}

// NewToken is a token to be made. A zero Expires means never.
type NewToken struct {
	Name    string
	Role    store.Role
	Expires time.Time
}

// IssueToken makes a token of the caller's own: it can do no more than they can, now or later, and ends with them.
func (s *Service) IssueToken(ctx context.Context, n NewToken, by By) (secret string, t store.Token, err error) {
	most, err := s.HighestRole(ctx, by.Caller)
	if err != nil {
		return "", store.Token{}, err
	}
	if !most.Covers(n.Role) {
		return "", store.Token{}, store.FieldError{Field: "role", Reason: "must not be above your own, which is " + roleWord(most)}
	}
	if !by.Until.IsZero() && (n.Expires.IsZero() || n.Expires.After(by.Until)) {
		return "", store.Token{}, store.FieldError{Field: "expires_at", Reason: "must not be after the end of the token by which it is made, " + by.Until.UTC().Format(time.RFC3339)}
	}
	return s.makeToken(ctx, n, by.UserID, by.Actor)
}

// CreateToken makes an API token of the daemon's own ("dw_" + 40 characters), shown once.
func (s *Service) CreateToken(ctx context.Context, name string, role store.Role, expires time.Time, by string) (secret string, t store.Token, err error) {
	return s.makeToken(ctx, NewToken{Name: name, Role: role, Expires: expires}, "", by)
}

func (s *Service) makeToken(ctx context.Context, n NewToken, userID, by string) (secret string, t store.Token, err error) {
	name, role, expires := n.Name, n.Role, n.Expires
	now := time.Now().UTC()
	name = cleanName(name)
	if err := checkName(name); err != nil {
		return "", store.Token{}, err
	}
	if name == adminFile {
		return "", store.Token{}, fmt.Errorf("%w: the name %s is taken by the daemon", ErrInvalid, adminFile)
	}
	if !role.Covers(store.RoleViewer) {
		return "", store.Token{}, fmt.Errorf("%w: role %q, want viewer, operator or admin", ErrInvalid, role)
	}
	if !expires.IsZero() && !expires.After(now) {
		return "", store.Token{}, fmt.Errorf("%w: the expiry is not in the future", ErrInvalid)
	}
	secret = tokenPrefix + randomText(tokenBytes)
	t = store.Token{ID: store.NewID(), Name: name, TokenHash: digest(secret), Role: role, CreatedBy: by, CreatedAt: now, ExpiresAt: expires.UTC(), UserID: userID}
	if expires.IsZero() {
		t.ExpiresAt = time.Time{}
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		replaced, err := tx.DropExpiredToken(ctx, t.Name, now)
		if err != nil {
			return err
		}
		if err := tx.InsertToken(ctx, t); err != nil {
			return err
		}
		e := tokenEvent(t, tokenCreated, fmt.Sprintf("token %s (%s) was made", t.Name, t.Role), by)
		e.Data["replaced_expired"] = replaced
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return "", store.Token{}, fmt.Errorf("create token %s: %w", name, err)
	}
	return secret, t, nil
}

// EnsureAdminToken makes the content of --admin-token-file a token; the token of a former content goes.
func (s *Service) EnsureAdminToken(ctx context.Context, secret string) error {
	secret = strings.TrimSpace(secret)
	if len(secret) < shortestFileToken || len(secret) > longestFileToken || strings.ContainsAny(secret, " \t\r\n") {
		return fmt.Errorf("%w: the admin token is one line of %d to %d characters", ErrInvalid, shortestFileToken, longestFileToken)
	}
	hash := digest(secret)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		have, err := s.dropFormer(ctx, tx, hash)
		if err != nil || have {
			return err
		}
		t := store.Token{ID: store.NewID(), Name: adminFile, TokenHash: hash, Role: store.RoleAdmin, CreatedBy: systemActor, CreatedAt: time.Now().UTC()}
		if err := tx.InsertToken(ctx, t); err != nil {
			return err
		}
		return tx.Emit(ctx, tokenEvent(t, tokenCreated, "the content of the admin token file is now an admin token", systemActor))
	})
	if err != nil {
		return fmt.Errorf("make the admin token: %w", err)
	}
	return nil
}

// dropFormer removes tokens of the file's former contents and reports whether that of the present one is there.
func (s *Service) dropFormer(ctx context.Context, tx *store.Tx, hash string) (have bool, err error) {
	tokens, err := tx.Tokens(ctx)
	if err != nil {
		return false, err
	}
	for _, t := range tokens {
		if t.TokenHash == hash {
			have = true
			continue
		}
		if t.Name != adminFile || t.CreatedBy != systemActor {
			continue
		}
		if err := tx.DeleteToken(ctx, t.ID); err != nil {
			return false, err
		}
		if err := tx.Emit(ctx, tokenEvent(t, tokenRevoked, messageTokenReplaced, systemActor)); err != nil {
			return false, err
		}
	}
	return have, nil
}

// RevokeToken ends a token at once. Where an owner is given, another's is store.ErrNotFound.
func (s *Service) RevokeToken(ctx context.Context, id, owner, by string) error {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		t, err := tx.Token(ctx, id)
		if err != nil {
			return err
		}
		if owner != "" && t.UserID != owner {
			return store.ErrNotFound
		}
		if err := tx.DeleteToken(ctx, id); err != nil {
			return err
		}
		return tx.Emit(ctx, tokenEvent(t, tokenRevoked, fmt.Sprintf("token %s (%s) was revoked", t.Name, t.Role), by))
	})
	if err != nil {
		return fmt.Errorf("revoke token %s: %w", id, err)
	}
	return nil
}

func tokenEvent(t store.Token, kind, message, actor string) store.Event {
	return store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceAuth, Kind: kind, Message: message, Actor: actor,
		Data: map[string]any{"token_id": t.ID, "token": t.Name, "role": string(t.Role)},
	}
}
