package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	factorIssuer   = "docker-watcher"
	factorBytes    = 20 // as RFC 4226 recommends
	recoveryCodes  = 10
	recoveryBytes  = 10 // 16 characters
	recoveryGroups = 4
)

// FactorOffer is what somebody puts into their authenticator.
type FactorOffer struct {
	Secret string // to be typed
	URI    string // to be read from a picture
}

// OfferFactor makes a secret for the caller's authenticator. It is asked for once ConfirmFactor has seen a code of it.
func (s *Service) OfferFactor(ctx context.Context, by By, password string) (FactorOffer, error) {
	u, err := s.confirmed(ctx, by, password)
	if err != nil {
		return FactorOffer{}, err
	}
	secret := make([]byte, factorBytes)
	_, _ = rand.Read(secret) // never fails: the runtime ends the process first
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.OfferFactor(ctx, u.ID, secret); err != nil {
			return err
		}
		return tx.Emit(ctx, userEvent(by, "user.second_factor_offered", u, u.Name+" began to set up a second factor"))
	})
	if errors.Is(err, store.ErrConflict) {
		return FactorOffer{}, ErrFactorSet
	}
	if err != nil {
		return FactorOffer{}, fmt.Errorf("offer a second factor: %w", err)
	}
	return FactorOffer{Secret: secretText(secret), URI: factorURI(u.Name, factorIssuer, secret)}, nil
}

// ConfirmFactor has the second factor asked for from now on, and tells the recovery codes, this once. Other sessions are ended:
// they were opened without it.
func (s *Service) ConfirmFactor(ctx context.Context, by By, code string) (recovery []string, err error) {
	now := time.Now().UTC()
	secret, err := s.db.FactorSecret(ctx, by.UserID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNoFactor
	}
	if err != nil {
		return nil, err
	}
	if ok, _ := s.throttle.allow(by.Addr, by.Name, now); !ok {
		return nil, ErrThrottled
	}
	step, ok := matchingStep(secret, tidyCode(code), now)
	if !ok {
		return nil, ErrFactorWrong
	}
	s.throttle.forgive(by.Addr, by.Name)
	recovery, hashes := newRecoveryCodes()
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, by.UserID)
		if err != nil {
			return err
		}
		if err := tx.ConfirmFactor(ctx, u.ID, step, now); err != nil {
			return err
		}
		if err := tx.SetRecoveryCodes(ctx, u.ID, hashes); err != nil {
			return err
		}
		ended, err := tx.DeleteSessions(ctx, u.ID, by.SessionID)
		if err != nil {
			return err
		}
		e := userEvent(by, "user.second_factor_on", u, u.Name+" set up a second factor")
		e.Data["sessions_ended"] = ended
		return tx.Emit(ctx, e)
	})
	if errors.Is(err, store.ErrConflict) {
		return nil, ErrFactorSet
	}
	if err != nil {
		return nil, fmt.Errorf("confirm the second factor: %w", err)
	}
	return recovery, nil
}

// NewRecoveryCodes replaces the caller's recovery codes, against a code of the second factor.
func (s *Service) NewRecoveryCodes(ctx context.Context, by By, code string) (recovery []string, err error) {
	if err := s.showFactor(ctx, by, code); err != nil {
		return nil, err
	}
	recovery, hashes := newRecoveryCodes()
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, by.UserID)
		if err != nil {
			return err
		}
		if err := tx.SetRecoveryCodes(ctx, u.ID, hashes); err != nil {
			return err
		}
		return tx.Emit(ctx, userEvent(by, "user.recovery_codes_made", u, u.Name+" made new recovery codes; the former ones are worth nothing"))
	})
	if err != nil {
		return nil, fmt.Errorf("make recovery codes: %w", err)
	}
	return recovery, nil
}

// DropOwnFactor takes the caller's second factor away, against a code of it or a recovery code.
func (s *Service) DropOwnFactor(ctx context.Context, by By, code string) error {
	if err := s.showFactor(ctx, by, code); err != nil {
		return err
	}
	return s.dropFactor(ctx, by.UserID, by, "took their second factor away")
}

// ResetFactor takes the second factor of a user away who has lost it.
func (s *Service) ResetFactor(ctx context.Context, id string, by By) error {
	return s.dropFactor(ctx, id, by, "has no second factor any more: it was reset")
}

func (s *Service) dropFactor(ctx context.Context, id string, by By, words string) error {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, id)
		if err != nil {
			return err
		}
		if u.FactorSince.IsZero() {
			return ErrNoFactor
		}
		if err := tx.DropFactor(ctx, id); err != nil {
			return err
		}
		e := userEvent(by, "user.second_factor_off", u, u.Name+" "+words)
		e.Severity = store.SeverityWarn
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("drop the second factor of user %s: %w", id, err)
	}
	return nil
}

// FactorState says whether a user has a second factor, and how many recovery codes are left.
func (s *Service) FactorState(ctx context.Context, userID string) (u store.User, codesLeft int, err error) {
	if u, err = s.db.User(ctx, userID); err != nil {
		return u, 0, err
	}
	codesLeft, err = s.db.RecoveryCodesLeft(ctx, userID)
	return u, codesLeft, err
}

// showFactor has the caller show the second factor once more. As in confirmed, a wrong code is told by whoever knows what it was for.
func (s *Service) showFactor(ctx context.Context, by By, code string) error {
	u, err := s.db.User(ctx, by.UserID)
	if err != nil {
		return err
	}
	if u.FactorSince.IsZero() {
		return ErrNoFactor
	}
	now := time.Now().UTC()
	if ok, _ := s.throttle.allow(by.Addr, u.Name, now); !ok {
		return ErrThrottled
	}
	if _, err := s.spendCode(ctx, u, code, by.Addr, now); err != nil {
		return err
	}
	s.throttle.forgive(by.Addr, u.Name)
	return nil
}

// checkFactor is the second half of a sign-in, where the user has a second factor.
func (s *Service) checkFactor(ctx context.Context, u store.User, code, addr string, now time.Time) error {
	if u.FactorSince.IsZero() {
		return nil
	}
	if strings.TrimSpace(code) == "" {
		return ErrFactorNeeded
	}
	wrong, err := s.spendCode(ctx, u, code, addr, now)
	if wrong != "" {
		s.loginFailed(ctx, u.Name, addr, wrong)
	}
	return err
}

// spendCode uses a code of the second factor or a recovery code up: each is good once. Wrong says what is, with ErrFactorWrong.
func (s *Service) spendCode(ctx context.Context, u store.User, code, addr string, now time.Time) (wrong string, err error) {
	code = tidyCode(code)
	secret, err := s.db.FactorSecret(ctx, u.ID)
	if err != nil {
		return "", fmt.Errorf("read the second factor: %w", err)
	}
	step, ok := matchingStep(secret, code, now)
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if ok {
			return tx.SpendFactorStep(ctx, u.ID, step)
		}
		if err := tx.SpendRecoveryCode(ctx, u.ID, digest(code)); err != nil {
			return err
		}
		left, err := tx.RecoveryCodesLeft(ctx, u.ID)
		if err != nil {
			return err
		}
		e := userEvent(By{Caller: Caller{Actor: "user:" + u.Name}, Addr: addr}, "user.recovery_code_used", u, fmt.Sprintf("%s used a recovery code, %d are left", u.Name, left))
		e.Severity, e.Data["left"] = store.SeverityWarn, left
		return tx.Emit(ctx, e)
	})
	switch {
	case errors.Is(err, store.ErrConflict):
		return "a code of the second factor was used twice", ErrFactorWrong
	case errors.Is(err, store.ErrNotFound):
		return "wrong code of the second factor", ErrFactorWrong
	case err != nil:
		return "", fmt.Errorf("check the second factor: %w", err)
	}
	return "", nil
}

// mustEnrol says whether a user may do nothing yet but set up the second factor that an admin requires of all who have a password.
func (s *Service) mustEnrol(ctx context.Context, u store.User) (bool, error) {
	if !u.FactorSince.IsZero() || u.PasswordHash == "" {
		return false, nil
	}
	settings, err := s.db.Settings(ctx)
	if err != nil {
		return false, err
	}
	return settings.RequireFactor, nil
}

// tidyCode is a code as it was meant: without the blanks and dashes that make it readable.
func tidyCode(code string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(clip(code, 100)))
}

func newRecoveryCodes() (codes, hashes []string) {
	for range recoveryCodes {
		text := randomText(recoveryBytes)
		hashes = append(hashes, digest(text))
		size := len(text) / recoveryGroups
		parts := make([]string, recoveryGroups)
		for i := range parts {
			parts[i] = text[i*size : (i+1)*size]
		}
		codes = append(codes, strings.Join(parts, "-"))
	}
	return codes, hashes
}
