package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/goleak"
)

func auto(domain string) Want { return Want{Domain: domain, Mode: Auto} }

func TestACertificateIsHadAndServedAfterARestartWithoutAnotherOrder(t *testing.T) {
	r := newAuthority(t, 90*day)
	folder := Folder(filepath.Join(t.TempDir(), "certificates"))
	k := r.start(folder, auto("shop.example.com"))
	if _, err := r.visit("shop.example.com", r.roots); err == nil {
		t.Error("there is a certificate before one was ordered")
	}
	e := k.next(Issued)
	if e.ID.String() != "auto:shop.example.com" || e.NotAfter.Before(time.Now().Add(80*day)) || !strings.Contains(e.Issuer, "Pebble") {
		t.Errorf("told %+v", e)
	}
	leaf, err := r.visit("shop.example.com", r.roots)
	if err != nil {
		t.Fatal(err)
	}
	s := k.Statuses()
	if len(s) != 1 || s[0].State(time.Now()) != StateValid || s[0].RenewAt.Sub(leaf.NotBefore) < 59*day || s[0].RenewAt.Sub(leaf.NotBefore) > 61*day {
		t.Errorf("the statuses are %+v", s)
	}
	k.stop()
	onlyOurs(t, string(folder))

	orders := r.orders.Load()
	k = r.start(folder, auto("shop.example.com"))
	again, err := r.visit("shop.example.com", r.roots)
	if err != nil || !again.Equal(leaf) {
		t.Errorf("after a restart another certificate is shown: %v", err)
	}
	k.Apply(nil, r.acme)
	if _, err := r.visit("shop.example.com", r.roots); err == nil {
		t.Error("a domain is served that nobody wants any more")
	}
	if r.orders.Load() != orders {
		t.Errorf("a restart made %d orders", r.orders.Load()-orders)
	}
}

// onlyOurs looks that nobody else can read what is in a folder.
func onlyOurs(t *testing.T, folder string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", path, info.Mode())
		}
		if !d.IsDir() {
			files++
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files in the folder, %v", files, err)
	}
}

func TestADomainIsProvenByAPageAndWithinTLS(t *testing.T) {
	r := newAuthority(t, 90*day)
	k := r.start(Folder(t.TempDir()))
	for name, solvers := range map[string]map[string]acmez.Solver{
		"page": {acme.ChallengeTypeHTTP01: byPage{&k.challenges}}, "tls": {acme.ChallengeTypeTLSALPN01: withinTLS{&k.challenges}},
	} {
		a := asker{acme: r.acme, folder: Folder(t.TempDir()), solvers: solvers, log: slog.New(slog.DiscardHandler)}
		chain, key, err := a.order(t.Context(), name+".example.com", nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := Check(chain, key, time.Now()); err != nil {
			t.Errorf("%s: what was got is not good: %v", name, err)
		}
	}
	if len(k.challenges.pages)+len(k.challenges.certs) != 0 {
		t.Errorf("proofs were left behind: %v, %d", k.challenges.pages, len(k.challenges.certs))
	}
}

func TestACertificateIsRenewedByItself(t *testing.T) {
	r := newAuthority(t, 9*time.Second) // it is renewed when six are over
	k := r.start(Folder(t.TempDir()), auto("short.example.com"))
	k.next(Issued)
	first, err := r.visit("short.example.com", r.roots)
	if err != nil {
		t.Fatal(err)
	}
	k.next(Renewed)
	second, err := r.visit("short.example.com", r.roots)
	if err != nil || second.Equal(first) {
		t.Errorf("after the renewal the former one is shown, %v", err)
	}
	if time.Now().After(first.NotAfter.Add(time.Second)) {
		t.Error("it was renewed only after its end")
	}
}

func TestAFailedRenewalIsToldAndTriedAgainWhileTheFormerOneIsServed(t *testing.T) {
	r := newAuthority(t, 90*day)
	k := r.start(Folder(t.TempDir()), auto("shop.example.com"))
	k.next(Issued)
	first, err := r.visit("shop.example.com", r.roots)
	if err != nil {
		t.Fatal(err)
	}
	r.revokeSoon(first)
	r.limiting.Store(true)
	k.mu.Lock()
	k.held[ID{Auto, "shop.example.com"}].saved.AskedAt = time.Now().Add(-askWishes) // half a day later
	k.mu.Unlock()
	k.wake()
	// The authority names a year that is far: no later than this is believed.
	putOff := func(at time.Time) bool { return time.Until(at) > longestWait-day && time.Until(at) <= longestWait }
	e := k.next(Failed)
	if e.Trouble.Kind != RateLimited || e.Trouble.Hint == "" || !putOff(e.NextTry) || !e.NotAfter.Equal(first.NotAfter) {
		t.Errorf("told %+v", e)
	}
	if shown, err := r.visit("shop.example.com", r.roots); err != nil || !shown.Equal(first) {
		t.Errorf("the former one is not served on: %v", err)
	}
	orders := r.orders.Load()
	if s := k.Statuses()[0]; s.State(time.Now()) != StateValid || s.Trouble.Kind != RateLimited || !putOff(s.NextTry) {
		t.Errorf("its status is %+v", s)
	}
	r.limiting.Store(false)
	if r.orders.Load() != orders {
		t.Error("it was tried again before it may be")
	}
	if err := k.Renew(ID{Auto, "shop.example.com"}); err != nil {
		t.Fatal(err)
	}
	k.next(Renewed)
	if shown, err := r.visit("shop.example.com", r.roots); err != nil || shown.Equal(first) {
		t.Errorf("the one that is to be revoked is served on: %v", err)
	}
	if s := k.Statuses()[0]; s.Trouble.Kind != "" || !s.NextTry.IsZero() {
		t.Errorf("the trouble is over, and its status is %+v", s)
	}
}

func TestAnAuthorityThatIsDownIsTriedAgain(t *testing.T) {
	r := newAuthority(t, 90*day)
	r.refusing.Store(true)
	k := r.start(Folder(t.TempDir()), auto("shop.example.com"))
	if e := k.next(Failed); e.Trouble.Detail == "" || !e.NotAfter.IsZero() || e.NextTry.IsZero() {
		t.Errorf("told %+v", e)
	}
	r.refusing.Store(false)
	k.next(Issued, Failed)
}

func TestADomainThatLeadsElsewhereIsToldSo(t *testing.T) {
	r := newAuthority(t, 90*day)
	r.zone.at["elsewhere.example.com."] = "127.0.0.99"
	k := r.start(Folder(t.TempDir()), auto("elsewhere.example.com"))
	if e := k.next(Failed); e.Trouble.Kind != Unreachable || !strings.Contains(e.Trouble.Hint, "port 80") {
		t.Errorf("told %+v", e.Trouble)
	}
}

func TestNamesThatNobodyWantsMakeNoOrder(t *testing.T) {
	r := newAuthority(t, 90*day)
	k := r.start(Folder(t.TempDir()), auto("shop.example.com"))
	k.next(Issued)
	orders := r.orders.Load()
	for n := range 200 {
		if _, err := r.visit(fmt.Sprintf("x%d.example.com", n), r.roots); err == nil {
			t.Fatal("a name that nobody wants is served")
		}
	}
	if r.orders.Load() != orders {
		t.Errorf("strangers made %d orders", r.orders.Load()-orders)
	}
	cost := testing.AllocsPerRun(1000, func() {
		if _, err := k.Certificate(&tls.ClientHelloInfo{ServerName: "stranger.example.com"}); !errors.Is(err, ErrNone) {
			t.Fatal(err)
		}
	})
	if cost > 1 {
		t.Errorf("a stranger's name costs %v allocations", cost)
	}
	if len(k.Statuses()) != 1 {
		t.Error("strangers are kept")
	}
}

func TestAnExternalAccountIsBound(t *testing.T) {
	r := newAuthority(t, 90*day)
	r.acme.EABKey, r.acme.EABSecret = "kid-1", "sealed:zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	folder := Folder(t.TempDir())
	k := r.start(folder, auto("shop.example.com"))
	k.next(Issued)
	files, err := filepath.Glob(filepath.Join(string(folder), "acme", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the accounts are %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil || strings.Contains(string(text), "zWNDZM6e") {
		t.Errorf("the secret of the external account is kept in clear: %v", err)
	}
}

func TestAnotherAuthorityIsAskedWhenItIsNamed(t *testing.T) {
	r := newAuthority(t, 90*day)
	other := newAuthority(t, 90*day)
	k := r.start(Folder(t.TempDir()), auto("shop.example.com"))
	k.next(Issued)
	other.keeper.Store(k.Keeper)
	k.Apply([]Want{auto("shop.example.com")}, other.acme)
	k.next(Renewed)
	if _, err := r.visit("shop.example.com", other.roots); err != nil {
		t.Errorf("it is not of the new authority: %v", err)
	}
}

func TestNothingRunsOnAfterTheEnd(t *testing.T) {
	r := newAuthority(t, 90*day)
	before := goleak.IgnoreCurrent()
	k := r.start(Folder(t.TempDir()), auto("shop.example.com"))
	k.next(Issued)
	k.stop()
	goleak.VerifyNone(t, before)
}
