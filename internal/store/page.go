package store

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Page asks for one page; Limit 0 is 100, at most 1000. Cursor is a next cursor of the list before, or empty.
type Page struct {
	Limit  int
	Cursor string
}

const (
	defaultLimit = 100
	maxLimit     = 1000
	maxCursor    = 2048
)

func (p Page) limit() int {
	if p.Limit <= 0 {
		return defaultLimit
	}
	return min(p.Limit, maxLimit)
}

// cursor is where a page ended: the list and order that it belongs to, and the key
// of its last row. Keys are numbers or texts, in the order of the list.
type cursor struct {
	List    string   `json:"l"`
	Numbers []int64  `json:"n,omitempty"`
	Texts   []string `json:"t,omitempty"`
}

// String is the opaque text of the cursor.
func (c cursor) String() string {
	text, err := json.Marshal(c)
	if err != nil { // numbers and texts always have a JSON form
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseCursor reads a cursor of a list whose key has so many numbers and texts. An
// empty text is the start: found is false.
func parseCursor(text, list string, numbers, texts int) (c cursor, found bool, err error) {
	if text == "" {
		return cursor{}, false, nil
	}
	if len(text) > maxCursor {
		return cursor{}, false, fmt.Errorf("%w: too long", ErrBadCursor)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return cursor{}, false, fmt.Errorf("%w: not base64", ErrBadCursor)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return cursor{}, false, fmt.Errorf("%w: not one of ours", ErrBadCursor)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return cursor{}, false, fmt.Errorf("%w: not one of ours", ErrBadCursor)
	}
	if c.List != list || len(c.Numbers) != numbers || len(c.Texts) != texts {
		return cursor{}, false, fmt.Errorf("%w: it belongs to another list or order", ErrBadCursor)
	}
	for _, t := range c.Texts {
		if t != clean(t) {
			return cursor{}, false, fmt.Errorf("%w: not one of ours", ErrBadCursor)
		}
	}
	return c, true, nil
}

// cut shortens a list that was asked for with one row too many, and says where it goes on.
func cut[T any](items []T, limit int, last func(T) cursor) ([]T, string) {
	if len(items) <= limit {
		return items, ""
	}
	items = items[:limit]
	return items, last(items[limit-1]).String()
}

// arguments collects the values of a query; add returns the placeholder. Call it
// in the order of the text: SQLite numbers placeholders by their first use.
type arguments []any

func (a *arguments) add(v any) string {
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}

// in returns "($1, $2, ...)" for some values.
func in[T any](a *arguments, values []T) string {
	marks := make([]string, len(values))
	for i, v := range values {
		marks[i] = a.add(v)
	}
	return "(" + strings.Join(marks, ", ") + ")"
}

// where joins conditions that must all hold.
type where []string

func (w *where) and(condition string) { *w = append(*w, condition) }

func (w where) String() string {
	if len(w) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w, " AND ")
}

// contains returns a LIKE pattern for "has text in it". Both dialects fold the case
// of ASCII letters only (the columns of PostgreSQL collate as C), so it does too.
func contains(text string) string {
	folded := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, clean(text))
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(folded) + "%"
}
