package proxy

import (
	"cmp"
	"slices"
	"strings"
)

// index finds the rule of a request: domains lead to their path prefixes, the longest first. It never changes once it is made.
type index[T any] map[string][]prefixed[T]

type prefixed[T any] struct {
	prefix string
	to     T
}

// add leads an address to something. Sort follows when all are there.
func (x index[T]) add(a Address, to T) {
	x[a.Domain] = append(x[a.Domain], prefixed[T]{a.PathPrefix, to})
}

func (x index[T]) sort() {
	for _, list := range x {
		slices.SortFunc(list, func(a, b prefixed[T]) int {
			return cmp.Or(cmp.Compare(len(b.prefix), len(a.prefix)), strings.Compare(a.prefix, b.prefix))
		})
	}
}

// find returns what an address leads to, and the prefix by which. Host is a Host header, p a path without its escapes.
func (x index[T]) find(host, p string) (to T, prefix string, ok bool) {
	list := x[hostOf(host)]
	if len(list) == 0 {
		return to, "", false
	}
	p = singleSlashes(p)
	for _, e := range list {
		if below(p, e.prefix) {
			return e.to, e.prefix, true
		}
	}
	return to, "", false
}

// singleSlashes writes several slashes in a row as one: many servers read them so, and nobody shall get round a rule by them.
func singleSlashes(p string) string {
	if !strings.Contains(p, "//") {
		return p
	}
	var b strings.Builder
	b.Grow(len(p))
	for i := range len(p) {
		if p[i] != '/' || i == 0 || p[i-1] != '/' {
			b.WriteByte(p[i])
		}
	}
	return b.String()
}
