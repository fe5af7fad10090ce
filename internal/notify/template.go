package notify

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/notify/template"
)

// Templates make the title and the text of a message out of a View. Empty: the usual one.
type Templates struct{ Title, Body string }

// The usual templates.
const (
	UsualTitle = `{{if .Test}}docker-watcher: test{{else if eq .Count 1}}docker-watcher: {{.Severity}}: {{.First.Kind}}{{else}}docker-watcher: {{.Count}} events, the worst is {{.Severity}}{{end}}`
	UsualBody  = `{{range .Events}}{{.Time.Format "2006-01-02 15:04"}} {{.Severity}}{{if .Project}} {{.Project}}{{if .Stage}}/{{.Stage}}{{end}}{{end}}: {{.Message}}
{{end}}{{if .More}}and {{.More}} more: docker-watcher events tells of them all
{{end}}`
)

const maxTitle = 200

// Letter is a message as it is sent.
type Letter struct {
	Title string
	Text  string
	View  View
}

// ValidTemplates says which template cannot be used, and why: "title" or "body". It is tried with a test, one event and many.
func ValidTemplates(t Templates) (where string, err error) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	one := testView("0", now)
	one.Test = false
	many := one
	many.Count, many.More = 60, 10
	for len(many.Events) < mostShown {
		many.Events = append(many.Events, many.Events[0])
	}
	for _, v := range []View{testView("0", now), one, many} {
		if _, err := run(t.Title, UsualTitle, v); err != nil {
			return "title", err
		}
		if _, err := run(t.Body, UsualBody, v); err != nil {
			return "body", err
		}
	}
	return "", nil
}

// write makes a letter.
func write(t Templates, v View) (Letter, error) {
	title, err := run(t.Title, UsualTitle, v)
	if err != nil {
		return Letter{}, fmt.Errorf("title: %w", err)
	}
	text, err := run(t.Body, UsualBody, v)
	if err != nil {
		return Letter{}, fmt.Errorf("body: %w", err)
	}
	return Letter{Title: cut(strings.Join(strings.Fields(title), " "), maxTitle), Text: strings.TrimSpace(text), View: v}, nil
}

// language is what templates may call beside what they have by themselves.
var language = template.Language{
	Functions: map[string]any{
		"upper": strings.ToUpper,
		"lower": strings.ToLower,
		"short": func(n int, s string) string { return cut(s, max(n, 1)) },
	},
	Methods: template.Methods{reflect.TypeFor[View](): {"First": View.First}},
}

func run(text, usual string, v View) (string, error) {
	if strings.TrimSpace(text) == "" {
		text = usual
	}
	return language.Write(text, v)
}

// cut shortens a text to so many bytes, at a whole character.
func cut(s string, limit int) string {
	const mark = "…"
	if len(s) <= limit {
		return s
	}
	end := max(limit-len(mark), 0)
	for end > 0 && s[end]&0xc0 == 0x80 {
		end--
	}
	return s[:end] + mark
}
