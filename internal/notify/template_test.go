package notify

import (
	"strings"
	"testing"
	"time"
)

func TestUsualTemplates(t *testing.T) {
	one := View{ID: "m", Severity: "warn", Count: 1, Events: []EventView{{Time: dawn, Severity: "warn", Kind: "instance.stale", Message: "it is stale", Project: "shop", Stage: "dev"}}}
	l, err := write(Templates{}, one)
	if err != nil || l.Title != "docker-watcher: warn: instance.stale" || l.Text != "2026-03-02 08:00 warn shop/dev: it is stale" {
		t.Errorf("%+v, %v", l, err)
	}
	many := one
	many.Count, many.More = 60, 59
	l, err = write(Templates{}, many)
	if err != nil || l.Title != "docker-watcher: 60 events, the worst is warn" || !strings.HasSuffix(l.Text, "and 59 more: docker-watcher events tells of them all") {
		t.Errorf("%+v, %v", l, err)
	}
	l, err = write(Templates{Title: "{{.Count}}\n  {{upper .Severity}}", Body: `{{range .Events}}{{.Project | printf "%-6s|"}}{{end}}`}, many)
	if err != nil || l.Title != "60 WARN" || l.Text != "shop  |" {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for name, body := range map[string]string{
		"broken":            "{{if}}",
		"a field too much":  "{{.Password}}",
		"a field of events": "{{range .Events}}{{.Env}}{{end}}",
		"an unknown word":   "{{env \"HOME\"}}",
		"too long":          strings.Repeat("x", MaxTemplate+1),
		"writes too much":   `{{range .Events}}{{range $.Events}}` + strings.Repeat("x", 100) + `{{end}}{{end}}`,
		"loops for ever":    `{{range 1000000000}}{{end}}`,
		"loops in loops":    `{{range .Events}}{{range $.Events}}{{range $.Events}}{{end}}{{end}}{{end}}`,
		"loops in if":       `{{if true}}{{with .}}{{range 1000000000}}{{end}}{{end}}{{end}}`,
		"calls itself":      `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`,
		"calls itself too":  `{{template "template"}}`,
		"a block":           `{{block "b" .}}{{end}}`,
		"grows":             `{{$x := "xxxx"}}{{range .Events}}{{$x = print $x $x $x}}{{end}}`,
		"grows by escapes":  `{{$x := "''"}}{{range .Events}}{{$x = js $x}}{{end}}`,
		"wide":              `{{printf "%100000d" 1}}`,
		"wide by *":         `{{printf "%*d" 100000000 1}}`,
	} {
		began := time.Now()
		where, err := ValidTemplates(Templates{Body: body})
		if err == nil || where != "body" {
			t.Errorf("%s is taken: %s, %v", name, where, err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	if where, err := ValidTemplates(Templates{Title: "{{", Body: "x"}); err == nil || where != "title" {
		t.Error(where, err)
	}
	for _, good := range []Templates{{}, {Title: UsualTitle, Body: UsualBody}, {Body: `{{range $i, $e := .Events}}{{if lt $i 3}}{{$e.Message | short 20}}{{else}}{{break}}{{end}}{{end}}`}} {
		if where, err := ValidTemplates(good); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
}
