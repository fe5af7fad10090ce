package main

import (
	"encoding/json"
	"testing"
)

func TestSocketPolicyTellsOnlyWhatTheDaemonTold(t *testing.T) {
	const calls = `"calls": [{"method": "GET", "path": "/containers/json", "pattern": "^/containers/json$", "features": ["watch"]}]`
	older := newService(t)
	older.answers(t, "GET /api/socket-policy", json.RawMessage(`{"features": [{"name": "watch", "text": "to watch"}, {"name": "deploy", "text": "to deploy"}], `+calls+`}`))
	newer := newService(t)
	newer.answers(t, "GET /api/socket-policy", json.RawMessage(`{"features": [{"name": "watch", "text": "to watch", "taken": true, "in_use": true, "why": "always"},
		{"name": "deploy", "text": "to deploy", "taken": false, "in_use": false, "why": "no stage has a spec"}], `+calls+`}`))
	for _, c := range []struct {
		line         string
		older, newer []string
	}{
		{"socket-policy", []string{"/containers/json", "!! IN USE", "!! BECAUSE", "!! deploy"}, []string{"/containers/json", "LET THROUGH", "no stage has a spec"}},
		{"socket-policy --format nginx", []string{"/containers/json", "!! refused", "!! in use"}, []string{"# watch: let through; in use: always", "# deploy: refused; not in use: no stage"}},
		{"socket-policy --format env", []string{"CONTAINERS=1", "!! refused", "!! in use"}, []string{"# deploy: refused; not in use: no stage", "CONTAINERS=1"}},
		{"socket-policy -o json", []string{`"deploy"`, "!! taken", "!! in_use"}, []string{`"taken": false`, `"in_use": false`}},
	} {
		for what, s := range map[string]struct {
			of   *service
			want []string
		}{"older": {older, c.older}, "newer": {newer, c.newer}} {
			got := s.of.run(t, "", c.line)
			if got.code != 0 {
				t.Errorf("%s: %d %s", c.line, got.code, got.beside)
			}
			has(t, c.line+" of the "+what+" daemon", got.out, s.want...)
		}
	}
}
