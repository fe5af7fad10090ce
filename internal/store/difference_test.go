package store_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestDifference(t *testing.T) {
	for name, c := range map[string]struct {
		from, to any
		want     any // nil: none
	}{
		"the same":              {"a", "a", nil},
		"another":               {"a", "b", map[string]any{"from": "a", "to": "b"}},
		"none before":           {nil, "b", map[string]any{"from": nil, "to": "b"}},
		"a pointer to the same": {new("a"), new("a"), nil},
		"a pointer to nothing":  {(*string)(nil), new("a"), map[string]any{"from": nil, "to": "a"}},
		"numbers of two types":  {7, int64(7), nil},
		"empty is not nothing":  {"", nil, map[string]any{"from": "", "to": nil}},
		"equal lists":           {[]string{"a"}, []string{"a"}, nil},
		"lists":                 {[]string{"a"}, []string{"b", "a"}, map[string]any{"from": []any{"a"}, "to": []any{"b", "a"}}},
		"equal maps":            {map[string]int{"a": 1, "b": 2}, map[string]int{"b": 2, "a": 1}, nil},
		"a long value":          {strings.Repeat("x", 2000), "", map[string]any{"from": "(2002 bytes)", "to": ""}},
		"two long values":       {strings.Repeat("x", 2000), strings.Repeat("y", 2000), map[string]any{"from": "(2002 bytes)", "to": "(2002 bytes)"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := store.Difference{}
			d.Note("field", c.from, c.to)
			if diff := cmp.Diff(c.want, d["field"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDifferenceOfSecretsAndForms(t *testing.T) {
	d := store.Difference{}
	d.NoteSecret("kept", false)
	d.NoteSecret("password", true)
	d.NoteEach(map[string]any{"gone": 1, "same": 2, "moved": 3}, map[string]any{"same": 2, "moved": 4, "new": nil, "other": 5})
	if diff := cmp.Diff([]string{"gone", "moved", "other", "password"}, slices.Sorted(maps.Keys(d))); diff != "" {
		t.Error(diff)
	}
	if text := fmt.Sprint(d["password"]); text != "map[changed:true]" {
		t.Error(text)
	}
}

// TestDifferFitsIntoAnEvent: a difference never pushes out the rest of an event's data.
func TestDifferFitsIntoAnEvent(t *testing.T) {
	var e store.Event
	e.Differ(store.Difference{})
	if e.Data != nil {
		t.Errorf("no difference is told: %v", e.Data)
	}
	d := store.Difference{}
	for n := range 60 {
		d.Note(fmt.Sprintf("field-%d", n), strings.Repeat("a", 500), strings.Repeat("b", 500))
	}
	e.Data = map[string]any{"addr": "203.0.113.7"}
	e.Differ(d)
	told, _ := e.Data["difference"].(map[string]any)
	if text, err := json.Marshal(e.Data); err != nil || len(text) > 10_000 || len(told) != 60 || e.Data["addr"] == nil || strings.Contains(string(text), "aaa") {
		t.Errorf("%d fields, %d bytes, %v", len(told), len(text), err)
	}
	if len(d) != 60 || fmt.Sprint(d["field-0"]) == "map[changed:true]" {
		t.Error("the caller's was changed")
	}
}
