package store

import (
	"context"
	"maps"
)

// asker is who asks for something, and from where.
type asker struct{ actor, addr string }

type askerKey struct{}

// AskedFrom returns a context of somebody's request: every event of theirs that is kept in it says from which address they asked,
// as data.addr, however deep below the API it is made. What happens by itself meanwhile has another actor, and says nothing.
func AskedFrom(ctx context.Context, actor, addr string) context.Context {
	return context.WithValue(ctx, askerKey{}, asker{actor: actor, addr: addr})
}

// fromWhere adds the address to an event of whoever asks, unless it says one already.
func (a asker) fromWhere(e Event) Event {
	if a.addr == "" || e.Actor != a.actor {
		return e
	}
	if _, said := e.Data["addr"]; said {
		return e
	}
	data := make(map[string]any, len(e.Data)+1) // that of the event may be shared
	maps.Copy(data, e.Data)
	data["addr"] = a.addr
	e.Data = data
	return e
}
