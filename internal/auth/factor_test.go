package auth_test

import (
	"encoding/base32"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// enrolled is anna with a second factor: the function shows the code of now.
func (f fixture) enrolled(t *testing.T, anna store.User) (me auth.By, code func() string, recovery []string) {
	t.Helper()
	_, sess, err := f.Login(t.Context(), "anna", password, "", addr)
	if err != nil {
		t.Fatal(err)
	}
	me = by(anna)
	me.SessionID = sess.ID
	offer, err := f.OfferFactor(t.Context(), me, password)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(offer.Secret)
	if err != nil {
		t.Fatal(err)
	}
	code = func() string { return auth.CodeAt(secret, time.Now()) }
	if recovery, err = f.ConfirmFactor(t.Context(), me, code()); err != nil {
		t.Fatal(err)
	}
	return me, code, recovery
}

func (f fixture) signIn(t *testing.T, code string) error {
	t.Helper()
	_, _, err := f.SignIn(t.Context(), auth.Credentials{Name: "anna", Password: password, Code: code}, "", addr)
	return err
}

func TestSecondFactor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		anna := f.setUp(t)
		other, _, err := f.Login(t.Context(), "anna", password, "", addr)
		if err != nil {
			t.Fatal(err)
		}
		me, code, recovery := f.enrolled(t, anna)
		if _, err := f.BySession(t.Context(), other); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("a session that was opened without it lives on: %v", err)
		}
		if len(recovery) != 10 {
			t.Errorf("%d recovery codes", len(recovery))
		}
		if err := f.signIn(t, ""); !errors.Is(err, auth.ErrFactorNeeded) {
			t.Errorf("without a code: %v", err)
		}
		if err := f.signIn(t, code()); !errors.Is(err, auth.ErrFactorWrong) {
			t.Errorf("the code that it was set up with, once more: %v", err)
		}
		time.Sleep(time.Minute)
		good := code()
		if _, _, err := f.SignIn(t.Context(), auth.Credentials{Name: "anna", Password: "wrong password", Code: good}, "", addr); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("a good code with a wrong password: %v", err)
		}
		if err := f.signIn(t, "000000"); !errors.Is(err, auth.ErrFactorWrong) {
			t.Errorf("a wrong code: %v", err)
		}
		if err := f.signIn(t, " "+good[:3]+" "+good[3:]); err != nil {
			t.Errorf("a good code: %v", err)
		}
		if err := f.signIn(t, good); !errors.Is(err, auth.ErrFactorWrong) {
			t.Errorf("the same code once more: %v", err)
		}
		if _, err := f.OfferFactor(t.Context(), me, password); !errors.Is(err, auth.ErrFactorSet) {
			t.Errorf("a second one over the first: %v", err)
		}

		time.Sleep(time.Minute)
		if err := f.signIn(t, strings.ToUpper(recovery[3])); err != nil {
			t.Errorf("a recovery code: %v", err)
		}
		if err := f.signIn(t, recovery[3]); !errors.Is(err, auth.ErrFactorWrong) {
			t.Errorf("the same recovery code once more: %v", err)
		}
		if _, left, err := f.FactorState(t.Context(), anna.ID); left != 9 || err != nil {
			t.Errorf("%d recovery codes left, %v", left, err)
		}
		time.Sleep(time.Minute)
		fresh, err := f.NewRecoveryCodes(t.Context(), me, code())
		if err != nil || len(fresh) != 10 {
			t.Fatalf("%v, %v", fresh, err)
		}
		if err := f.signIn(t, recovery[4]); !errors.Is(err, auth.ErrFactorWrong) {
			t.Errorf("a recovery code of before: %v", err)
		}
		if err := f.DropOwnFactor(t.Context(), me, "000000"); !errors.Is(err, auth.ErrFactorWrong) {
			t.Errorf("dropped by a wrong code: %v", err)
		}
		if err := f.DropOwnFactor(t.Context(), me, fresh[0]); err != nil {
			t.Fatal(err)
		}
		if err := f.signIn(t, ""); err != nil {
			t.Errorf("after it was dropped: %v", err)
		}
		if err := f.ResetFactor(t.Context(), anna.ID, me); !errors.Is(err, auth.ErrNoFactor) {
			t.Errorf("reset where there is none: %v", err)
		}
	})
}

func TestCodesCannotBeGuessed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		_, code, _ := f.enrolled(t, f.setUp(t))
		time.Sleep(time.Minute)
		var last error
		for range 6 {
			last = f.signIn(t, "000000")
		}
		if !errors.Is(last, auth.ErrThrottled) {
			t.Errorf("the sixth guess: %v", last)
		}
		if err := f.signIn(t, code()); !errors.Is(err, auth.ErrThrottled) {
			t.Errorf("the right one in the flood: %v", err)
		}
		time.Sleep(time.Minute)
		if err := f.signIn(t, code()); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

// TestACodeIsSpentOnce has two sign-ins with one code at the same moment.
func TestACodeIsSpentOnce(t *testing.T) {
	f := newFixture(t)
	_, _, recovery := f.enrolled(t, f.setUp(t))
	results := make(chan error, 2)
	for range 2 {
		go func() {
			_, _, err := f.SignIn(t.Context(), auth.Credentials{Name: "anna", Password: password, Code: recovery[0]}, "", addr)
			results <- err
		}()
	}
	first, second := <-results, <-results
	if (first == nil) == (second == nil) {
		t.Errorf("%v, %v", first, second)
	}
}

func TestTheSecretIsSealed(t *testing.T) {
	f := newFixture(t)
	anna := f.setUp(t)
	offer, err := f.OfferFactor(t.Context(), by(anna), password)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.signIn(t, ""); err != nil {
		t.Errorf("one that was only offered is asked for: %v", err)
	}
	if _, err := f.OfferFactor(t.Context(), by(anna), "not the password"); !errors.Is(err, auth.ErrWrongPassword) {
		t.Errorf("offered without the password: %v", err)
	}
	if _, err := f.ConfirmFactor(t.Context(), by(anna), "000000"); !errors.Is(err, auth.ErrFactorWrong) {
		t.Errorf("confirmed by a wrong code: %v", err)
	}
	evs, err := f.db.EventsAfter(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range evs {
		if strings.Contains(e.Message, offer.Secret) {
			t.Errorf("the secret is in an event: %s", e.Message)
		}
	}
	plain, err := f.db.FactorSecret(t.Context(), anna.ID)
	if err != nil || len(plain) != 20 {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
}

func TestRequiredSecondFactor(t *testing.T) {
	f := newFixture(t)
	anna := f.setUp(t)
	before, _, err := f.Login(t.Context(), "anna", password, "", addr)
	if err != nil {
		t.Fatal(err)
	}
	err = f.db.Update(t.Context(), func(tx *store.Tx) error {
		s, err := tx.Settings(t.Context())
		if err != nil {
			return err
		}
		s.RequireFactor = true
		return tx.SaveSettings(t.Context(), s)
	})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := f.BySession(t.Context(), before); err != nil || !c.MustEnrol || c.Role != "" {
		t.Errorf("a session of before: %+v, %v", c, err)
	}
	f.enrolled(t, anna)
	token, _, err := f.IssueToken(t.Context(), auth.NewToken{Name: "ci", Role: store.RoleAdmin}, by(anna))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := f.ByToken(t.Context(), token); err != nil || c.MustEnrol || c.Role != store.RoleAdmin {
		t.Errorf("a token: %+v, %v", c, err)
	}
}
