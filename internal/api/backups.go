package api

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// backupTimeout bounds the making of one, which goes on when the caller leaves.
const backupTimeout = 2 * time.Hour

type backupJSON struct {
	Name           string `json:"name" doc:"given only after it was read again and compared"`
	At             moment `json:"at" doc:"when it was made, and checked"`
	Bytes          int64  `json:"bytes"`
	RestoreCommand string `json:"restore_command" doc:"what puts it back, on the machine of the daemon once that is stopped"`
}

func (s *server) backupOf(b backup.Backup) backupJSON {
	return backupJSON{Name: b.Name, At: moment(b.At), Bytes: b.Bytes, RestoreCommand: s.d.Backups.RestoreCommand(b.Name)}
}

// backupListJSON is a list with what is to come.
type backupListJSON struct {
	Items        []backupJSON `json:"items" nullable:"false"`
	NextCursor   string       `json:"next_cursor,omitempty" doc:"ask for the next page with it; absent on the last page"`
	Folder       string       `json:"folder" doc:"of the backups, on the machine of the daemon"`
	EverySeconds int64        `json:"every_seconds" doc:"how old the newest may become before another is made by itself; 0: none is"`
	Keep         int          `json:"keep" doc:"how many are kept, and up to as many more that were made by hand since one was due; the oldest go"`
	NextAt       moment       `json:"next_at" doc:"when the next one comes by itself; null: none does"`
	Making       bool         `json:"making" doc:"one is being made now"`
	Late         bool         `json:"late" doc:"one was due by itself and did not come"`
}

type backupName struct {
	Name string `path:"name" maxLength:"100" doc:"as it is listed"`
}

func (s *server) listBackups(context.Context, *none) (*out[backupListJSON], error) {
	keeps := s.d.Backups
	all, err := keeps.List()
	if err != nil {
		return nil, err
	}
	return answer(backupListJSON{
		Items: listOf(all, "", s.backupOf).Items, Folder: keeps.Folder(), EverySeconds: int64(keeps.Every().Seconds()), Keep: keeps.Keep(),
		NextAt: moment(nextBackup(keeps.Due(all), keeps.PutOff(), s.backupLook())), Making: keeps.Making(), Late: keeps.Late(),
	}), nil
}

// backupLook is when it is next looked whether a backup is due; zero: never.
func (s *server) backupLook() time.Time {
	if s.d.Scheduler == nil {
		return time.Time{}
	}
	st, _ := s.d.Scheduler.Status(BackupJob)
	return st.Next
}

// nextBackup is when a backup that is due at a moment comes: not before it is looked for, nor while others failed and it is put off. Zero: never.
func nextBackup(due, putOff, look time.Time) time.Time {
	if due.IsZero() || look.IsZero() {
		return time.Time{}
	}
	return slices.MaxFunc([]time.Time{due, putOff, look}, time.Time.Compare)
}

func (s *server) makeBackup(ctx context.Context, _ *none) (*out[backupJSON], error) {
	v := visitOf(ctx)
	acting, cancel := s.beyondCaller(ctx, backupTimeout)
	defer cancel()
	b, err := s.d.Backups.Make(acting, backup.By{Actor: v.caller.Actor, Addr: v.addr})
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) ||
		b.Name == "" && errors.Is(err, store.ErrDiskFull) { // of one that was made it is the database that cannot note it
		return nil, newProblem(http.StatusServiceUnavailable, codeStore, "no backup could be made: "+err.Error()).
			hint("see that " + s.d.Backups.Folder() + " has room and may be written by the daemon (--backup-dir)")
	}
	if err != nil {
		return nil, err
	}
	return answer(s.backupOf(b)), nil
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
