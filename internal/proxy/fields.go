package proxy

import "errors"

// FieldErrors are the wrong fields in an error, however deep they are joined.
func FieldErrors(err error) []FieldError {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []FieldError
		for _, one := range many.Unwrap() {
			all = append(all, FieldErrors(one)...)
		}
		return all
	}
	if f, ok := errors.AsType[FieldError](err); ok {
		return []FieldError{f}
	}
	return nil
}
