package main_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

// spoilTable overwrites the one page of a small table.
func spoilTable(t *testing.T, data, table string) {
	t.Helper()
	file := filepath.Join(data, "docker-watcher.db")
	db, err := sql.Open("sqlite", "file:"+file+"?immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var page, pages int64
	if err := db.QueryRowContext(t.Context(), `SELECT max(pageno), count(*) FROM dbstat WHERE name = $1`, table).Scan(&page, &pages); err != nil || pages != 1 {
		t.Fatalf("%s has %d pages: %v", table, pages, err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 4096), (page-1)*4096); err != nil {
		t.Fatal(err)
	}
}

// sums are of the database and its log.
func sums(t *testing.T, data string) (all string) {
	t.Helper()
	for _, name := range []string{"docker-watcher.db", "docker-watcher.db-wal"} {
		text, err := os.ReadFile(filepath.Join(data, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all += fmt.Sprintf("%s %d %x\n", name, len(text), sha256.Sum256(text))
	}
	return all
}

var salvageLink = regexp.MustCompile(`http://\S+/rescue/open\?code=(\S+)`)

// salvageLink is what a daemon tells beside the way out.
func (d *daemon) salvageLink() string {
	d.t.Helper()
	eventually(d.t, "the link is told", func() bool { return salvageLink.MatchString(d.stdout.String()) })
	return salvageLink.FindString(d.stdout.String())
}

// browser keeps cookies.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
}

func opened(t *testing.T, by *http.Client, url string) (int, string) {
	t.Helper()
	res, err := by.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	wantNoSecretIn(t, url, b.String(), "$argon2")
	return res.StatusCode, b.String()
}

// filled is a daemon's data folder with a route, and with secrets.
func filled(t *testing.T, args []string, target string) {
	t.Helper()
	d := launch(t, args...)
	c := d.client(d.setUp())
	lead(t, c, "shop.example", target)
	if _, err := c.CreateProxy(t.Context(), client.ProxyFields{Targets: &[]string{target}, RouteFields: client.RouteFields{
		Domains: &[]string{"secret.example"}, BasicAuth: &[]client.Credential{{User: "anna", Password: "canary-of-a-site"}},
		RequestHeaders: &[]client.Header{{Name: "Authorization", Value: "canary-header"}},
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateRegistry(t.Context(), client.NewRegistry{Name: "here", Host: "127.0.0.1:9", Username: "anna", Password: "canary-registry", PlainHTTP: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: "example.com/shop"}); err != nil {
		t.Fatal(err)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
}

// TestWhatCanStillBeRead: a daemon on a damaged database shows the rest of it to whoever has the link from its log, and serves the routes meanwhile.
func TestWhatCanStillBeRead(t *testing.T) {
	engine := dockertest.Serve(t, dockertest.Docker29())
	data, plain := t.TempDir(), loopbacktest.Free(t)
	args := append(append(flags(data, engine.Endpoint()), "--proxy-http", plain), inFile(data)...)
	filled(t, args, site(t))
	beside := append([]string{"salvage", "--data", data}, inFile(data)...)

	d := launch(t, args...)
	code, stdout, stderr := refuse(t, beside...)
	refused(t, code, stdout, stderr, "another daemon holds this store", "stop the other")
	d.end(syscall.SIGKILL) // its log is left
	spoilTable(t, data, "registries")
	before := sums(t, data)
	code, stdout, stderr = refuse(t, beside...)
	if code != 0 || !strings.Contains(stdout, "do not remove containers") || !regexp.MustCompile(`(?m)^registries +0  rows are lost, nobody knows how many: .*malformed`).MatchString(stdout) || !regexp.MustCompile(`(?m)^users +1$`).MatchString(stdout) {
		t.Errorf("%d: %s%s", code, stdout, stderr)
	}
	if after := sums(t, data); after != before {
		t.Errorf("the files were\n%sand are\n%s", before, after)
	}

	d = launch(t, args...)
	link := d.salvageLink()
	if code, page := d.status("/"); code != http.StatusServiceUnavailable || !strings.Contains(page, "link that stands in the log") || !strings.Contains(page, " salvage --data "+data) {
		t.Errorf("the page is %d %s", code, page)
	}
	for _, path := range []string{"/rescue/read", "/rescue/read/users", "/rescue/read.json"} {
		if code, text := d.status(path); code != http.StatusUnauthorized || strings.Contains(text, "anna") {
			t.Errorf("%s is %d %s", path, code, text)
		}
	}
	anna := browser(t)
	if code, page := opened(t, anna, link); code != http.StatusOK || !strings.Contains(page, "What can still be read") || !strings.Contains(page, "malformed") {
		t.Errorf("the link leads to %d %s", code, page)
	}
	if code, _ := opened(t, browser(t), link); code != http.StatusForbidden {
		t.Errorf("once more it is %d", code)
	}
	for path, want := range map[string]string{"/rescue/read/users": "anna", "/rescue/read/domains": "shop.example", "/rescue/read/projects": "example.com/shop", "/rescue/read/newest_events": "project.created", "/rescue/read.json": `"name": "anna"`} {
		if code, page := opened(t, anna, d.url+path); code != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("%s is %d %s", path, code, page)
		}
	}
	code, stdout, stderr = refuse(t, append(beside, "--output", "json")...)
	var doc struct{ Tables []struct{ Name, Lost string } }
	if err := json.Unmarshal([]byte(stdout), &doc); code != 0 || err != nil || len(doc.Tables) < 10 {
		t.Errorf("%d, %v: %s%s", code, err, stdout, stderr)
	}
	if code, text := visited(t, http.DefaultTransport, "http://"+plain+"/", "shop.example"); code != http.StatusOK || text != "the site says " {
		t.Errorf("the route is answered with %d %s", code, text)
	}
	if after := sums(t, data); after != before {
		t.Errorf("the files were\n%sand are\n%s", before, after)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.stderr.String())
	}
	if after := sums(t, data); after != before {
		t.Errorf("the files were\n%sand are\n%s", before, after)
	}
	if left, err := filepath.Glob(filepath.Join(data, ".salvage-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if said := d.stderr.String(); strings.Contains(said, salvageLink.FindStringSubmatch(link)[1]) {
		t.Errorf("the log has the code of the link, which is for the terminal:\n%s", said)
	}
	for _, wrong := range [][]string{{"salvage", "--output", "xml"}, {"salvage", "--output"}, {"salvage", "it"}} {
		if code, _, _ := refuse(t, append(wrong, "--data", data)...); code != 2 {
			t.Errorf("%q: exit code %d", wrong, code)
		}
	}
}

// TestWhatCanStillBeReadOfAnUnreadableSetting: the rest is read the same way where one value keeps a start from its work.
func TestWhatCanStillBeReadOfAnUnreadableSetting(t *testing.T) {
	engine := dockertest.Serve(t, dockertest.Docker29())
	data := t.TempDir()
	args := append(flags(data, engine.Endpoint()), inFile(data)...)
	d := launch(t, args...)
	d.setUp()
	d.end(syscall.SIGTERM)
	db, err := sql.Open("sqlite", filepath.Join(data, "docker-watcher.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO settings (name, value, updated_at) VALUES ('plan_max_items', 'plenty', 0)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	d = launch(t, args...)
	anna := browser(t)
	opened(t, anna, d.salvageLink())
	if code, page := opened(t, anna, d.url+"/rescue/read/settings"); code != http.StatusOK || !strings.Contains(page, "plenty") {
		t.Errorf("the page is %d %s", code, page)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
