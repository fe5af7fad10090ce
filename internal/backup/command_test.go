package backup

import "testing"

func TestRestoreCommand(t *testing.T) {
	for _, tt := range []struct{ file, data, store, want string }{
		{"/b/x.tar.gz", "/data", "", "server restore /b/x.tar.gz --data /data"},
		{"/my backups/x.tar.gz", "/it's", "", `server restore '/my backups/x.tar.gz' --data '/it'\''s'`},
		{"/b/x.tar.gz", "/data", "/other/store.db", "server restore /b/x.tar.gz --data /data --store /other/store.db"},
		{"/b/x.tar.gz", "/data", "postgres://anna:secret@db/x", `server restore /b/x.tar.gz --data /data --store "$DOCKER_WATCHER_STORE"`}, // a password is not shown
	} {
		if got := RestoreCommand(tt.file, tt.data, tt.store); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestQuoted(t *testing.T) {
	for name, want := range map[string]string{"": "''", "plain-1.db": "plain-1.db", "a b": "'a b'", "$(x)": "'$(x)'", "a;b": "'a;b'"} {
		if got := Quoted(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
