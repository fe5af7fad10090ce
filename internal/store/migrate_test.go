package store

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDialectsHaveOneSchema: the migrations differ in the names of types and in nothing else.
func TestDialectsHaveOneSchema(t *testing.T) {
	names := func(folder string) []string {
		files, err := fs.Glob(migrations, "migrations/"+folder+"/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for i := range files {
			files[i] = strings.TrimPrefix(files[i], "migrations/"+folder+"/")
		}
		return files
	}
	lite := names("sqlite")
	if diff := cmp.Diff(lite, names("postgres")); diff != "" || len(lite) == 0 {
		t.Fatalf("migrations of sqlite and postgres:\n%s", diff)
	}
	for _, name := range lite {
		want := read(t, "sqlite/"+name)
		for _, r := range []struct{ from, to string }{{`\bTEXT\b`, `TEXT COLLATE "C"`}, {`\bBLOB\b`, `BYTEA`}, {`\bINTEGER\b`, `BIGINT`}} {
			want = regexp.MustCompile(r.from).ReplaceAllString(want, r.to)
		}
		if diff := cmp.Diff(want, read(t, "postgres/"+name)); diff != "" {
			t.Errorf("%s (-sqlite in words of postgres +postgres):\n%s", name, diff)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := migrations.ReadFile("migrations/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPasswordOfTheEnvironment: a password with any character need not be written into the URL, as packaging/examples/compose.postgres.yaml does not.
func TestPasswordOfTheEnvironment(t *testing.T) {
	t.Setenv("PGPASSWORD", "a/b@c:d?")
	d, err := newPostgres(Options{URL: "postgres://docker_watcher@postgres/docker_watcher?sslmode=disable"})
	if err != nil {
		t.Fatal(err)
	}
	if c := d.config; c.Password != "a/b@c:d?" || c.Host != "postgres" || c.User != "docker_watcher" || c.Database != "docker_watcher" {
		t.Errorf("it would sign in as %s at %s/%s", c.User, c.Host, c.Database)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}
