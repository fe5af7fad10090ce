package compose

import "slices"

// form is how a key may be written. The library takes much that it does not understand for nothing; here nothing is lost.
type form int

const (
	anyForm    form = iota
	scalarForm      // a: b
	wordsForm       // a: b c, or a list of words
	textsForm       // a list of words
	listForm        // a list
	pairsForm       // a list of NAME=VALUE, or an object of them
	namesForm       // a list of names, or an object
	objectForm
)

func formOf(key string) form {
	switch key {
	case "image", "network_mode", "pid", "ipc", "restart", "user", "working_dir", "init", "read_only", "privileged", "stop_grace_period",
		"mem_limit", "cpus", "pids_limit":
		return scalarForm
	case "command", "entrypoint":
		return wordsForm
	case "cap_add", "cap_drop":
		return textsForm
	case "ports", "volumes":
		return listForm
	case "environment", "labels":
		return pairsForm
	case "networks":
		return namesForm
	case "healthcheck", "deploy":
		return objectForm
	}
	return anyForm
}

// formed notes a key that is not written as it must be.
func (r *serviceReader) formed(f field, key string, want form) bool {
	ok, how := f.item.is(want)
	if !ok {
		r.note(Blocked, f.line, key, how+" is expected", "write it in that form")
	}
	return ok
}

// is tells whether an item is written in a form, and what that form is called.
func (i *item) is(want form) (ok bool, how string) {
	words := i.kind == list && !slices.ContainsFunc(i.items, func(one *item) bool { return one.kind != scalar })
	switch want {
	case scalarForm:
		return i.kind == scalar || i.kind == nothing, "one value"
	case wordsForm:
		return i.kind == scalar || i.kind == nothing || words, "a line, or a list of words,"
	case textsForm:
		return words, "a list of words"
	case listForm:
		return i.kind == list, "a list"
	case pairsForm:
		flat := i.kind == object && !slices.ContainsFunc(i.fields, func(f field) bool { return f.item.kind != scalar && f.item.kind != nothing })
		return i.kind == nothing || words || flat, "a list of NAME=VALUE, or of NAME: VALUE,"
	case namesForm:
		return words || i.kind == object, "a list of names"
	case objectForm:
		return i.kind == object, "a list of KEY: VALUE"
	case anyForm:
	}
	return true, ""
}

// asText is a scalar as it was written: a size of 1.5 is not a number to the library.
func asText(i *item) *item {
	if i.kind != scalar {
		return i
	}
	text := *i
	text.value = i.text()
	return &text
}
