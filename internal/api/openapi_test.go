package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

var update = flag.Bool("update", false, "write the committed document anew")

const committed = "../../docs/openapi.json"

// documentOf builds the document without any part below: registering routes needs none.
func documentOf(t *testing.T) []byte {
	t.Helper()
	s := &server{d: Deps{Version: "0"}}
	text, err := json.MarshalIndent(s.mount(http.NewServeMux()).OpenAPI(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// TestDocumentDoesNotDrift compares the API with the document that others build on.
func TestDocumentDoesNotDrift(t *testing.T) {
	now := documentOf(t)
	if *update {
		if err := os.MkdirAll(filepath.Dir(committed), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(committed, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	then, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(now, then) {
		t.Error("docs/openapi.json is not what the API is now: run go test ./internal/api -run TestDocumentDoesNotDrift -update, and read the difference")
	}
}

type documentShape struct {
	OpenAPI string                                `json:"openapi"`
	Paths   map[string]map[string]json.RawMessage `json:"paths"`
}

// documented is what the document says of a call.
type documented struct {
	ID         string `json:"operationId"`
	Role       string `json:"x-role"`
	Parameters []struct {
		Name string `json:"name"`
	} `json:"parameters"`
	method, path string
}

func (o documented) takesIfMatch() bool {
	for _, p := range o.Parameters {
		if p.Name == "If-Match" {
			return true
		}
	}
	return false
}

// operations are the calls of the document, in no order.
func operations(t *testing.T) (all []documented) {
	t.Helper()
	var doc documentShape
	if err := json.Unmarshal(documentOf(t), &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method, raw := range methods {
			o := documented{method: strings.ToUpper(method), path: path}
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Fatal(err)
			}
			all = append(all, o)
		}
	}
	return all
}

// TestEveryRouteIsInTheDocument walks the table and the document, each against the other.
func TestEveryRouteIsInTheDocument(t *testing.T) {
	var doc documentShape
	if err := json.Unmarshal(documentOf(t), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("the document is OpenAPI %s", doc.OpenAPI)
	}
	table := map[string]bool{}
	for _, r := range (&server{}).routes() {
		table[r.method+" "+r.path] = true
		raw, ok := doc.Paths[r.path][strings.ToLower(r.method)]
		if !ok {
			t.Errorf("%s %s is not in the document", r.method, r.path)
			continue
		}
		var op struct {
			ID       string                `json:"operationId"`
			Role     string                `json:"x-role"`
			Security []map[string][]string `json:"security"`
		}
		if err := json.Unmarshal(raw, &op); err != nil {
			t.Fatal(err)
		}
		want := string(r.need)
		if r.need == anyone {
			want = "anyone"
		}
		if op.Role != want || op.ID != r.id {
			t.Errorf("%s %s: the document says role %q, id %q; the table %q, %q", r.method, r.path, op.Role, op.ID, want, r.id)
		}
		if (r.need == anyone) != (len(op.Security) == 1 && len(op.Security[0]) == 0) {
			t.Errorf("%s %s: the document's security is %v", r.method, r.path, op.Security)
		}
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			if !table[strings.ToUpper(method)+" "+path] {
				t.Errorf("the document has %s %s, which is no route", method, path)
			}
		}
	}
}

// TestEveryRouteAnswers asks the mux for each line of the table: none is shadowed by another.
func TestEveryRouteAnswers(t *testing.T) {
	mux := http.NewServeMux()
	s := &server{d: Deps{Version: "0"}}
	s.mount(mux)
	for _, r := range s.routes() {
		req, err := http.NewRequestWithContext(t.Context(), r.method, replaceID(r.path, "x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, pattern := mux.Handler(req); pattern != r.method+" "+r.path {
			t.Errorf("%s %s is answered by %q", r.method, r.path, pattern)
		}
	}
}

func TestOperationIDsAreUnique(t *testing.T) {
	var ids []string
	for _, r := range (&server{}).routes() {
		if slices.Contains(ids, r.id) {
			t.Errorf("the id %s is there twice", r.id)
		}
		ids = append(ids, r.id)
	}
}

// TestEverySourceOfEventsCanBeAskedFor: the document, which the page's filter is made of, has every source that the store knows.
func TestEverySourceOfEventsCanBeAskedFor(t *testing.T) {
	var want []string
	for _, source := range store.Sources() {
		want = append(want, string(source))
	}
	field, found := reflect.TypeFor[EventQuery]().FieldByName("Source")
	if got := field.Tag.Get("enum"); !found || got != strings.Join(want, ",") {
		t.Errorf("the filter knows %s; there are %v", got, want)
	}
	// And the store's list has every one that there is.
	text, err := os.ReadFile("../store/models.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, constant := range regexp.MustCompile(`(?m)^\tSource\w+ +Source = "(\w+)"`).FindAllStringSubmatch(string(text), -1) {
		if !slices.Contains(want, constant[1]) {
			t.Errorf("the source %s is not in the list", constant[1])
		}
	}
}
