package api

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const matrixFile = "../../docs/access-matrix.md"

const matrixHead = `# Who may call what

Made of docs/openapi.json by ` + "`make golden`" + `; a test asks every cell of it. *yes*: the call is let through to be checked and done; 401, 403: the answer to
anybody else. The last column says whether a call is refused, whoever makes it, because a browser makes it for a page of another site: reading is no act, and
no such page gets to see the answer; webhooks know nobody by a cookie, only by their secret.

| call | nobody | viewer | operator | admin | from another site |
| --- | --- | --- | --- | --- | --- |
`

// matrixRoles are the columns, from the least.
var matrixRoles = []store.Role{anyone, viewer, operator, admin}

// matrixRow is one call with its cells: what each role is answered, and what a page of another site.
type matrixRow struct {
	method, path string
	cells        []string
}

func (r matrixRow) String() string {
	return fmt.Sprintf("| `%s %s` | %s |\n", r.method, r.path, strings.Join(r.cells, " | "))
}

// rowOf is what the document promises of an operation.
func rowOf(method, path, role string) matrixRow {
	r := matrixRow{method: method, path: path}
	for _, who := range matrixRoles {
		switch {
		case role == "anyone" || who.Covers(store.Role(role)):
			r.cells = append(r.cells, "yes")
		case who == anyone:
			r.cells = append(r.cells, "401")
		default:
			r.cells = append(r.cells, "403")
		}
	}
	another := "403"
	if method == get || strings.HasPrefix(path, hookBase) { // where nothing counts that a browser would send by itself
		another = "yes"
	}
	r.cells = append(r.cells, another)
	return r
}

// matrixOf makes the rows of the document, by path.
func matrixOf(t *testing.T) (rows []matrixRow) {
	t.Helper()
	for _, o := range operations(t) {
		rows = append(rows, rowOf(o.method, o.path, o.Role))
	}
	slices.SortFunc(rows, func(a, b matrixRow) int { return strings.Compare(a.path+" "+a.method, b.path+" "+b.method) })
	return rows
}

// TestAccessMatrixDoesNotDrift compares the table that people read with the document.
func TestAccessMatrixDoesNotDrift(t *testing.T) {
	now := matrixHead
	for _, r := range matrixOf(t) {
		now += r.String()
	}
	if *update {
		if err := os.WriteFile(matrixFile, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	then, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	if now != string(then) {
		t.Error("docs/access-matrix.md is not what the API is now: run make golden, and read the difference")
	}
}

// TestAccessMatrix asks every cell of the table, with ids that do not exist and bodies that are wrong, so that what is let
// through changes nothing.
func TestAccessMatrix(t *testing.T) {
	b := newBed(t)
	callers := []*client.Client{b.nobody, b.viewer, b.operator, b.admin}
	rows := matrixOf(t)
	if len(rows) != len((&server{}).routes()) {
		t.Fatalf("%d rows, %d routes", len(rows), len((&server{}).routes()))
	}
	for _, r := range rows {
		for n, who := range callers {
			want := r.cells[n]
			if r.path == "/api/events/stream" && want == "yes" {
				continue // it does not end
			}
			b.wantCell(who, r, matrixRoles[n], want)
			if r.method != get {
				// Whoever the browser belongs to, and also where nobody has to be known.
				b.wantCell(who, r, matrixRoles[n], r.cells[len(matrixRoles)], "Sec-Fetch-Site", "cross-site")
				b.wantCell(who, r, matrixRoles[n], r.cells[len(matrixRoles)], "Origin", "https://evil.example")
			}
		}
	}
}

// wantCell makes a call and compares its status with a cell.
func (b *bed) wantCell(who *client.Client, r matrixRow, role store.Role, want string, headers ...string) {
	b.t.Helper()
	body := ""
	if r.method == post || r.method == put || r.method == patch {
		body = `{"no_such_key":1}`
	}
	status, h, text := b.raw(who, r.method, replaceID(r.path, "no-such-id"), body, headers...)
	cell := fmt.Sprint(status)
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		cell = "yes"
	}
	if cell != want {
		b.t.Errorf("%s %s as %q %v: %d, want %s: %s", r.method, r.path, role, headers, status, want, text)
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			b.t.Errorf("%s %s: another site's page is let in by %s", r.method, r.path, name)
		}
	}
	if status >= 500 && r.path != "/readyz" {
		b.t.Errorf("%s %s as %q: %d %s", r.method, r.path, role, status, text)
	}
}
