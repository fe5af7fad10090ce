package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Revision is that of what admins say of a user: what they may, and whether they may sign in at all. It is made of just that: what was
// changed and changed back is as it was seen, and no sign-in, password or link moves it. Grants of others are left out.
func Revision(u store.User, grants []store.Grant) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %t", u.Name, u.Role, u.DisabledAt.IsZero())
	for _, g := range grants {
		if g.UserID == u.ID {
			fmt.Fprintf(h, " %q %q", g.ProjectID, g.Role)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// asSeen refuses what would change another revision of a user than was seen.
func asSeen(ctx context.Context, tx *store.Tx, u store.User, seen string) error {
	if seen == "" {
		return nil
	}
	grants, err := tx.Grants(ctx, u.ID)
	if err != nil {
		return err
	}
	if Revision(u, grants) != seen {
		return ErrChanged
	}
	return nil
}
