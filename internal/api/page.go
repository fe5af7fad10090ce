package api

import "github.com/tiny-forge/docker-watcher/internal/store"

// list is one page of things.
type list[T any] struct {
	Items      []T    `json:"items" nullable:"false"`
	NextCursor string `json:"next_cursor,omitempty" doc:"ask for the next page with it; absent on the last page"`
}

func listOf[M, T any](models []M, next string, show func(M) T) list[T] {
	l := list[T]{Items: make([]T, 0, len(models)), NextCursor: next}
	for _, m := range models {
		l.Items = append(l.Items, show(m))
	}
	return l
}

// out is an answer with a body.
type out[T any] struct{ Body T }

func answer[T any](body T) *out[T] { return &out[T]{Body: body} }

// none is an input or an answer with nothing in it.
type none struct{}

// ByID is an input that names one thing.
type ByID struct {
	ID string `path:"id" doc:"its id" maxLength:"200"`
}

// PageQuery asks for one page of a list.
type PageQuery struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"how many a page"`
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before"`
}

func (p PageQuery) page() store.Page { return store.Page{Limit: p.Limit, Cursor: p.Cursor} }

// knownBytes is null while the size is not known.
func knownBytes(n int64, known bool) *int64 {
	if !known || n < 0 {
		return nil
	}
	return &n
}
