package notify

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
	tree "text/template/parse"
	"time"
)

// Templates make the title and the text of a message out of a View, in the language of Go's text/template. Empty: the usual one.
type Templates struct{ Title, Body string }

// The usual templates.
const (
	UsualTitle = `{{if .Test}}docker-watcher: test{{else if eq .Count 1}}docker-watcher: {{.Severity}}: {{.First.Kind}}{{else}}docker-watcher: {{.Count}} events, the worst is {{.Severity}}{{end}}`
	UsualBody  = `{{range .Events}}{{.Time.Format "2006-01-02 15:04"}} {{.Severity}}{{if .Project}} {{.Project}}{{if .Stage}}/{{.Stage}}{{end}}{{end}}: {{.Message}}
{{end}}{{if .More}}and {{.More}} more: docker-watcher events tells of them all
{{end}}`
)

const (
	// MaxTemplate is how long a template may be, in bytes.
	MaxTemplate = 4 << 10
	maxWritten  = 32 << 10 // bytes that one template may write
	maxTitle    = 200
	maxTurns    = 5_000 // turns of all loops of one execution
)

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

// run executes a template within limits of what it writes and how often it loops.
func run(text, usual string, v View) (string, error) {
	if strings.TrimSpace(text) == "" {
		text = usual
	}
	if len(text) > MaxTemplate {
		return "", fmt.Errorf("it is longer than %d bytes", MaxTemplate)
	}
	turns := 0
	t, err := template.New("template").Funcs(functions(&turns)).Parse(text)
	if err != nil {
		return "", plainly(err)
	}
	if t.Tree == nil {
		return "", nil
	}
	if len(t.Templates()) > 1 {
		return "", errors.New("define, block and template are not possible here")
	}
	if err := bound(t.Root); err != nil {
		return "", err
	}
	var out limited
	if err := t.Execute(&out, v); err != nil {
		return "", plainly(err)
	}
	return out.String(), nil
}

// plainly says what is wrong without the name that we gave it.
func plainly(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "template: template:"))
}

// bound lets every turn of a loop count, and refuses what could go round without one.
func bound(node tree.Node) error {
	switch n := node.(type) {
	case *tree.ListNode:
		if n == nil {
			return nil
		}
		for _, each := range n.Nodes {
			if err := bound(each); err != nil {
				return err
			}
		}
	case *tree.IfNode:
		return errors.Join(bound(n.List), bound(n.ElseList))
	case *tree.WithNode:
		return errors.Join(bound(n.List), bound(n.ElseList))
	case *tree.RangeNode:
		if err := errors.Join(bound(n.List), bound(n.ElseList)); err != nil {
			return err
		}
		n.List.Nodes = append([]tree.Node{turnNode()}, n.List.Nodes...)
	case *tree.TemplateNode:
		return errors.New("define, block and template are not possible here")
	}
	return nil
}

// turnNode is {{turn}}, which counts.
func turnNode() tree.Node {
	trees, err := tree.Parse("turn", "{{turn}}", "", "", map[string]any{"turn": func() string { return "" }})
	if err != nil {
		panic(err) // it is a constant
	}
	return trees["turn"].Root.Nodes[0]
}

var errTooMuch = fmt.Errorf("it writes more than %d bytes", maxWritten)

// functions are what templates may call beside what the language has; those of it that make texts are bounded.
func functions(turns *int) template.FuncMap {
	return template.FuncMap{
		"turn": func() (string, error) {
			if *turns++; *turns > maxTurns {
				return "", fmt.Errorf("its loops take more than %d turns", maxTurns)
			}
			return "", nil
		},
		"upper":   func(s string) (string, error) { return bounded(strings.ToUpper(s)) },
		"lower":   func(s string) (string, error) { return bounded(strings.ToLower(s)) },
		"short":   func(n int, s string) (string, error) { return bounded(cut(s, max(n, 1))) },
		"print":   func(args ...any) (string, error) { return sprint(fmt.Sprint, args) },
		"println": func(args ...any) (string, error) { return sprint(fmt.Sprintln, args) },
		"printf": func(format string, args ...any) (string, error) {
			if err := narrow(format); err != nil {
				return "", err
			}
			return sprint(func(args ...any) string { return fmt.Sprintf(format, args...) }, args)
		},
		"html":     func(args ...any) (string, error) { return escaped(template.HTMLEscaper, args) },
		"js":       func(args ...any) (string, error) { return escaped(template.JSEscaper, args) },
		"urlquery": func(args ...any) (string, error) { return escaped(template.URLQueryEscaper, args) },
	}
}

func sprint(make func(...any) string, args []any) (string, error) { return bounded(make(args...)) }

func escaped(make func(...any) string, args []any) (string, error) { return bounded(make(args...)) }

func bounded(s string) (string, error) {
	if len(s) > maxWritten {
		return "", errTooMuch
	}
	return s, nil
}

// narrow refuses a format that asks for a wide field: a few of them would fill the memory.
func narrow(format string) error {
	digits := 0
	for _, c := range format {
		if c == '*' {
			return errors.New("printf: a width of * is not possible here")
		}
		if c < '0' || c > '9' {
			digits = 0
			continue
		}
		if digits++; digits > 3 {
			return errors.New("printf: a width of more than three digits is not possible here")
		}
	}
	return nil
}

// limited is a text that does not grow beyond its limit.
type limited struct{ strings.Builder }

// Write refuses what would be too much.
func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxWritten {
		return 0, errTooMuch
	}
	return l.Builder.Write(p)
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
