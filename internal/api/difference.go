package api

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// differenceOf compares what the API shows of a thing before and after a change, in the fields that are named; in none: in all. What
// the API never shows cannot get into it: of such a field the caller notes that it changed.
func differenceOf(before, after any, fields ...string) store.Difference {
	d := store.Difference{}
	from, to := formOf(before), formOf(after)
	if len(fields) == 0 {
		d.NoteEach(from, to)
	}
	for _, field := range fields {
		d.Note(field, from[field], to[field])
	}
	return d
}

// formOf are the fields of what the API shows.
func formOf(shown any) (form map[string]any) {
	text, err := json.Marshal(shown)
	if err != nil || json.Unmarshal(text, &form) != nil {
		return nil // whatever the API shows can be written, and is an object
	}
	return form
}

// specDifference is what of a spec is another one, by its fields as spec.ports. Of variables only the names are told, whether they
// are secret or plain: whoever may read events may not see all that operators may.
func specDifference(d store.Difference, before, after store.Spec) {
	for _, part := range deploy.Compare(before, after) {
		field := "spec." + part.Field
		if part.Name != "" {
			field += "." + part.Name
		}
		if part.Field == "env" {
			d.NoteSecret(field, true)
			continue
		}
		d.Note(field, orNil(part.Running), orNil(part.Wanted))
	}
}

// orNil is nothing where there is no text.
func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// routeDifference is what of a route is another one. A header's value may let somebody in, and so may a name with another password.
func routeDifference(before, after store.Route, changed []string) store.Difference {
	d := differenceOf(routeForm(before), routeForm(after))
	for _, field := range []string{"request_headers", "response_headers", "basic_auth"} {
		if slices.Contains(changed, field) && (d[field] == nil || strings.HasSuffix(field, "_headers")) {
			d.NoteSecret(field, true)
		}
	}
	return d
}
