package store

import (
	"encoding/json"
	"fmt"
	"reflect"
)

const (
	// mostOfValue is how long a value of a difference may be, as JSON; of a longer one only the size is kept.
	mostOfValue = 1 << 10
	// mostOfDifference leaves the rest of an event's data its room.
	mostOfDifference = maxData / 2
)

// Difference is what a change makes another, by the names that the fields have in the API. It stands in the event of the change
// as data.difference: {"image": {"from": "shop", "to": "web"}, "password": {"changed": true}}.
type Difference map[string]any

// Note adds a field whose values differ as JSON. A long value is replaced by its size.
func (d Difference) Note(field string, from, to any) {
	was, is := jsonForm(from), jsonForm(to)
	if !reflect.DeepEqual(was, is) {
		d[field] = map[string]any{"from": brief(was), "to": brief(is)}
	}
}

// NoteSecret adds that a field changed whose values are told to nobody.
func (d Difference) NoteSecret(field string, changed bool) {
	if changed {
		d[field] = map[string]any{"changed": true}
	}
}

// Hide leaves of every change that there was one: not all who read events may read what the fields hold.
func (d Difference) Hide() {
	for field := range d {
		d.NoteSecret(field, true)
	}
}

// NoteEach adds every field that one of two forms has and the other has not, or has otherwise.
func (d Difference) NoteEach(from, to map[string]any) {
	for field := range from {
		d.Note(field, from[field], to[field])
	}
	for field := range to {
		d.Note(field, from[field], to[field])
	}
}

// Differ puts a difference into an event. Of one that is too large as a whole only the fields are told.
func (e *Event) Differ(d Difference) {
	if len(d) == 0 {
		return
	}
	if text, err := json.Marshal(d); err != nil || len(text) > mostOfDifference {
		short := Difference{}
		for field := range d {
			short.NoteSecret(field, true)
		}
		d = short
	}
	if e.Data == nil {
		e.Data = map[string]any{}
	}
	e.Data["difference"] = map[string]any(d)
}

// jsonForm is a value as it will be read again; what has no JSON form is told by its Go one.
func jsonForm(v any) (form any) {
	text, err := json.Marshal(v)
	if err != nil || json.Unmarshal(text, &form) != nil {
		return fmt.Sprint(v)
	}
	return form
}

func brief(v any) any {
	if text, err := json.Marshal(v); err == nil && len(text) > mostOfValue {
		return fmt.Sprintf("(%d bytes)", len(text))
	}
	return v
}
