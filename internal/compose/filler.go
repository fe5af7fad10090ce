package compose

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v4"
)

const (
	// mostDollars bounds the variables in one scalar, which may stand in one another.
	mostDollars   = 100
	longestFilled = 64 << 10
)

// filler fills in variables from what was given, and from nowhere else.
type filler struct {
	given map[string]string
	asked map[string]*Variable
	done  map[*yaml.Node]filling // an alias is filled in once
}

// filling is a scalar with its variables filled in.
type filling struct {
	text    string
	had     bool     // it has variables
	missing []string // those without a value and without anything that stands in for it
}

func newFiller(values map[string]string) *filler {
	return &filler{given: values, asked: map[string]*Variable{}, done: map[*yaml.Node]filling{}}
}

func (f *filler) fill(n *yaml.Node) (filling, error) {
	if !strings.Contains(n.Value, "$") {
		return filling{text: n.Value}, nil
	}
	if was, ok := f.done[n]; ok {
		return was, nil
	}
	if strings.Count(n.Value, "$") > mostDollars || len(n.Value) > longestFilled {
		return filling{}, &Error{Line: n.Line, Reason: "it asks for more than 100 variables at once, or is longer than 64 KiB with a variable in it", Remedy: "take it apart"}
	}
	missing := map[string]bool{}
	text, err := template.SubstituteWithOptions(n.Value, func(name string) (string, bool) {
		value, ok := f.given[name]
		f.note(name, n.Line, ok)
		if !ok {
			missing[name] = true
		}
		return value, ok
	}, template.WithoutLogging)
	var required *template.MissingRequiredError
	switch {
	case err != nil && !errors.As(err, &required):
		return filling{}, &Error{Line: n.Line, Reason: "a $ that begins no variable", Remedy: "write ${NAME}, or $$ for the sign itself"}
	case len(text) > mostGrown:
		return filling{}, &Error{Line: n.Line, Reason: "its variables unfold to more than is read", Remedy: "write out what they stand for"}
	}
	bare := f.bare(n.Value, missing)
	if required != nil && !slices.Contains(bare, required.Variable) { // it was given, but empty, which is not enough here
		f.asked[required.Variable].Default = false
		bare = append(bare, required.Variable)
	}
	f.done[n] = filling{text, true, bare}
	return f.done[n], nil
}

// lookup is the value of a variable that is named without a sign; nil: none was given.
func (f *filler) lookup(name string, line int) *string {
	value, ok := f.given[name]
	f.note(name, line, ok)
	if !ok {
		f.asked[name].Default = false
		return nil
	}
	return &value
}

func (f *filler) note(name string, line int, given bool) {
	if v := f.asked[name]; v == nil {
		f.asked[name] = &Variable{Name: name, Line: line, Given: given, Default: true}
	} else {
		v.Line = min(v.Line, line)
	}
}

// bare are those of the missing ones that have nothing to stand in for them here.
func (f *filler) bare(text string, missing map[string]bool) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		stands := func(mark string) bool { return strings.Contains(text, "${"+name+mark) }
		if !stands(":-") && !stands("-") && !stands(":+") && !stands("+") {
			f.asked[name].Default = false
			names = append(names, name)
		}
	}
	return names
}

// variables are all that were asked for, in the order of the file.
func (f *filler) variables() []Variable {
	var all []Variable
	for _, v := range f.asked {
		all = append(all, *v)
	}
	slices.SortFunc(all, func(a, b Variable) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all
}
