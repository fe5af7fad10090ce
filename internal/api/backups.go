package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/backup"
)

// backupTimeout bounds the making of one, which goes on when the caller leaves.
const backupTimeout = 2 * time.Hour

type backupJSON struct {
	Name  string `json:"name"`
	At    moment `json:"at"`
	Bytes int64  `json:"bytes"`
}

func backupOf(b backup.Backup) backupJSON {
	return backupJSON{Name: b.Name, At: moment(b.At), Bytes: b.Bytes}
}

type backupName struct {
	Name string `path:"name" maxLength:"100" doc:"as it is listed"`
}

func (s *server) listBackups(context.Context, *none) (*out[list[backupJSON]], error) {
	all, err := s.d.Backups.List()
	if err != nil {
		return nil, err
	}
	return answer(listOf(all, "", backupOf)), nil
}

func (s *server) makeBackup(ctx context.Context, _ *none) (*out[backupJSON], error) {
	v := visitOf(ctx)
	acting, cancel := s.beyondCaller(ctx, backupTimeout)
	defer cancel()
	b, err := s.d.Backups.Make(acting, backup.By{Actor: v.caller.Actor, Addr: v.addr})
	if err != nil {
		return nil, err
	}
	return answer(backupOf(b)), nil
}

func (s *server) getBackup(_ context.Context, in *backupName) (*streamOut, error) {
	f, b, err := s.d.Backups.Open(in.Name)
	if err != nil {
		return nil, err
	}
	return &streamOut{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		h := w.Header()
		h.Set("Content-Type", "application/gzip")
		h.Set("Content-Length", strconv.FormatInt(b.Bytes, 10))
		h.Set("Content-Disposition", `attachment; filename="`+b.Name+`"`)
		h.Set("Cache-Control", "no-store")
		steady := newSteadyWriter(w)
		_, err := io.Copy(steady, f)
		steady.finish()
		if err = errors.Join(err, f.Close()); err != nil && r.Context().Err() == nil && !errors.Is(err, errReaderGone) {
			s.log.WarnContext(r.Context(), "a backup could not be sent whole", "backup", b.Name, "error", err)
			panic(http.ErrAbortHandler) // half a backup must not look like a whole one
		}
	}}, nil
}

func (s *server) deleteBackup(ctx context.Context, in *backupName) (*none, error) {
	v := visitOf(ctx)
	return nil, s.d.Backups.Remove(ctx, in.Name, backup.By{Actor: v.caller.Actor, Addr: v.addr})
}
