package deploy

import (
	"errors"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// mistake is one thing that is wrong with what a user wrote: its field as the API calls it (ports[1].container), and words that tell
// the value too. It is an ErrInvalid.
type mistake store.FieldError

func (m mistake) Error() string { return ErrInvalid.Error() + " " + m.Reason }

// Unwrap lets whoever answers tell where it is.
func (m mistake) Unwrap() []error { return []error{ErrInvalid, store.FieldError(m)} }

// mark notes a mistake.
type mark func(field, words string, values ...any)

// marking notes mistakes in a list.
func marking(wrong *[]error) mark {
	return func(field, words string, values ...any) {
		*wrong = append(*wrong, mistake{Field: field, Reason: fmt.Sprintf(words, values...)})
	}
}

// item is the name of one of a list.
func item(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// inSpec tells of the mistakes of a spec where it is a part of what was asked.
func inSpec(wrong error) error {
	many, ok := wrong.(interface{ Unwrap() []error })
	if !ok {
		return wrong
	}
	var placed []error
	for _, one := range many.Unwrap() {
		if m, ok := errors.AsType[mistake](one); ok {
			m.Field = "spec." + m.Field
			one = m
		}
		placed = append(placed, one)
	}
	return errors.Join(placed...)
}
