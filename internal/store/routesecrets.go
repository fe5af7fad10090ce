package store

import "context"

// sealRoute seals the secrets of a route for its row; nil: it has none.
func (q queries) sealRoute(r Route) any {
	if r.Secrets == "" {
		return nil
	}
	return q.seal.close([]byte(r.Secrets), placeOfRoute(r.ID, r.Standalone))
}

func (q queries) openRoute(r *Route, sealed []byte) error {
	if len(sealed) == 0 {
		return nil
	}
	plain, err := q.seal.open(sealed, placeOfRoute(r.ID, r.Standalone))
	r.Secrets = string(plain)
	return err
}

func placeOfRoute(id string, standalone bool) []byte {
	if standalone {
		return place("standalone_proxies", id, "secrets")
	}
	return place("routes", id, "secrets")
}

// SealRouteOptions writes the options of a route anew, apart from its secrets; nothing else of it moves.
func (tx *Tx) SealRouteOptions(ctx context.Context, r Route) error {
	table := "routes"
	if r.Standalone {
		table = "standalone_proxies"
	}
	return tx.execOne(ctx, "seal the secrets of route "+r.ID, ErrNotFound,
		`UPDATE `+table+` SET options = $1, secrets = $2 WHERE id = $3`, clean(r.Options), tx.sealRoute(r), r.ID)
}

// RoutesWithOpenSecrets returns the routes that were written when their secrets lay among their options.
func (q queries) RoutesWithOpenSecrets(ctx context.Context) ([]Route, error) {
	rows, err := list(ctx, q, "look for secrets that are not sealed", q.scanRoute,
		selectRoutes+` WHERE x.secrets IS NULL AND (x.options LIKE '%"hash":"%' OR x.options LIKE '%"value":"%') ORDER BY x.id`)
	routes := make([]Route, len(rows))
	for n, r := range rows {
		routes[n] = r.Route
	}
	return routes, err
}
