package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPasswordHash(t *testing.T) {
	h := newHasher()
	first, err := h.hash(t.Context(), "a very secret password")
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.hash(t.Context(), "a very secret password")
	if err != nil || first == second {
		t.Errorf("no salt: %v", err)
	}
	for _, tt := range []struct {
		encoded, password string
		want              bool
	}{
		{first, "a very secret password", true},
		{second, "a very secret password", true},
		{first, "a very secret passworD", false},
		{first, "", false},
		{first, strings.Repeat("x", longestPassword+1), false},
		{"", "a very secret password", false}, // nobody of that name
		{"", "", false},
	} {
		if got, err := h.matches(t.Context(), tt.encoded, tt.password); got != tt.want || err != nil {
			t.Errorf("matches(%q, %q) = %t, %v", tt.encoded, tt.password, got, err)
		}
	}
}

func TestBrokenHashNeverMatches(t *testing.T) {
	for _, encoded := range []string{
		"x", "$argon2id$", "$argon2i$v=19$m=16,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFhYQ", "$argon2id$v=18$m=16,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFhYQ",
		"$argon2id$v=19$m=16,t=0,p=1$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFhYQ", "$argon2id$v=19$m=16,t=1,p=0$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFhYQ",
		"$argon2id$v=19$m=99999999,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFhYQ", "$argon2id$v=19$m=16,t=1,p=1$YWFhYWFhYWE$", "$argon2id$v=19$m=16,t=1,p=1$!$YWFhYWFhYWFhYWFhYWFhYQ",
	} {
		if ok, err := compare(encoded, ""); ok || !errors.Is(err, errHash) {
			t.Errorf("compare(%q) = %t, %v", encoded, ok, err)
		}
	}
}

func TestHashesAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		var releases []func()
		for range hashesAtOnce {
			release, err := h.acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.matches(ctx, "", "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one too many: %v", err)
		}
		releases[0]()
		if _, err := h.acquire(t.Context()); err != nil {
			t.Errorf("after one ended: %v", err)
		}
	})
}

func TestThrottleKeepsItsSize(t *testing.T) {
	th := newThrottle()
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for i := range 3 * throttleKeys {
		th.allow(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&0xff, i&0xff), "anna", now)
	}
	if n := len(th.keys); n > throttleKeys {
		t.Errorf("%d keys", n)
	}
	if ok, _ := th.allow("203.0.113.9:1", "anna", now); ok {
		t.Error("a flood from everywhere is let through")
	}
	if ok, _ := th.allow("203.0.113.9:1", "anna", now.Add(time.Hour)); !ok {
		t.Error("an hour later it is still shut")
	}
}

func TestGuessesFromEverywhereAreSlowedDown(t *testing.T) {
	th := newThrottle()
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	var refused, told int
	for i := range 130 {
		ok, tell := th.allow(fmt.Sprintf("198.51.%d.%d:1", i/100, i%100), "anna", now)
		if !ok {
			refused++
		}
		if tell {
			told++
		}
	}
	if refused != 30 || told != 1 {
		t.Errorf("%d of 130 guesses from as many addresses were refused, told %d times", refused, told)
	}
	if ok, _ := th.allow("203.0.113.1:1", "bert", now); !ok {
		t.Error("another name is refused")
	}
	if ok, _ := th.allow("203.0.113.1:1", "anna", now.Add(time.Minute)); !ok {
		t.Error("a minute later it is still shut")
	}
}

func TestNetworkOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:80":                  "192.0.2.7",
		"192.0.2.7":                     "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:80":     "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff:4:5:7]:443": "2001:db8:1:2::/64",
		"[::ffff:192.0.2.7]:80":         "192.0.2.7",
		"[fe80::1%eth0]:80":             "fe80::/64",
		"2001:db8:1:2:3:4:5:6":          "2001:db8:1:2::/64",
		"::ffff:192.0.2.7":              "192.0.2.7",
		"fe80::1%eth0":                  "fe80::/64",
		"@":                             "@",
		"":                              "",
	} {
		if got := NetworkOf(addr); got != want {
			t.Errorf("NetworkOf(%q) = %q, want %q", addr, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, tt := range []struct {
		s     string
		limit int
		want  string
	}{{"anna", 10, "anna"}, {"anna", 2, "an"}, {"äää", 3, "ä"}, {"äää", 4, "ää"}, {"äää", 0, ""}} {
		if got := clip(tt.s, tt.limit); got != tt.want {
			t.Errorf("clip(%q, %d) = %q", tt.s, tt.limit, got)
		}
	}
}
