package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// layout is RFC 3339 in UTC with milliseconds.
const layout = "2006-01-02T15:04:05.000Z"

// stamp is a moment that is always known.
type stamp time.Time

// MarshalJSON writes RFC 3339 in UTC with milliseconds.
func (s stamp) MarshalJSON() ([]byte, error) {
	text := append(make([]byte, 0, len(layout)+2), '"')
	return append(appendTime(text, time.Time(s).UTC()), '"'), nil
}

// appendTime writes a time in the layout. A page of a list holds hundreds of them, and the layout read anew for each
// would cost as much as all else of its JSON.
func appendTime(text []byte, t time.Time) []byte {
	year, month, d := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(text, layout)
	}
	hour, minute, second := t.Clock()
	text = appendDigits(text, year, 4, '-')
	text = appendDigits(text, int(month), 2, '-')
	text = appendDigits(text, d, 2, 'T')
	text = appendDigits(text, hour, 2, ':')
	text = appendDigits(text, minute, 2, ':')
	text = appendDigits(text, second, 2, '.')
	return appendDigits(text, t.Nanosecond()/int(time.Millisecond), 3, 'Z')
}

// appendDigits writes n with so many digits, and what follows it.
func appendDigits(text []byte, n, digits int, then byte) []byte {
	for range digits {
		text = append(text, '0')
	}
	for at := len(text) - 1; n > 0; at-- {
		text[at] = byte('0' + n%10)
		n /= 10
	}
	return append(text, then)
}

// Schema describes it to the OpenAPI document.
func (stamp) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

// moment is null while it is not known or has not come.
type moment time.Time

// MarshalJSON writes RFC 3339 in UTC with milliseconds, or null.
func (m moment) MarshalJSON() ([]byte, error) {
	if time.Time(m).IsZero() {
		return []byte("null"), nil
	}
	return stamp(m).MarshalJSON()
}

// Schema describes it to the OpenAPI document.
func (moment) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true}
}
