package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPausesGrow(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: 5 * time.Minute, 2: 20 * time.Minute, 3: 80 * time.Minute, 4: 320 * time.Minute, 5: 6 * time.Hour, 500: 6 * time.Hour} {
		if got := pauseAfter(failures, firstPause); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
}

func TestWhenIsWarned(t *testing.T) {
	end := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		mode  Mode
		lasts time.Duration
		left  time.Duration
		want  int
	}{
		{Own, 365 * day, 15 * day, 0},
		{Own, 365 * day, 14 * day, 14},
		{Own, 365 * day, 4 * day, 14},
		{Own, 365 * day, 3 * day, 3},
		{Own, 365 * day, -day, 3},
		{Auto, 90 * day, 20 * day, 0},
		{Auto, 90 * day, 14 * day, 14},
		{Auto, 90 * day, day, 3},
		{Auto, 6 * day, 5 * day, 0},
		{Auto, 6 * day, day, 0}, // it is renewed two days before its end
	} {
		if got := warnedDays(c.mode, end.Add(-c.lasts), end, end.Add(-c.left)); got != c.want {
			t.Errorf("%s that lasts %v, %v left: %d, want %d", c.mode, c.lasts, c.left, got, c.want)
		}
	}
}

func TestAnEndIsWarnedOfOnceAlsoOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
		folder := Folder(t.TempDir())
		chain, key := ownPair(t, folder, 30*day, "wiki.lan")
		if err := folder.Put("wiki", chain, key); err != nil {
			t.Fatal(err)
		}
		var told []Event
		live := func(d time.Duration) {
			k := New(Options{Folder: folder, Told: func(e Event) { told = append(told, e) }, Log: slog.New(slog.DiscardHandler)})
			k.Apply([]Want{{Domain: "wiki.lan", Mode: Own, Name: "wiki"}}, ACME{})
			ctx, cancel := contextFor(t, d)
			defer cancel()
			if err := k.Run(ctx); err != nil {
				t.Error(err)
			}
		}
		for _, c := range []struct{ lives, told int }{{15, 0}, {3, 1}, {1, 1}, {7, 1}, {2, 2}, {10, 2}} {
			live(time.Duration(c.lives) * day)
			if len(told) != c.told {
				t.Fatalf("on %v %d were told, want %d", time.Now(), len(told), c.told)
			}
		}
		if told[0].Kind != Expiring || told[0].ID.String() != "own:wiki" {
			t.Errorf("told %+v", told[0])
		}
	})
}

func TestOurOwnAuthorityVouchesAndRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
		folder := Folder(t.TempDir())
		var told []Event
		k := New(Options{Folder: folder, Told: func(e Event) { told = append(told, e) }, Log: slog.New(slog.DiscardHandler)})
		k.Apply([]Want{{Domain: "app.localhost", Mode: Internal}, {Domain: "10.0.0.7", Mode: Internal}}, ACME{})
		ctx, cancel := contextFor(t, 70*day)
		defer cancel()
		if err := k.Run(ctx); err != nil {
			t.Fatal(err)
		}
		kinds := map[Kind]int{}
		for _, e := range told {
			kinds[e.Kind]++
		}
		if kinds[Issued] != 2 || kinds[Renewed] != 2 || len(told) != 4 {
			t.Errorf("in 70 days was told: %v", kinds)
		}
		root, err := folder.Root(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(root) || strings.Contains(string(root), "KEY") {
			t.Fatalf("the root is %s", root)
		}
		for _, name := range []string{"app.localhost", "10.0.0.7"} {
			cert := (*k.served.Load())[name]
			if cert == nil {
				t.Fatalf("%s is not served", name)
			}
			if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool, CurrentTime: time.Now()}); err != nil {
				t.Errorf("who trusts the root does not trust %s: %v", name, err)
			}
		}
		again, err := folder.Root(time.Now().Add(day))
		if err != nil || string(again) != string(root) {
			t.Errorf("the root is made more than once: %v", err)
		}
	})
}

// TestWhatAClockWroteThatRanAhead: what it put off is not put off for as long, what it vouched for is vouched for anew, and what it warned of is warned of
// in its time.
func TestWhatAClockWroteThatRanAhead(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	far := now.AddDate(5, 0, 0)
	for name, c := range map[string]struct {
		saved saved
		want  time.Time
	}{
		"failed a moment ago":     {saved{FailedAt: now, NextTry: now.Add(longPause)}, now.Add(longPause)},
		"failed in times to come": {saved{FailedAt: far, NextTry: far.Add(longPause)}, time.Time{}},
		"failed tomorrow":         {saved{FailedAt: now.Add(day), NextTry: now.Add(day + firstPause)}, time.Time{}},
		"the authority said when": {saved{FailedAt: now, NextTry: now.Add(7 * day)}, now.Add(7 * day)},
		"nobody waits for years":  {saved{FailedAt: now, NextTry: far}, time.Time{}},
	} {
		if got := c.saved.notBefore(now); !got.Equal(c.want) {
			t.Errorf("%s: tried not before %v, want %v", name, got, c.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(now))
		folder := Folder(t.TempDir())
		chain, key := ownPair(t, folder, 30*day, "wiki.lan")
		if err := folder.Put("wiki", chain, key); err != nil {
			t.Fatal(err)
		}
		k := New(Options{Folder: folder, Told: func(Event) {}, Log: slog.New(slog.DiscardHandler)})
		k.Apply([]Want{{Domain: "app.localhost", Mode: Internal}, {Domain: "wiki.lan", Mode: Own, Name: "wiki"}}, ACME{})
		pass := func(at time.Time) (kinds []Kind) {
			_, told := k.pass(at, func(*held) { t.Error("an authority is asked") })
			for _, e := range told {
				kinds = append(kinds, e.Kind)
			}
			slices.Sort(kinds)
			return kinds
		}
		for _, step := range []struct {
			at   time.Time
			want []Kind
		}{
			{now, []Kind{Issued}},
			{far, []Kind{Expiring, Renewed}}, // ahead
			{now.Add(time.Minute), []Kind{Renewed}},
			{now.Add(2 * time.Minute), nil},
			{now.Add(17 * day), []Kind{Expiring}},
			{now.Add(18 * day), nil},
		} {
			if got := pass(step.at); !slices.Equal(got, step.want) {
				t.Errorf("at %v was told %v, want %v", step.at, got, step.want)
			}
		}
		for _, h := range k.held {
			if h.id.Mode == Internal && h.pair.Leaf.NotBefore.After(now.Add(time.Hour)) {
				t.Errorf("served is one of %v", h.pair.Leaf.NotBefore)
			}
		}
		h := &held{saved: saved{AskedAt: far}}
		if !k.wishDue(h, now) {
			t.Error("an authority that was asked in times to come is not asked for its wish")
		}
	})
}

// TestAnAuthorityThatIsNotValidYetIsTold: it was made while the clock ran ahead, and clients may trust it already.
func TestAnAuthorityThatIsNotValidYetIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := Folder(t.TempDir())
		k := New(Options{Folder: folder, Told: func(Event) {}, Log: slog.New(slog.DiscardHandler)})
		k.Apply([]Want{{Domain: "app.localhost", Mode: Internal}}, ACME{})
		pass := func(at time.Time, want ...Kind) {
			t.Helper()
			_, told := k.pass(at, func(*held) { t.Error("an authority is asked") })
			var kinds []Kind
			for _, e := range told {
				kinds = append(kinds, e.Kind)
			}
			if !slices.Equal(kinds, want) {
				t.Errorf("told was %v, want %v", kinds, want)
			}
		}
		now := time.Now()
		pass(now.AddDate(5, 0, 0), Issued)
		root, err := os.ReadFile(folder.rootFile())
		if err != nil {
			t.Fatal(err)
		}
		pass(now, Failed)
		if s := k.Statuses()[0]; !strings.Contains(s.Trouble.Detail, "valid only from") {
			t.Errorf("its status is %+v", s)
		}
		if same, err := os.ReadFile(folder.rootFile()); err != nil || !bytes.Equal(same, root) {
			t.Errorf("the authority was changed: %v", err)
		}
		if err := os.Remove(folder.rootFile()); err != nil {
			t.Fatal(err)
		}
		pass(now.Add(longPause), Renewed)
	})
}

func TestAnUploadedOneThatIsMissingIsToldAndTakenUpWhenItComes(t *testing.T) {
	folder := Folder(t.TempDir())
	k := New(Options{Folder: folder, Log: slog.New(slog.DiscardHandler)})
	k.Apply([]Want{{Domain: "wiki.lan", Mode: Own, Name: "wiki"}}, ACME{})
	if s := k.Statuses()[0]; s.Trouble.Kind != Missing || s.State(time.Now()) != StateFailed {
		t.Errorf("its status is %+v", s)
	}
	chain, key := ownPair(t, folder, 30*day, "wiki.lan")
	if err := folder.Put("wiki", chain, key); err != nil {
		t.Fatal(err)
	}
	if err := k.Renew(ID{Own, "wiki"}); err != nil {
		t.Fatal(err)
	}
	if s := k.Statuses()[0]; s.Trouble.Kind != "" || (*k.served.Load())["wiki.lan"] == nil {
		t.Errorf("it is there, and its status is %+v", s)
	}
	if err := k.Renew(ID{Own, "other"}); !errors.Is(err, ErrUnknown) {
		t.Errorf("one that nobody wants is renewed: %v", err)
	}
}

func TestUploadsAreChecked(t *testing.T) {
	now := time.Now()
	folder := Folder(t.TempDir())
	chain, key := ownPair(t, folder, 30*day, "wiki.lan")
	_, otherKey := ownPair(t, folder, 30*day, "wiki.lan")
	if c, err := Check(chain, key, now); err != nil || len(Uncovered(c, []string{"wiki.lan"})) != 0 || len(Uncovered(c, []string{"wiki.lan", "other.lan", "10.0.0.7"})) != 2 {
		t.Errorf("a good one: %v", err)
	}
	for name, c := range map[string]struct {
		chain, key []byte
		now        time.Time
		field, why string
	}{
		"no chain":        {nil, key, now, "chain", "PEM"},
		"a key as chain":  {key, key, now, "chain", "only certificates"},
		"rubbish behind":  {append(append([]byte{}, chain...), "x"...), key, now, "chain", "behind"},
		"broken":          {pemOf([]byte("x")), key, now, "chain", "certificate 1"},
		"no key":          {chain, nil, now, "key", "PEM"},
		"a chain as key":  {chain, chain, now, "key", "private key"},
		"an encrypted":    {chain, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), now, "key", "encrypted"},
		"another key":     {chain, otherKey, now, "key", "not the key"},
		"expired":         {chain, key, now.Add(31 * day), "chain", "expired"},
		"not yet valid":   {chain, key, now.Add(-80 * day), "chain", "not valid before"},
		"far too long":    {make([]byte, mostPEM+1), key, now, "chain", "longer"},
		"a broken key":    {chain, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), now, "key", "cannot be used"},
		"the authority's": {mustRoot(t, folder), key, now, "key", "not the key"},
	} {
		_, err := Check(c.chain, c.key, c.now)
		f, ok := errors.AsType[FieldError](err)
		if !ok || f.Field != c.field || !strings.Contains(f.Reason, c.why) {
			t.Errorf("%s: %v, want %s: %s", name, err, c.field, c.why)
		}
	}
	for _, name := range []string{"", "..", "../x", "a/b", "A", ".hidden", strings.Repeat("a", 101), "x\x00"} {
		if CheckName(name) == nil || folder.Put(name, chain, key) == nil || folder.Remove(name) == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
}

func TestAClientThatNamesNobodyIsShownTheAddress(t *testing.T) {
	folder := Folder(t.TempDir())
	k := New(Options{Folder: folder, Log: slog.New(slog.DiscardHandler)})
	k.Apply([]Want{{Domain: "127.0.0.1", Mode: Internal}}, ACME{})
	_, _ = k.pass(time.Now(), func(*held) { t.Error("an authority is asked") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if cert, err := k.Certificate(helloFrom(in)); err != nil || cert == nil {
		t.Errorf("who comes to the address gets %v", err)
	}
	if _, err := k.Certificate(helloFrom(nil)); !errors.Is(err, ErrNone) {
		t.Errorf("who comes to nothing gets %v", err)
	}
}
