package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// readObject reads a JSON object exactly: no key twice, nothing behind it. JSON
// readers differ over which of two equal keys counts, and what deletes must not
// depend on that. No bytes at all are an empty object.
func readObject(body []byte) (map[string]json.RawMessage, error) {
	if len(body) == 0 {
		return map[string]json.RawMessage{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, invalid("body", "a JSON object is expected")
	}
	keys := map[string]json.RawMessage{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, invalid("body", "it is not valid JSON")
		}
		name, _ := key.(string) // the decoder lets nothing else be a key
		if _, twice := keys[name]; twice {
			return nil, invalid("body", "the key "+strconv.Quote(name)+" is there twice")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, invalid("body", "it is not valid JSON")
		}
		keys[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, invalid("body", "it is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("body", "something stands behind the object")
	}
	return keys, nil
}

// cleanupWish is what a cleanup's body asks for: a plan (dryRun), a plan to be
// applied (planID), or with neither both at once.
type cleanupWish struct {
	dryRun  bool
	tagGone bool // what its registry has no more may go
	planID  string
	filter  StaleFilter
}

const longestPlanID = 100

// readCleanup reads the body of a cleanup. What it does not understand whole is
// refused: a filter that was misspelt or left out must not widen what is removed.
func readCleanup(body []byte, filters bool) (cleanupWish, error) {
	var w cleanupWish
	keys, err := readObject(body)
	if err != nil {
		return w, err
	}
	for _, name := range sortedKeys(keys) {
		if err := w.read(name, keys[name], filters); err != nil {
			return cleanupWish{}, err
		}
	}
	_, plan := keys["plan_id"]
	switch {
	case plan && len(keys) > 1:
		return cleanupWish{}, invalid("body", "a plan is applied as it is: nothing may stand beside plan_id")
	case len(keys) > 0 && !plan && !w.dryRun:
		return cleanupWish{}, invalid("body", "filters need dry_run: true; apply the plan that it answers by its plan_id")
	}
	return w, nil
}

func sortedKeys(keys map[string]json.RawMessage) []string {
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (w *cleanupWish) read(name string, value json.RawMessage, filters bool) error {
	where := "body." + name
	switch name {
	case "dry_run":
		if string(value) != "true" {
			return invalid(where, "only true is possible; leave it out to apply")
		}
		w.dryRun = true
		return nil
	case "tag_gone":
		if string(value) != "true" {
			return invalid(where, "only true is possible; leave it out to keep what its registry has no more")
		}
		w.tagGone = true
		return nil
	case "plan_id":
		return readPlanID(where, value, &w.planID)
	}
	if !filters {
		return invalid(where, "there is no such key: only dry_run, tag_gone or plan_id")
	}
	return w.filter.read(name, where, value)
}

func readPlanID(where string, value json.RawMessage, into *string) error {
	if err := readValue(where, value, into, "an id of a plan"); err != nil {
		return err
	}
	if *into == "" || len(*into) > longestPlanID {
		return invalid(where, "an id of a plan is expected")
	}
	return nil
}

const (
	longestText   = 200
	mostIDs       = 500
	mostOlderThan = 36500
)

// read takes one key of a filter. A filter that is there says something: an empty one is refused.
func (f *StaleFilter) read(name, where string, value json.RawMessage) error {
	switch name {
	case "project":
		return readText(where, value, &f.Project)
	case "stage":
		return readText(where, value, &f.Stage)
	case "host":
		return readText(where, value, &f.Host)
	case "text":
		return readText(where, value, &f.Text)
	case "class":
		return f.readClasses(where, value)
	case "protected":
		f.Protected = new(bool)
		return readValue(where, value, f.Protected, "true or false")
	case "protection":
		return f.readProtection(where, value)
	case "older_than_days":
		err := readValue(where, value, &f.OlderThanDays, "a whole number of days")
		if err == nil && (f.OlderThanDays < 0 || f.OlderThanDays > mostOlderThan) {
			return invalid(where, "0 to "+strconv.Itoa(mostOlderThan))
		}
		return err
	case "ids":
		return f.readIDs(where, value)
	}
	return invalid(where, "there is no such key")
}

func (f *StaleFilter) readIDs(where string, value json.RawMessage) error {
	if err := readValue(where, value, &f.IDs, "a list of ids"); err != nil {
		return err
	}
	if len(f.IDs) == 0 || len(f.IDs) > mostIDs || slices.Contains(f.IDs, "") {
		return invalid(where, "1 to "+strconv.Itoa(mostIDs)+" ids are expected")
	}
	return nil
}

// classes are what a filter may ask for.
var classes = []store.Class{
	store.ClassExited, store.ClassFailed, store.ClassOOM, store.ClassNeverStarted, store.ClassPaused,
	store.ClassCrashLooping, store.ClassDead, store.ClassMissing, store.ClassEngineLost,
}

func (f *StaleFilter) readClasses(where string, value json.RawMessage) error {
	if err := readValue(where, value, &f.Class, "a list of classes"); err != nil {
		return err
	}
	if len(f.Class) == 0 {
		return invalid(where, "at least one class is expected")
	}
	for i, class := range f.Class {
		if !slices.Contains(classes, store.Class(class)) {
			return invalid(where+"["+strconv.Itoa(i)+"]", "there is no such class")
		}
	}
	return nil
}

// protections are what a filter may ask for.
var protections = []store.ProtectionKind{
	store.ProtectionPinned, store.ProtectionSnoozed, store.ProtectionKeep, store.ProtectionRollback, store.ProtectionTagGone,
}

func (f *StaleFilter) readProtection(where string, value json.RawMessage) error {
	if err := readValue(where, value, &f.Protection, "a list of kinds of protection"); err != nil {
		return err
	}
	if len(f.Protection) == 0 {
		return invalid(where, "at least one kind is expected")
	}
	for i, kind := range f.Protection {
		if !slices.Contains(protections, store.ProtectionKind(kind)) {
			return invalid(where+"["+strconv.Itoa(i)+"]", "there is no such kind")
		}
	}
	return nil
}

func readText(where string, value json.RawMessage, into *string) error {
	if err := readValue(where, value, into, "a text"); err != nil {
		return err
	}
	if *into == "" || len(*into) > longestText {
		return invalid(where, "1 to "+strconv.Itoa(longestText)+" characters are expected")
	}
	return nil
}

func readValue(where string, value json.RawMessage, into any, expected string) error {
	if string(value) == "null" || json.Unmarshal(value, into) != nil {
		return invalid(where, expected+" is expected")
	}
	return nil
}
