package template

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// builtins are the functions that every template has.
var builtins = map[string]any{
	"and": struct{}{}, "or": struct{}{}, // they do not evaluate all that they are given: see decide
	"not": func(v any) bool { return !truth(reflect.ValueOf(v)) },

	"len": length, "index": index, "slice": slice,

	"eq": equal,
	"ne": func(a, b any) (bool, error) {
		is, err := equal(a, b)
		return !is, err
	},
	"lt": func(a, b any) (bool, error) { return ordered(a, b, func(c int) bool { return c < 0 }) },
	"le": func(a, b any) (bool, error) { return ordered(a, b, func(c int) bool { return c <= 0 }) },
	"gt": func(a, b any) (bool, error) { return ordered(a, b, func(c int) bool { return c > 0 }) },
	"ge": func(a, b any) (bool, error) { return ordered(a, b, func(c int) bool { return c >= 0 }) },

	"print": fmt.Sprint, "println": fmt.Sprintln,
	"printf": printf,

	"html":     func(args ...any) string { return html.Replace(shown(args)) },
	"js":       func(args ...any) string { return js(shown(args)) },
	"urlquery": func(args ...any) string { return url.QueryEscape(shown(args)) },
}

// times have these methods in every template.
var times = Methods{
	reflect.TypeFor[time.Time](): {
		"Add": time.Time.Add, "AddDate": time.Time.AddDate, "After": time.Time.After, "Before": time.Time.Before, "Compare": time.Time.Compare,
		"Day": time.Time.Day, "Equal": time.Time.Equal, "Format": time.Time.Format, "Hour": time.Time.Hour, "IsZero": time.Time.IsZero,
		"Local": time.Time.Local, "Minute": time.Time.Minute, "Month": time.Time.Month, "Nanosecond": time.Time.Nanosecond,
		"Round": time.Time.Round, "Second": time.Time.Second, "String": time.Time.String, "Sub": time.Time.Sub, "Truncate": time.Time.Truncate,
		"UTC": time.Time.UTC, "Unix": time.Time.Unix, "UnixMilli": time.Time.UnixMilli, "Weekday": time.Time.Weekday, "Year": time.Time.Year,
		"YearDay": time.Time.YearDay,
	},
	reflect.TypeFor[time.Duration](): {
		"Abs": time.Duration.Abs, "Hours": time.Duration.Hours, "Milliseconds": time.Duration.Milliseconds, "Minutes": time.Duration.Minutes,
		"Round": time.Duration.Round, "Seconds": time.Duration.Seconds, "String": time.Duration.String, "Truncate": time.Duration.Truncate,
	},
	reflect.TypeFor[time.Month]():   {"String": time.Month.String},
	reflect.TypeFor[time.Weekday](): {"String": time.Weekday.String},
}

func length(of any) (int, error) {
	v := reflect.ValueOf(of)
	switch v.Kind() {
	case reflect.String, reflect.Slice, reflect.Map:
		return v.Len(), nil
	default:
		return 0, fmt.Errorf("%s has no length", kind(v))
	}
}

// index is of[at][at]...
func index(of any, at ...any) (any, error) {
	if of == nil {
		return nil, errors.New("nothing is there")
	}
	for _, at := range at {
		v := reflect.ValueOf(of)
		key, text := at.(string)
		switch {
		case v.Kind() == reflect.String || v.Kind() == reflect.Slice:
			i, err := place(at, v.Len()-1)
			if err != nil {
				return nil, err
			}
			of = v.Index(i).Interface()
		case v.Kind() == reflect.Map && text:
			if found := v.MapIndex(reflect.ValueOf(key)); found.IsValid() {
				of = found.Interface()
			} else {
				of = reflect.Zero(v.Type().Elem()).Interface()
			}
		default:
			return nil, fmt.Errorf("there is no place %v in %s", at, kind(v))
		}
	}
	return of, nil
}

// slice is of[at:], of[at:at] or of[at:at:at].
func slice(of any, at ...any) (any, error) {
	v, end := reflect.ValueOf(of), 0
	switch {
	case v.Kind() == reflect.Slice && len(at) <= 3:
		end = v.Cap()
	case v.Kind() == reflect.String && len(at) <= 2:
		end = v.Len()
	default:
		return nil, fmt.Errorf("%s cannot be cut at %d places", kind(v), len(at))
	}
	cuts := []int{0, v.Len(), end}
	for i, at := range at {
		var err error
		if cuts[i], err = place(at, end); err != nil {
			return nil, err
		}
	}
	switch {
	case !slices.IsSorted(cuts):
		return nil, fmt.Errorf("places go up, unlike %v", cuts)
	case len(at) == 3:
		return v.Slice3(cuts[0], cuts[1], cuts[2]).Interface(), nil
	default:
		return v.Slice(cuts[0], cuts[1]).Interface(), nil
	}
}

// place is a number of one, up to the last there is.
func place(at any, last int) (int, error) {
	i, is := whole(reflect.ValueOf(at))
	if !is || i < 0 || i > int64(last) {
		return 0, fmt.Errorf("there is no place %v, only 0 to %d", at, last)
	}
	return int(i), nil
}

// whole is a number without fraction; one without sign is a byte of a text.
func whole(v reflect.Value) (int64, bool) {
	if v.CanUint() {
		return int64(v.Uint()), true
	}
	if v.CanInt() {
		return v.Int(), true
	}
	return 0, false
}

// equal tells whether a is any of some.
func equal(a any, some ...any) (bool, error) {
	if len(some) == 0 {
		return false, errors.New("there is nothing to compare with")
	}
	for _, b := range some {
		x, y := reflect.ValueOf(a), reflect.ValueOf(b)
		order, is := compare(x, y)
		switch {
		case is:
			is = order == 0
		case a == nil, b == nil, x.Kind() == y.Kind() && (void(x) || void(y)):
			is = void(x) && void(y)
		case x.Kind() == y.Kind() && y.Comparable():
			is = a == b
		default:
			return false, fmt.Errorf("%s cannot be compared with %s", kind(x), kind(y))
		}
		if is {
			return true, nil
		}
	}
	return false, nil
}

// void tells what is like nil.
func void(v reflect.Value) bool {
	return !v.IsValid() || (v.Kind() == reflect.Map || v.Kind() == reflect.Slice) && v.IsNil()
}

func ordered(a, b any, as func(int) bool) (bool, error) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	order, is := compare(x, y)
	if !is {
		return false, fmt.Errorf("%s and %s have no order", kind(x), kind(y))
	}
	return as(order), nil
}

// compare orders numbers of one sort, and texts.
func compare(x, y reflect.Value) (order int, is bool) {
	if a, is := whole(x); is {
		b, is := whole(y)
		return cmp.Compare(a, b), is
	}
	switch {
	case x.CanFloat() && y.CanFloat():
		return cmp.Compare(x.Float(), y.Float()), true
	case x.Kind() == reflect.String && y.Kind() == reflect.String:
		return cmp.Compare(x.String(), y.String()), true
	}
	return 0, false
}

const nothing = "<no value>"

// shown is a text of values.
func shown(values []any) string {
	for i, v := range values {
		if v == nil {
			values[i] = nothing
		}
	}
	return fmt.Sprint(values...)
}

func printf(format string, args ...any) (string, error) {
	if err := narrow(format); err != nil {
		return "", err
	}
	return fmt.Sprintf(format, args...), nil
}

// narrow refuses a format that is long, as one that a template has built, or asks for a wide field: a few of them would fill the memory.
func narrow(format string) error {
	if len(format) > MaxLength {
		return fmt.Errorf("a format that is longer than %d bytes is not possible here", MaxLength)
	}
	digits := 0
	for _, c := range format {
		if c == '*' {
			return errors.New("a width of * is not possible here")
		}
		if c < '0' || c > '9' {
			digits = 0
			continue
		}
		if digits++; digits > 3 {
			return errors.New("a width of more than three digits is not possible here")
		}
	}
	return nil
}

var html = strings.NewReplacer("\x00", "\uFFFD", `"`, "&#34;", "'", "&#39;", "&", "&amp;", "<", "&lt;", ">", "&gt;")

// js escapes what would end a string of JavaScript, or a script in HTML.
func js(text string) string {
	var out strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case strings.ContainsRune(`\'"`, r):
			out.WriteString(`\` + text[:size])
		case r < ' ', strings.ContainsRune("<>&=", r), r >= utf8.RuneSelf && !unicode.IsPrint(r):
			fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.WriteString(text[:size])
		}
		text = text[size:]
	}
	return out.String()
}
