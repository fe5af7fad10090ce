package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
)

func TestBackups(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	made, err := b.admin.MakeBackup(ctx)
	b.must(err)
	all, err := b.admin.Backups(ctx)
	b.must(err)
	if len(all) != 1 || all[0] != made || made.Bytes == 0 {
		t.Errorf("made %+v, listed %+v", made, all)
	}
	var got strings.Builder
	b.must(b.admin.GetBackup(ctx, made.Name, &got))
	if int64(got.Len()) != made.Bytes || !strings.HasPrefix(got.String(), "\x1f\x8b") {
		t.Errorf("%d bytes came, %d were told", got.Len(), made.Bytes)
	}
	for _, name := range []string{"none", "..%2F..%2Fdocker-watcher.key", "docker-watcher-20200101T000000Z.tar.gz"} {
		wantProblem(t, b.admin.GetBackup(ctx, name, &got), http.StatusNotFound, client.CodeNotFound)
	}
	b.must(b.admin.DeleteBackup(ctx, made.Name))
	if all, err = b.admin.Backups(ctx); err != nil || len(all) != 0 {
		t.Errorf("after its removal: %+v, %v", all, err)
	}
}
