package store

import "context"

// CheckKey looks whether the key file is still there and the one that fits the database, as the next start will want it. It changes nothing.
func (db *DB) CheckKey(ctx context.Context) error {
	seal, err := loadKey(db.seal.file, false)
	if err != nil {
		return err
	}
	known, err := db.meta(ctx)
	if err != nil {
		return err
	}
	return seal.prove(known[metaKeyCheck])
}
