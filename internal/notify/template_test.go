package notify

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/notify/template"
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
		"too long":          strings.Repeat("x", template.MaxLength+1),
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
		"wide by a format":  `{{$f := "%[1]s"}}{{range 10}}{{$f = print $f $f}}{{end}}{{printf $f "x"}}`,
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

// What is wrong with a template is told with where it is, and with what there is instead.
func TestWhatIsWrongWithATemplate(t *testing.T) {
	for text, want := range map[string]string{
		"{{.Count}}\n{{.Password}}":                   "2:2: at <.Password>: there is no .Password in notify.View, which has Count, Counts, Events, First, ID, More, Severity, Test",
		"{{range .Events}}{{.Env}}{{end}}":            "1:19: at <.Env>: there is no .Env in notify.EventView, which has Actor, Data, Host, ID, Instance, Kind, Message, Project, Severity, Source, Stage, Time",
		"{{.Count.Name}}":                             "1:2: at <.Count.Name>: there is no .Name in int, which has no fields",
		"{{upper .Count}}":                            "1:8: at <.Count>: string is wanted, not int",
		"{{.First.Time.Format}}":                      "1:2: at <.First.Time.Format>: Format is given 0 arguments instead of 1",
		"{{range .Count}}{{index $.Events .}}{{end}}": "1:18: at <index $.Events .>: index: there is no place 1, only 0 to 0",
		"{{if}}":                       `1: missing value for if`,
		"{{env \"HOME\"}}":             `1: function "env" not defined`,
		"{{printf \"%*d\"}}":           `1:2: at <printf "%*d">: printf: a width of * is not possible here`,
		"{{template \"x\"}}":           "define, block and template are not possible here",
		"{{range 5001}}{{end}}":        "its loops take more than 5000 turns",
		"{{range 5000}}1234567{{end}}": "it writes more than 32768 bytes",
	} {
		view := testView("0", dawn)
		view.Count = 2
		if _, err := run(text, UsualBody, view); err == nil || err.Error() != want {
			t.Errorf("%s: %v\ninstead of %s", text, err, want)
		}
	}
}

// What docs/notifications.md says about templates is so.
func TestTemplatesOfTheDocuments(t *testing.T) {
	text, err := os.ReadFile("../../docs/notifications.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## Templates\n")
	part, _, _ = strings.Cut(part, "\n## ")
	var example strings.Builder
	for line := range strings.Lines(part) {
		if code, is := strings.CutPrefix(line, "    "); is {
			example.WriteString(code)
		}
	}
	if strings.TrimSpace(example.String()) != UsualBody {
		t.Errorf("the usual text is not\n%s", example.String())
	}
	told := map[string][]string{}
	for row := range strings.Lines(part) {
		cells := strings.Split(row, "|")
		if len(cells) < 3 {
			continue
		}
		of, names := strings.TrimSpace(cells[1]), cells[2]
		if strings.HasPrefix(of, "`") {
			of, names = "message", of
		}
		told[of] = append(told[of], regexp.MustCompile(`\.[A-Z]\w+`).FindAllString(names, -1)...)
	}
	for of, way := range map[string]string{
		"message": ".Nothing", "of an event": ".First.Nothing", "of a time": ".First.Time.Nothing", "of a duration": "(.First.Time.Sub .First.Time).Nothing",
	} {
		slices.Sort(told[of])
		_, err := run("{{"+way+"}}", "", testView("0", dawn))
		_, has, _ := strings.Cut(err.Error(), "which has ")
		if want := "." + strings.ReplaceAll(has, ", ", " ."); strings.Join(told[of], " ") != want {
			t.Errorf("%s: there is %s, and not %s", of, want, told[of])
		}
	}
}
