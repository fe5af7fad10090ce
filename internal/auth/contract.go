package auth

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The refusals of this package.
var (
	ErrDenied  = errors.New("wrong name, password, token or link")
	ErrExpired = errors.New("expired")
	ErrSetUp   = errors.New("set up already")
	ErrWeak    = errors.New("too weak a password: at least 12 characters")
)

// Caller is who makes a request, once known.
type Caller struct {
	Actor     string // "user:anna", "token:ci"
	Name      string
	Role      store.Role
	SessionID string // empty for a token
	UserID    string
}

// Service knows users, sessions and tokens.
type Service struct{}

// New joins its parts.
func New(db *store.DB, log *slog.Logger) *Service { panic("contract") }

// SetupCode makes and keeps (hashed) a fresh one-time code while there is no user, valid for 24 h; "" once there is one.
func (s *Service) SetupCode(ctx context.Context) (string, error) { panic("contract") }

// CreateFirstAdmin spends the setup code.
func (s *Service) CreateFirstAdmin(ctx context.Context, code, name, password, addr string) (store.User, error) {
	panic("contract")
}

// Login checks a password (argon2id, a bounded number at once) and opens a session; the token is shown once.
func (s *Service) Login(ctx context.Context, name, password, userAgent, addr string) (token string, sess store.Session, err error) {
	panic("contract")
}
func (s *Service) Logout(ctx context.Context, sessionID string) error { panic("contract") }

// BySession and ByToken tell who a caller is; ErrDenied or ErrExpired otherwise.
func (s *Service) BySession(ctx context.Context, token string) (Caller, error) { panic("contract") }
func (s *Service) ByToken(ctx context.Context, token string) (Caller, error)   { panic("contract") }

// CreateToken makes an API token ("dw_" + 40 characters), shown once. EnsureAdminToken makes the content of --admin-token-file a token.
func (s *Service) CreateToken(ctx context.Context, name string, role store.Role, expires time.Time, by string) (secret string, t store.Token, err error) {
	panic("contract")
}
func (s *Service) EnsureAdminToken(ctx context.Context, secret string) error { panic("contract") }
func (s *Service) RevokeToken(ctx context.Context, id, by string) error      { panic("contract") }
