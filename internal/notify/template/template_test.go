package template_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	peer "text/template"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/notify/template"
)

// message is made of what messages are made of.
type message struct {
	ID       string
	Test     bool
	Severity string
	Count    int
	Counts   map[string]int
	More     int
	Events   []event
}

type event struct {
	ID       int64
	Time     time.Time
	Severity string
	Kind     string
	Message  string
	Data     map[string]any
}

func (m message) First() event { return m.Events[0] }

var language = template.Language{
	Functions: map[string]any{"upper": strings.ToUpper, "lower": strings.ToLower, "short": func(n int, s string) string { return s[:min(max(n, 0), len(s))] }},
	Methods:   template.Methods{reflect.TypeFor[message](): {"First": message.First}},
}

// sample has values of every sort that there are.
func sample() message {
	data := map[string]any{
		"text": `<a href="x">'ü\` + "\x00\u200b", "number": 1.5, "whole": 3.0, "yes": true, "null": nil, "empty": map[string]any{},
		"list": []any{"a", 2.0, nil, map[string]any{"name": "b"}}, "map": map[string]any{"z": "last", "a": []any{}},
	}
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	one := event{ID: 7, Time: at, Severity: "warn", Kind: "instance.stale", Message: "it is stale", Data: data}
	two := event{ID: 8, Time: at.Add(90 * time.Minute), Severity: "error", Kind: "deploy.failed", Message: "it ended with 1"}
	return message{ID: "m", Severity: "error", Count: 60, More: 58, Counts: map[string]int{"warn": 1, "error": 1}, Events: []event{one, two}}
}

// boundsAndMethods are the refusals that text/template does not know.
var boundsAndMethods = regexp.MustCompile(`writes more than|take more than|is longer than|are not possible here|a width of|there is no \.\w+ in time\.|function "call" not defined`)

// byPeer has text/template itself execute a template.
func byPeer(text string) (string, error) {
	t, err := peer.New("template").Funcs(language.Functions).Parse(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = t.Execute(&out, sample())
	return out.String(), err
}

// asPeer sees that a template is taken or refused, and writes, as text/template itself would have it.
func asPeer(t *testing.T, text string) {
	t.Helper()
	got, err := language.Write(text, sample())
	if err != nil && boundsAndMethods.MatchString(err.Error()) {
		return // text/template might go round for ever, or fill the memory
	}
	want, refused := byPeer(text)
	if (err == nil) != (refused == nil) || err == nil && got != want {
		t.Errorf("%s\nwrites   %q, %v\ninstead of %q, %v", text, got, err, want, refused)
	}
}

// everySort are templates with each part of the language, and with each thing that may be wrong.
var everySort = strings.Split(strings.TrimSpace(`
{{.}}
{{.First}}
{{.Count}} {{.Test}} {{.Counts}} {{.More}}
{{if .Test}}a{{else if eq .Count 60}}b{{else}}c{{end}}
{{if .Test}}a{{else}}{{if .Count}}b{{end}}{{end}}
{{with .First}}{{.Kind}}{{else with .Events}}x{{else}}none{{end}}
{{with .Data}}x{{else with .First.Data}}{{.text}}{{end}}
{{with .Test}}a{{else}}{{.Count}}{{end}}
{{range .Events}}{{.Kind}} {{else}}none{{end}}
{{range $i, $e := .Events}}{{$i}}{{$e.Kind}}{{$.Count}} {{end}}
{{range $e := .Events}}{{$e.Kind}}{{end}}
{{range $k, $v := .Counts}}{{$k}}={{$v}} {{end}}
{{range $k, $v := .First.Data}}{{$k}}={{$v}} {{end}}
{{range .First.Data.list}}[{{.}}]{{end}}
{{range .First.Data.list}}{{.name}}{{end}}
{{range $i, $e := .First.Data.list}}{{if eq $i 3}}{{$e.name}}{{end}}{{end}}
{{range 3}}{{.}}{{end}}{{range $i := 3}}{{$i}}{{end}}{{range -1}}x{{else}}y{{end}}{{range .First.ID}}{{.}}{{end}}
{{range $i, $j := 3}}{{end}}
{{range $i := 5}}{{if eq $i 1}}{{continue}}{{else if eq $i 3}}{{break}}{{end}}{{$i}}{{end}}
{{range .Events}}{{range $.Events}}{{break}}{{end}}{{.Kind}}{{end}}
{{range 2.5}}{{end}}
{{range .Kind}}{{end}}
{{range .Severity}}{{end}}
{{range .First}}{{end}}
{{range nil}}{{end}}
{{range .First.Data.null}}a{{else}}b{{end}}
{{range $x := .First.Data.null}}a{{else}}{{$x}}{{end}}
{{$i := 0}}{{$e := .}}{{range $i, $e = .Events}}{{end}}{{$i}}{{$e.Kind}}
{{$e := .}}{{range $e = .Events}}{{end}}{{$e.Kind}}
{{$x := 1}}{{$x = 2}}{{if true}}{{$x := 3}}{{$x = 4}}{{end}}{{$x}}
{{$x := 1}}{{range .Events}}{{$x = .ID}}{{end}}{{$x}}
{{$x}}
{{and false ($x := 1)}}{{$x}}
{{and false ($x := 1)}}{{$x = 2}}
{{print ($x := 1)}}{{$x}}
{{with $x := .Count}}{{$x}}{{.}}{{end}}
{{if $x := .Count}}{{$x}}{{else}}{{$x}}{{end}}
{{/* nothing */}}a {{- /* nothing */ -}} b
a  {{- .Count -}}  b
{{"a" | printf "%s %s" "b" | upper | print}}
{{.Severity | upper | lower | short 3}}
{{.Message | short 3}}
{{.First.Message | short 6}}
{{short 0 "abc"}} {{short 1.0 "abc"}} {{short 'a' "abc"}}
{{short 1.5 "abc"}}
{{short "1" "abc"}}
{{short .Count "abc"}}
{{short .First.ID "abc"}}
{{short 1}}
{{upper 1}}
{{upper nil}}
{{upper .First.Data.text}}
{{upper .First.Data.none}}
{{upper .First.Data.null}}
{{upper .First.Data.number}}
{{upper "a" "b"}}
{{(index .Events 1).Kind}} {{(index .Events 1).Time.Year}}
{{(.First).Data.map.z}}
{{.First.Data.none}} {{.First.Data.none.none.none}} {{.First.Data.null}} {{.First.Data.none.none 1 2}}
{{.First.Data.null.none}}
{{(.First.Data.null).none}}
{{$x := .First.Data.null}}{{$x.none}}
{{.First.Data.text.none}}
{{.First.Data.text 1}}
{{.Nothing}}
{{.First.Nothing}}
{{.Count.Nothing}}
{{.Events.Kind}}
{{.Count 1}}
{{1 | .Count}}
{{1 | .First}}
{{.First 1}}
{{. 1}}
{{$ 1}}
{{(1) 2}}
{{1 2}}
{{"a" "b"}}
{{nil}}
{{(nil)}}
{{if nil}}{{end}}
{{print nil}} {{print .First.Data.none}} {{print .First.Data.null .First.Data.whole}}
{{print 1 2 "a" "b" 3.5 'a' true 1i 0x1e -0x1e 1e3 0x1p4 1_000 0b11 0o17}}
{{printf "%d %d %T %T" 0x1e 'a' 1e3 -0x1e}}
{{print 9223372036854775807}}
{{print 9223372036854775808}}
{{print 99999999999999999999}}
{{println 1 "a"}}{{print}}{{println}}
{{printf "%v %5.1f|%-5s|%q %x" .First.Data.list .First.Data.number "a" "b" 255}}
{{printf}}
{{printf 1}}
{{printf "%d" "a"}} {{printf "%s"}} {{printf "a" 1}}
{{html .First.Data.text}} {{html 1 "a" nil .First.Data.none}} {{html}}
{{js .First.Data.text "='&>\n\x7f"}} {{js "\xff\u2028\U000e0001"}}
{{urlquery .First.Data.text " &"}}
{{len .Events}} {{len .Counts}} {{len "ü"}} {{len .First.Data.list}}
{{len .Count}}
{{len nil}}
{{len .First}}
{{len}}
{{index .Events 0}}
{{index .Events}} {{index "ab" 1}} {{index .First.Data.list 3 "name"}} {{index .Counts "warn"}} {{index .Counts "none"}}
{{index .First.Data "none"}} {{print (index .First.Data "none")}} {{index .First.Data.map "a"}}
{{index .Events 2}}
{{index .Events 3}}
{{index .Events -1}}
{{index .Events 1.0}}
{{index .Events "a"}}
{{index .Events nil}}
{{index .Counts 1}}
{{index .Counts nil}}
{{index .First.Data.null 1}}
{{index .First.Data "null" 1}}
{{index nil}}
{{index .Count 1}}
{{index .Events (index "ab" 0)}}
{{slice "abc" 1 2}} {{slice "abc"}} {{slice "abc" 3}} {{len (slice .Events 1)}} {{len (slice .Events 0 1 2)}} {{slice .First.Data.list 1 2}}
{{slice "abc" 1 2 3}}
{{slice "abc" 2 1}}
{{slice "abc" 4}}
{{slice .Events 0 3}}
{{slice .Events 0 1 3}}
{{slice .Events 1 1 0}}
{{slice .Events 0 0 0 0}}
{{slice .Counts 1}}
{{slice nil}}
{{slice 1}}
{{and}}
{{or}}
{{and 1 0 (index .Events 9)}} {{or 0 1 (index .Events 9)}} {{and 1 "" | or 0}} {{1 | and}} {{0 | or nil}} {{or nil ""}} {{and .First.Data.null}}
{{not 0}} {{not .Events}} {{not nil}} {{not .First.Data.null}} {{not .First}} {{not 0.0}} {{not .First.Data.yes}} {{not .First.Data.empty}}
{{not}}
{{not 1 2}}
{{eq 1 2 1}} {{eq "a" "a"}} {{eq true true}} {{eq 1.5 .First.Data.number}} {{eq .First.ID 7}} {{eq (index "a" 0) 97}} {{eq 97 (index "a" 0)}} {{eq 1i 1i}}
{{eq .First.Data.null nil}} {{eq .First.Data.none nil}} {{eq .First.Data nil}} {{eq (index .Events 1).Data nil}} {{eq 1 nil}} {{eq nil "a"}} {{eq nil nil}}
{{eq .First.Time .First.Time}} {{eq .First.Time (index .Events 1).Time}} {{eq .First.Time.Month 3}}
{{eq}}
{{eq 1}}
{{eq 1 "a"}}
{{eq 1 1.0}}
{{eq 1 1 "a"}}
{{eq .Events .Events}}
{{eq .First .First}}
{{eq .First.Data .First.Data}}
{{eq (index .Events 1).Data .First.Data}}
{{eq .Events .Counts}}
{{eq .First 1}}
{{eq .First .First.Time}}
{{ne 1 2}} {{ne "a" "a"}} {{ne nil nil}}
{{ne 1}}
{{ne 1 2 3}}
{{lt 1 2}} {{lt 2 2}} {{le 2 2}} {{gt 2 1}} {{ge 1 2}} {{lt "a" "b"}} {{ge "b" "a"}} {{lt 1.5 2.5}} {{lt .Count 61}} {{lt -1 (index "a" 0)}} {{gt (index "a" 0) -1}} {{le (index "a" 0) (index "b" 0)}}
{{lt 1 "a"}}
{{lt 1 1.5}}
{{lt true false}}
{{lt nil 1}}
{{le true true}}
{{gt .Events .Events}}
{{ge nil nil}}
{{call .First}}
{{.First.Time.Format "2006-01-02 15:04"}} {{"15:04" | .First.Time.Format}} {{.First.Time}} {{.First.Time.UTC.Local}}
{{.First.Time.Format}}
{{.First.Time.Format 1}}
{{.First.Time.Format "a" "b"}}
{{.First.Time.Unix}} {{.First.Time.UnixMilli}} {{.First.Time.Year}} {{.First.Time.Month}} {{.First.Time.Day}} {{.First.Time.Hour}} {{.First.Time.Minute}} {{.First.Time.Second}} {{.First.Time.Nanosecond}}
{{.First.Time.Weekday}} {{.First.Time.Weekday.String}} {{.First.Time.Month.String}} {{.First.Time.YearDay}} {{.First.Time.IsZero}} {{.First.Time.String}}
{{$d := (index .Events 1).Time.Sub .First.Time}}{{$d}} {{$d.Hours}} {{$d.Minutes}} {{$d.Seconds}} {{$d.Milliseconds}} {{$d.Abs}} {{$d.String}} {{$d.Round 3600000000000}} {{$d.Truncate $d}} {{.First.Time.Add $d}} {{.First.Time.Add 1}}
{{.First.Time.AddDate 0 1 -1}} {{.First.Time.Before (index .Events 1).Time}} {{.First.Time.After .First.Time}} {{.First.Time.Equal .First.Time}} {{.First.Time.Compare .First.Time}} {{.First.Time.Round 1}} {{.First.Time.Truncate 1e3}}
{{.First.Time.Add 1.5}}
{{.First.Time.Add .Count}}
{{.First.Time.Nothing}}
{{.First.Time.wall}}
{{.First.Time.Zone}}
{{.First.Time.Format.Nothing "a"}}
{{print.Nothing}}
{{len.Nothing}}
{{.Events.First}}
{{true.Nothing}}
{{nil.Nothing}}
{{env "HOME"}}
{{if}}{{end}}
{{if 1}}
{{end}}
{{break}}
{{range 1}}{{else}}{{break}}{{end}}
{{"a
{{.First.Time.MarshalJSON}}
{{define "a"}}{{end}}
{{define "template"}}a{{end}}
{{template "template"}}
{{block "a" .}}{{end}}
{{if false}}{{with 1}}{{range 1}}{{template "a"}}{{end}}{{end}}{{end}}
{{print
1}}
`), "\n")

const usual = `{{range .Events}}{{.Time.Format "2006-01-02 15:04"}} {{.Severity}}{{if .Data}} {{.Kind}}{{if .ID}}/{{.ID}}{{end}}{{end}}: {{.Message}}
{{end}}{{if .More}}and {{.More}} more
{{end}}`

func TestTemplatesAreThoseOfGo(t *testing.T) {
	for _, text := range append(everySort, "", "{{print\n\n1}}", "{{.Count}}\n\n{{.Nothing}}", usual) {
		asPeer(t, text)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, text := range append(everySort, usual) {
		f.Add(text)
	}
	f.Fuzz(asPeer)
}
