package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	setupSecret   = "setup_code"
	setupLifetime = 24 * time.Hour
)

// SetupCode makes and keeps (hashed) a fresh one-time code while there is no user, valid for 24 h; "" once there is one.
func (s *Service) SetupCode(ctx context.Context) (string, error) {
	code := randomText(20)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		users, err := tx.UserCount(ctx)
		if err != nil {
			return err
		}
		if users > 0 {
			code = ""
			return nil
		}
		expires := time.Now().Add(setupLifetime).UnixMilli()
		return tx.SetSecret(ctx, setupSecret, digest(code)+" "+strconv.FormatInt(expires, 10))
	})
	if err != nil {
		return "", fmt.Errorf("make a setup code: %w", err)
	}
	return code, nil
}

// CreateFirstAdmin spends the setup code.
func (s *Service) CreateFirstAdmin(ctx context.Context, code, name, password, addr string) (store.User, error) {
	now := time.Now().UTC()
	if ok, _ := s.throttle.allow(addr, "", now); !ok {
		return store.User{}, ErrThrottled
	}
	if err := s.checkSetup(ctx, s.db, code, now); err != nil {
		if errors.Is(err, ErrDenied) {
			s.codeFailed(ctx, "setup code", addr)
		}
		return store.User{}, err
	}
	name = cleanName(name)
	if err := errors.Join(checkName(name), checkPassword(password)); err != nil {
		return store.User{}, err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return store.User{}, err
	}
	user := store.User{ID: store.NewID(), Name: name, PasswordHash: hash, Role: store.RoleAdmin, CreatedAt: now, UpdatedAt: now}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		// Again, now that nobody else can write: the code is good for one admin only.
		if err := s.checkSetup(ctx, tx, code, now); err != nil {
			return err
		}
		if err := tx.InsertUser(ctx, user); err != nil {
			return err
		}
		if err := tx.DeleteSecret(ctx, setupSecret); err != nil {
			return err
		}
		return tx.Emit(ctx, store.Event{
			Time: now, Severity: store.SeverityInfo, Source: store.SourceAuth, Kind: "auth.setup", Actor: "user:" + name,
			Message: fmt.Sprintf("%s was set up as the first admin from %s", name, NetworkOf(addr)), Data: map[string]any{"addr": addr},
		})
	})
	if err != nil {
		return store.User{}, fmt.Errorf("create the first admin: %w", err)
	}
	s.log.Info("first admin created", "user", name, "addr", addr)
	return user, nil
}

// adminName is the first admin of an unattended install.
const adminName = "admin"

// EnsureAdmin makes the first admin with a password that is read only while there is no user; later it changes nothing.
func (s *Service) EnsureAdmin(ctx context.Context, read func() (string, error)) error {
	users, err := s.db.UserCount(ctx)
	if err != nil || users > 0 {
		return err
	}
	password, err := read()
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	hash, err := s.newHash(ctx, strings.TrimRight(password, "\r\n"))
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	user := store.User{ID: store.NewID(), Name: adminName, PasswordHash: hash, Role: store.RoleAdmin, CreatedAt: now, UpdatedAt: now}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertUser(ctx, user); err != nil {
			return err
		}
		return tx.Emit(ctx, store.Event{
			Time: now, Severity: store.SeverityInfo, Source: store.SourceAuth, Kind: "auth.setup", Actor: systemActor,
			Message: adminName + " was set up as the first admin by the password file", Data: map[string]any{"user": adminName},
		})
	})
	if err != nil {
		return fmt.Errorf("create the first admin: %w", err)
	}
	return nil
}

// setupReader is the part of the store, or of a transaction, that a setup code is checked against.
type setupReader interface {
	UserCount(ctx context.Context) (int, error)
	Secret(ctx context.Context, name string) (string, error)
}

func (s *Service) checkSetup(ctx context.Context, r setupReader, code string, now time.Time) error {
	users, err := r.UserCount(ctx)
	if err != nil {
		return fmt.Errorf("count users: %w", err)
	}
	if users > 0 {
		return ErrSetUp
	}
	kept, err := r.Secret(ctx, setupSecret)
	if errors.Is(err, store.ErrNotFound) {
		return ErrDenied
	}
	if err != nil {
		return fmt.Errorf("read the setup code: %w", err)
	}
	hash, until, _ := strings.Cut(kept, " ")
	expires, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		return fmt.Errorf("read the end of the setup code: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(hash), []byte(digest(strings.TrimSpace(code)))) != 1 {
		return ErrDenied
	}
	if over(time.UnixMilli(expires), setupLifetime, now) {
		return fmt.Errorf("the setup link has %w: restart the daemon for a new one", ErrExpired)
	}
	return nil
}
