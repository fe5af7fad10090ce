package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	// deepest is how deep keys may stand in one another.
	deepest = 30
	// mostItems bounds what comes of a text when its aliases are followed.
	mostItems = 50_000
	// mostGrown bounds the same in bytes.
	mostGrown = 4 << 20
)

type shape int

const (
	nothing shape = iota // null, or not there
	scalar
	list
	object
)

// item is a part of the file with its aliases followed and its variables filled in.
type item struct {
	kind   shape
	line   int
	value  any // of a scalar: string, int, float64 or bool
	items  []*item
	fields []field
	// missing are variables of a scalar that have no value.
	missing []string
}

// field is a key of an object.
type field struct {
	key  string
	line int
	item *item
}

var absent = &item{}

// field is that of a key; never nil.
func (i *item) field(key string) *item {
	for _, f := range i.fields {
		if f.key == key {
			return f.item
		}
	}
	return absent
}

// text is a scalar as it would be written; empty for all else.
func (i *item) text() string {
	if i.kind != scalar {
		return ""
	}
	return fmt.Sprint(i.value)
}

// plain is the item as compose-go takes it.
func (i *item) plain() any {
	switch i.kind {
	case scalar:
		return i.value
	case list:
		all := make([]any, len(i.items))
		for n, one := range i.items {
			all[n] = one.plain()
		}
		return all
	case object:
		all := make(map[string]any, len(i.fields))
		for _, f := range i.fields {
			all[f.key] = f.item.plain()
		}
		return all
	case nothing:
	}
	return nil
}

// grow reads a text into items.
func grow(text string, values map[string]string) (*item, *filler, error) {
	in := newFiller(values)
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	var root, second yaml.Node
	if err := d.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil, &Error{Reason: "the file is empty", Remedy: "give a compose file"}
		}
		return nil, nil, &Error{Line: lineIn(err.Error()), Reason: "it is no YAML: " + reasonIn(err.Error()), Remedy: "mend that line"}
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, nil, &Error{Line: second.Line, Reason: "it holds more than one document, or goes on after its end", Remedy: "give one document"}
	}
	g := &grower{filler: in, open: map[*yaml.Node]bool{}}
	top, err := g.item(&root, 0)
	return top, in, err
}

// lineIn finds the line that the YAML reader names; 0: none.
func lineIn(text string) int {
	_, rest, found := strings.Cut(text, "line ")
	if !found {
		return 0
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	n, err := strconv.Atoi(rest[:end])
	if err != nil {
		return 0
	}
	return n
}

// reasonIn leaves out who says it.
func reasonIn(text string) string {
	const longest = 200
	text = strings.TrimPrefix(text, "yaml: ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return text
}

// grower follows aliases within bounds.
type grower struct {
	*filler
	open  map[*yaml.Node]bool // anchors that are being followed
	made  int
	bytes int
}

func (g *grower) item(n *yaml.Node, depth int) (*item, error) {
	if g.made++; g.made > mostItems {
		return nil, &Error{Line: n.Line, Reason: "its aliases unfold to more than is read", Remedy: "write out what the aliases stand for"}
	}
	if depth > deepest {
		return nil, &Error{Line: n.Line, Reason: "it is nested too deeply", Remedy: "give a compose file"}
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) != 1 {
			return absent, nil
		}
		return g.item(n.Content[0], depth)
	case yaml.AliasNode:
		return g.alias(n, depth)
	case yaml.ScalarNode:
		return g.scalar(n)
	case yaml.SequenceNode:
		made := &item{kind: list, line: n.Line}
		for _, c := range n.Content {
			one, err := g.item(c, depth+1)
			if err != nil {
				return nil, err
			}
			made.items = append(made.items, one)
		}
		return made, nil
	case yaml.MappingNode:
		return g.object(n, depth)
	case yaml.StreamNode:
	}
	return nil, &Error{Line: n.Line, Reason: "it is no YAML that compose knows", Remedy: "mend that line"}
}

func (g *grower) alias(n *yaml.Node, depth int) (*item, error) {
	if n.Alias == nil || g.open[n.Alias] {
		return nil, &Error{Line: n.Line, Reason: "an alias stands within itself", Remedy: "write out what it stands for"}
	}
	g.open[n.Alias] = true
	defer delete(g.open, n.Alias)
	return g.item(n.Alias, depth)
}

func (g *grower) object(n *yaml.Node, depth int) (*item, error) {
	made := &item{kind: object, line: n.Line}
	seen := map[string]bool{}
	var merged []*item
	for at := 0; at+1 < len(n.Content); at += 2 {
		k, v := n.Content[at], n.Content[at+1]
		if k.Kind == yaml.AliasNode && k.Alias != nil {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return nil, &Error{Line: k.Line, Reason: "a key is no word", Remedy: "mend that line"}
		}
		one, err := g.item(v, depth+1)
		if err != nil {
			return nil, err
		}
		switch {
		case k.Value == "<<" && one.kind == list:
			merged = append(merged, one.items...)
			continue
		case k.Value == "<<":
			merged = append(merged, one)
			continue
		case seen[k.Value]:
			return nil, &Error{Line: k.Line, Reason: fmt.Sprintf("the key %q is there twice", k.Value), Remedy: "take one of them out"}
		}
		seen[k.Value] = true
		made.fields = append(made.fields, field{k.Value, n.Content[at].Line, one})
	}
	for _, m := range merged { // what is written here counts, then the first that is merged
		for _, f := range m.fields {
			if !seen[f.key] {
				seen[f.key] = true
				made.fields = append(made.fields, f)
			}
		}
	}
	return made, nil
}

func (g *grower) scalar(n *yaml.Node) (*item, error) {
	made := &item{kind: scalar, line: n.Line}
	f, err := g.fill(n)
	if err != nil {
		return nil, err
	}
	value := f.text
	made.missing = f.missing
	if g.bytes += len(value); g.bytes > mostGrown {
		return nil, &Error{Line: n.Line, Reason: "its aliases and variables unfold to more than is read", Remedy: "write out what they stand for"}
	}
	made.value = value
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return made, nil
	}
	switch n.ShortTag() {
	case "!!null":
		if !f.had {
			made.kind, made.value = nothing, nil
		}
	case "!!bool":
		made.value = strings.EqualFold(value, "true")
	case "!!int":
		if whole, err := strconv.ParseInt(value, 0, 64); err == nil && strconv.FormatInt(whole, 10) == value {
			made.value = int(whole)
		}
	case "!!float":
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			made.value = number
		}
	}
	return made, nil
}
