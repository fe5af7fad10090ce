package store

import (
	"context"
	"errors"
	"path/filepath"
)

// ErrNone says that there is no store yet; the first start makes it.
var ErrNone = errors.New("there is no database yet")

// Examine looks at a store without changing anything of it, also while a daemon uses it: whether it can be read, is ours, is whole, has a
// schema that this program knows, and fits the key file. ErrNone when there is none; ErrHalfRestored while a restore did not come to its end.
func Examine(ctx context.Context, o Options) (err error) {
	if err := refuseHalfRestored(o.DataDir); err != nil {
		return err
	}
	base, err := connect(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.close()) }()
	if d, ok := base.(*sqliteDatabase); ok {
		d.keepLog()
	}
	if err := base.examine(ctx); err != nil {
		return err
	}
	read, _ := base.pools()
	known, err := queries{sql: read}.meta(ctx)
	if err != nil {
		return err
	}
	if known[metaInstallation] == "" {
		return ErrNone
	}
	seal, err := loadKey(filepath.Join(o.DataDir, keyFile), false)
	if err != nil {
		return err
	}
	return seal.prove(known[metaKeyCheck])
}

func (d *sqliteDatabase) examine(ctx context.Context) error {
	has, fresh, err := d.look(ctx)
	if err != nil {
		return err
	}
	if fresh || has == 0 {
		return ErrNone
	}
	p, err := d.migrations()
	if err != nil {
		return err
	}
	if err := refuseNewer(has, newest(p)); err != nil {
		return err
	}
	return d.check(ctx)
}

func (d *postgresDatabase) examine(ctx context.Context) error {
	has, err := d.version(ctx)
	if err != nil {
		return err
	}
	if has == 0 {
		return ErrNone
	}
	p, err := d.migrations()
	if err != nil {
		return err
	}
	return refuseNewer(has, newest(p))
}
