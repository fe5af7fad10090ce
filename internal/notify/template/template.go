// Package template writes texts by templates, in the language of Go's text/template, whose parser it uses. What executes them is our own: that of
// text/template finds methods by their names, for which the linker has to keep every exported method of the whole program, a tenth of the daemon.
// So there are only the methods that somebody lists, and bounds are held where the work is done. Values are what a message is made of: numbers,
// texts, truths, structs, slices, and maps by texts; no pointers.
package template

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template/parse"
)

const (
	// MaxLength is how long a template may be, in bytes.
	MaxLength  = 4 << 10
	maxWritten = 32 << 10 // bytes that one template may write
	maxTurns   = 5_000    // turns of all loops of one execution
)

var (
	errTooMuch = fmt.Errorf("it writes more than %d bytes", maxWritten)
	errOthers  = errors.New("define, block and template are not possible here")
)

// Language is what templates may call beside what they have by themselves.
type Language struct {
	Functions map[string]any // by name; each gives a value, or a value and an error
	Methods   Methods
}

// Methods are by whose they are and by name: functions that take whose they are first.
type Methods map[reflect.Type]map[string]any

// Write executes a template over data.
func (l Language) Write(text string, data any) (written string, err error) {
	if len(text) > MaxLength {
		return "", fmt.Errorf("it is longer than %d bytes", MaxLength)
	}
	const name = "template"
	all := map[string]*parse.Tree{}
	functions := maps.Clone(builtins)
	maps.Copy(functions, l.Functions)
	tree, err := parse.New(name).Parse(text, "", "", all, functions)
	if err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: "+name+":"))
	}
	if len(all) > 1 || all[name] != tree {
		return "", errOthers
	}
	defer func() {
		switch ended := recover().(type) {
		case nil:
		case failure:
			err = ended.error
		default:
			panic(ended)
		}
	}()
	dot := reflect.ValueOf(data)
	x := execution{tree: tree, functions: functions, methods: []Methods{l.Methods, times}, variables: []variable{{"$", dot}}}
	x.walk(dot, tree.Root)
	return x.out.String(), nil
}

// execution is one of a template. A value of it that is not valid is one that is not there.
type execution struct {
	tree      *parse.Tree
	functions map[string]any
	methods   []Methods
	variables []variable // the innermost last
	turns     int
	out       strings.Builder
}

type variable struct {
	name  string
	value reflect.Value
}

// failure is what an execution panics with: it may be deep in a template, and nothing on the way back has to do with it.
type failure struct{ error }

// fail says where something is wrong, and what.
func (x *execution) fail(at parse.Node, format string, args ...any) failure {
	where, what := x.tree.ErrorContext(at)
	return failure{fmt.Errorf("%s: at <%s>: %w", strings.TrimPrefix(where, x.tree.Name+":"), what, fmt.Errorf(format, args...))}
}

// variable finds the innermost of a name. There may be none where a declaration was passed over, such as in {{and false ($x := 1)}}.
func (x *execution) variable(n *parse.VariableNode) *reflect.Value {
	for i := len(x.variables) - 1; i >= 0; i-- {
		if x.variables[i].name == n.Ident[0] {
			return &x.variables[i].value
		}
	}
	panic(x.fail(n, "there is no %s", n.Ident[0]))
}

// forget ends the scope that began with so many variables.
func (x *execution) forget(since int) { x.variables = x.variables[:since] }

func (x *execution) write(text string) {
	if x.out.Len()+len(text) > maxWritten {
		panic(failure{errTooMuch})
	}
	x.out.WriteString(text)
}

// walk executes a part of a template, and returns the break or continue that ended it before its end.
func (x *execution) walk(dot reflect.Value, node parse.Node) parse.Node {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil // there is no else
		}
		for _, each := range n.Nodes {
			if ended := x.walk(dot, each); ended != nil {
				return ended
			}
		}
	case *parse.TextNode:
		x.write(string(n.Text))
	case *parse.ActionNode:
		switch v := x.pipeline(dot, n.Pipe); {
		case len(n.Pipe.Decl) > 0: // it only declares
		case v.IsValid():
			x.write(fmt.Sprint(v.Interface()))
		default:
			x.write(nothing)
		}
	case *parse.IfNode:
		return x.branch(dot, &n.BranchNode)
	case *parse.WithNode:
		return x.branch(dot, &n.BranchNode)
	case *parse.RangeNode:
		return x.loop(dot, &n.BranchNode)
	case *parse.BreakNode, *parse.ContinueNode:
		return n
	case *parse.TemplateNode:
		panic(failure{errOthers})
	}
	return nil
}

// branch is an if or a with.
func (x *execution) branch(dot reflect.Value, n *parse.BranchNode) parse.Node {
	defer x.forget(len(x.variables))
	v := x.pipeline(dot, n.Pipe)
	if !truth(v) {
		return x.walk(dot, n.ElseList)
	}
	if n.NodeType == parse.NodeWith {
		dot = v
	}
	return x.walk(dot, n.List)
}

func (x *execution) loop(dot reflect.Value, n *parse.BranchNode) parse.Node {
	defer x.forget(len(x.variables))
	over, names := x.pipeline(dot, n.Pipe), n.Pipe.Decl
	outside, turned := len(x.variables), false
	turn := func(index, element reflect.Value) bool {
		turned = true
		if x.turns++; x.turns > maxTurns {
			panic(failure{fmt.Errorf("its loops take more than %d turns", maxTurns)})
		}
		if len(names) > 1 {
			*x.variable(names[0]) = index
		}
		if len(names) > 0 {
			*x.variable(names[len(names)-1]) = element
		}
		_, broken := x.walk(element, n.List).(*parse.BreakNode)
		x.forget(outside)
		return !broken
	}
	switch {
	case over.Kind() == reflect.Slice:
		over.Seq2()(turn)
	case over.Kind() == reflect.Map:
		keys := over.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			if !turn(k, over.MapIndex(k)) {
				break
			}
		}
	case (over.CanInt() || over.CanUint()) && len(names) < 2:
		over.Seq()(func(i reflect.Value) bool { return turn(reflect.Value{}, i) })
	case over.IsValid():
		panic(x.fail(n.Pipe, "range cannot go over %s with %d variables", kind(over), len(names)))
	}
	if !turned {
		return x.walk(dot, n.ElseList)
	}
	return nil
}

// pipeline evaluates commands, each with what the one before gave as its last argument.
func (x *execution) pipeline(dot reflect.Value, p *parse.PipeNode) (v reflect.Value) {
	var before []reflect.Value
	for _, c := range p.Cmds {
		if c.Args[0].Type() == parse.NodeNil {
			panic(x.fail(c, "nil is nothing to begin with"))
		}
		v = inside(x.evaluate(c.Args[0], arguments{c, dot, c.Args[1:], before}))
		before = []reflect.Value{v}
	}
	for _, name := range p.Decl {
		if p.IsAssign {
			*x.variable(name) = v
		} else {
			x.variables = append(x.variables, variable{name.Ident[0], v})
		}
	}
	return v
}

// arguments are what something is evaluated with.
type arguments struct {
	at     parse.Node // the whole of it, for errors
	dot    reflect.Value
	nodes  []parse.Node
	before []reflect.Value // what came before in the pipeline, if anything: the last argument
}

func (a arguments) count() int { return len(a.nodes) + len(a.before) }

// alone evaluates what stands without arguments.
func (x *execution) alone(dot reflect.Value, node parse.Node) reflect.Value {
	return x.evaluate(node, arguments{at: node, dot: dot})
}

func (x *execution) evaluate(node parse.Node, with arguments) (v reflect.Value) {
	switch n := node.(type) {
	case *parse.IdentifierNode:
		if n.Ident == "and" || n.Ident == "or" {
			return x.decide(n.Ident, with)
		}
		return x.call(n.Ident, x.functions[n.Ident], nil, with)
	case *parse.FieldNode:
		return x.chain(with.dot, n.Ident, with)
	case *parse.ChainNode:
		return x.chain(x.alone(with.dot, n.Node), n.Field, with)
	case *parse.VariableNode:
		if v = *x.variable(n); len(n.Ident) > 1 {
			return x.chain(v, n.Ident[1:], with)
		}
	case *parse.PipeNode:
		v = x.pipeline(with.dot, n)
	case *parse.DotNode:
		v = with.dot
	case *parse.BoolNode:
		v = reflect.ValueOf(n.True)
	case *parse.StringNode:
		v = reflect.ValueOf(n.Text)
	case *parse.NumberNode:
		v = x.number(n)
	}
	if with.count() > 0 {
		panic(x.fail(with.at, "%s takes no arguments", node))
	}
	return v
}

// number is a constant as Go takes it where nothing says what is wanted.
func (x *execution) number(n *parse.NumberNode) reflect.Value {
	fraction := ".eEpP"
	if strings.HasPrefix(strings.ToLower(n.Text), "0x") {
		fraction = ".pP"
	}
	switch {
	case n.IsComplex:
		return reflect.ValueOf(n.Complex128)
	case n.Text[0] != '\'' && strings.ContainsAny(n.Text, fraction):
		return reflect.ValueOf(n.Float64)
	case n.IsInt:
		return reflect.ValueOf(int(n.Int64))
	}
	panic(x.fail(n, "it is too big"))
}

// chain goes from a value by names; the last takes the arguments.
func (x *execution) chain(v reflect.Value, names []string, with arguments) reflect.Value {
	last := len(names) - 1
	for _, name := range names[:last] {
		v = x.member(v, name, arguments{at: with.at})
	}
	return x.member(v, names[last], with)
}

// member is what a method gives, a field of a struct or an entry of a map. Of what is not there no member is there either.
func (x *execution) member(of reflect.Value, name string, with arguments) (v reflect.Value) {
	if !of.IsValid() {
		return of
	}
	if of = inside(of); !of.IsValid() {
		panic(x.fail(with.at, "there is no .%s in null", name))
	}
	for _, some := range x.methods {
		if method, is := some[of.Type()][name]; is {
			return x.call(name, method, []reflect.Value{of}, with)
		}
	}
	if of.Kind() == reflect.Struct {
		v = of.FieldByName(name)
	}
	if of.Kind() == reflect.Map {
		v = of.MapIndex(reflect.ValueOf(name))
	} else if !v.IsValid() || !v.CanInterface() {
		panic(x.fail(with.at, "there is no .%s in %s, which has %s", name, kind(of), x.members(of.Type())))
	}
	if with.count() > 0 {
		panic(x.fail(with.at, ".%s takes no arguments", name))
	}
	return v
}

// members tells what there is in values of a type.
func (x *execution) members(of reflect.Type) string {
	var names []string
	for _, some := range x.methods {
		names = slices.AppendSeq(names, maps.Keys(some[of]))
	}
	if of.Kind() == reflect.Struct {
		for _, f := range reflect.VisibleFields(of) {
			if f.IsExported() {
				names = append(names, f.Name)
			}
		}
	}
	slices.Sort(names)
	return cmp.Or(strings.Join(names, ", "), "no fields")
}

// decide gives the first value of an and that is not true, or of an or that is; else the last. What stands behind that is not evaluated.
func (x *execution) decide(name string, with arguments) (v reflect.Value) {
	if with.count() == 0 {
		panic(x.fail(with.at, "%s is given 0 arguments instead of 1 or more", name))
	}
	for _, node := range with.nodes {
		if v = x.alone(with.dot, node); truth(v) == (name == "or") {
			return v
		}
	}
	if len(with.before) > 0 {
		v = with.before[0]
	}
	return v
}

// call calls a function with what is given and behind that the arguments.
func (x *execution) call(name string, function any, given []reflect.Value, with arguments) reflect.Value {
	f, own := reflect.ValueOf(function), len(given)
	t := f.Type()
	takes, more := t.NumIn(), ""
	if t.IsVariadic() {
		takes, more = takes-1, " or more"
	}
	if n := own + with.count(); n < takes || n > takes && !t.IsVariadic() {
		panic(x.fail(with.at, "%s is given %d arguments instead of %d%s", name, n-own, takes-own, more))
	}
	want := func() reflect.Type {
		if len(given) < takes {
			return t.In(len(given))
		}
		return t.In(takes).Elem()
	}
	for _, node := range with.nodes {
		given = append(given, x.argument(node, with.dot, want()))
	}
	for _, v := range with.before {
		given = append(given, x.fit(with.at, v, want()))
	}
	gives := f.Call(given)
	if len(gives) > 1 && !gives[1].IsNil() {
		panic(x.fail(with.at, "%s: %w", name, gives[1].Interface().(error)))
	}
	v := inside(gives[0])
	if v.Kind() == reflect.String && v.Len() > maxWritten {
		panic(x.fail(with.at, "%s: %w", name, errTooMuch))
	}
	return v
}

func (x *execution) argument(node parse.Node, dot reflect.Value, want reflect.Type) (v reflect.Value) {
	if n, is := node.(*parse.NumberNode); is && n.IsInt && reflect.Zero(want).CanInt() {
		return reflect.ValueOf(n.Int64).Convert(want) // a number is of the type that is wanted
	}
	if node.Type() != parse.NodeNil {
		v = x.alone(dot, node)
	}
	return x.fit(node, v, want)
}

// fit is a value as one of a type that it can be assigned to.
func (x *execution) fit(at parse.Node, v reflect.Value, want reflect.Type) reflect.Value {
	if v = inside(v); !v.IsValid() && want.Kind() == reflect.Interface {
		return reflect.Zero(want)
	}
	if !v.IsValid() || !v.Type().AssignableTo(want) {
		panic(x.fail(at, "%s is wanted, not %s", want, kind(v)))
	}
	return v
}

// inside is what an interface holds, such as a value of a map[string]any.
func inside(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Interface {
		return v.Elem()
	}
	return v
}

func truth(v reflect.Value) bool {
	v = inside(v)
	if v.Kind() == reflect.Map || v.Kind() == reflect.Slice {
		return v.Len() > 0
	}
	return v.IsValid() && (v.Kind() == reflect.Struct || !v.IsZero())
}

func kind(v reflect.Value) string {
	if !v.IsValid() {
		return nothing
	}
	return v.Type().String()
}
