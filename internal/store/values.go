package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// millis is how a time is kept: BIGINT unix milliseconds, NULL for a zero time.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// at scans what millis wrote.
type at struct{ to *time.Time }

// Scan reads a BIGINT or NULL.
func (a at) Scan(v any) error {
	switch ms := v.(type) {
	case nil:
		*a.to = time.Time{}
	case int64:
		*a.to = time.UnixMilli(ms).UTC()
	default:
		return fmt.Errorf("a time is kept as a number, not as %T", v)
	}
	return nil
}

// span scans a duration that is kept as BIGINT milliseconds.
type span struct{ to *time.Duration }

// Scan reads a BIGINT.
func (d span) Scan(v any) error {
	ms, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a duration is kept as a number, not as %T", v)
	}
	*d.to = time.Duration(ms) * time.Millisecond
	return nil
}

// bit is how a truth value is kept: BIGINT 0 or 1.
func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// truth scans what bit wrote.
type truth struct{ to *bool }

// Scan reads a BIGINT.
func (f truth) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a truth value is kept as a number, not as %T", v)
	}
	*f.to = n != 0
	return nil
}

// truthOrNull scans what bit wrote; NULL is false.
type truthOrNull struct{ to *bool }

// Scan reads a BIGINT or NULL.
func (f truthOrNull) Scan(v any) error {
	if v == nil {
		*f.to = false
		return nil
	}
	return truth(f).Scan(v)
}

// count scans a small whole number; database/sql would go by way of its text.
type count struct{ to *int }

// Scan reads a BIGINT.
func (c count) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a count is kept as a number, not as %T", v)
	}
	*c.to = int(n)
	return nil
}

// optional keeps an empty text as NULL.
func optional(s string) any {
	if s == "" {
		return nil
	}
	return clean(s)
}

// blob keeps no bytes as NULL.
func blob(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// text scans a TEXT that may be NULL.
type text struct{ to *string }

// Scan reads a TEXT or NULL.
func (t text) Scan(v any) error {
	switch s := v.(type) {
	case nil:
		*t.to = ""
	case string:
		*t.to = s
	case []byte:
		*t.to = string(s)
	default:
		return fmt.Errorf("a text is kept as text, not as %T", v)
	}
	return nil
}

// clean makes any text one that both dialects keep: PostgreSQL refuses NUL and
// bytes that are not UTF-8, and engines and images do send them.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// jsonOf is the JSON text of a value of ours.
func jsonOf(what string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return string(text), nil
}

// fromJSON scans what jsonOf wrote.
type fromJSON struct{ to any }

// Scan reads a TEXT of JSON.
func (j fromJSON) Scan(v any) error {
	var s string
	if err := (text{&s}).Scan(v); err != nil {
		return err
	}
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), j.to)
}
