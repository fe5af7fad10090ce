package store

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestCursorComesBack(t *testing.T) {
	want := cursor{List: "events", Numbers: []int64{-1, 1 << 62}, Texts: []string{"ü\"", ""}}
	got, found, err := parseCursor(want.String(), "events", 2, 2)
	if err != nil || !found || !slices.Equal(got.Numbers, want.Numbers) || !slices.Equal(got.Texts, want.Texts) {
		t.Errorf("%+v, %v, %v", got, found, err)
	}
	if _, found, err := parseCursor("", "events", 2, 2); found || err != nil {
		t.Errorf("the start: %v, %v", found, err)
	}
}

func TestBadCursors(t *testing.T) {
	text := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	good := cursor{List: "events", Numbers: []int64{1}}
	for name, c := range map[string]string{
		"no base64":            "!!!",
		"padded":               base64.URLEncoding.EncodeToString([]byte(`{"l":"events","n":[1]} `)) + "=",
		"no JSON":              text("nonsense"),
		"another list":         cursor{List: "deploys", Numbers: []int64{1}}.String(),
		"too few numbers":      cursor{List: "events"}.String(),
		"too many texts":       cursor{List: "events", Numbers: []int64{1}, Texts: []string{"x"}}.String(),
		"a fraction":           text(`{"l":"events","n":[1.5]}`),
		"a huge number":        text(`{"l":"events","n":[99999999999999999999]}`),
		"an unknown key":       text(`{"l":"events","n":[1],"x":1}`),
		"something behind it":  text(`{"l":"events","n":[1]}{}`),
		"very long":            strings.Repeat("A", 1<<20),
		"a part of a good one": good.String()[:8],
	} {
		if _, _, err := parseCursor(c, "events", 1, 0); !errors.Is(err, ErrBadCursor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := parseCursor(text("{\"l\":\"events\",\"t\":[\"\\u0000\"]}"), "events", 0, 1); !errors.Is(err, ErrBadCursor) {
		t.Errorf("NUL: %v", err)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add(cursor{List: "events", Numbers: []int64{1}, Texts: []string{"a"}}.String())
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"l":"events","n":[1],"t":["\u0000"]}`)))
	f.Fuzz(func(t *testing.T, s string) {
		c, found, err := parseCursor(s, "events", 1, 1)
		if err != nil {
			if !errors.Is(err, ErrBadCursor) {
				t.Fatal(err)
			}
			return
		}
		if !found {
			return
		}
		again, _, err := parseCursor(c.String(), "events", 1, 1)
		if err != nil || again.Numbers[0] != c.Numbers[0] || again.Texts[0] != c.Texts[0] {
			t.Fatalf("%+v comes back as %+v, %v", c, again, err)
		}
	})
}

func TestNewIDRisesAndNeverRepeats(t *testing.T) {
	before := ""
	for range 100_000 {
		id := NewID()
		if id <= before || len(id) != 16 {
			t.Fatalf("%s after %s", id, before)
		}
		before = id
	}
}
