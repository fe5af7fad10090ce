package tagrule

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

// versionGroup is the name of the group that orders, where there are several.
const versionGroup = "version"

// largestRegex bounds the instructions that a regular expression may compile to: a few characters such as
// (\pL{500}){2} would else take a hundred megabytes.
const largestRegex = 5000

// regex matches the whole tag. The group called version, or the only group, is what the tag is ordered by.
func regex(text string) (func(string) finding, error) {
	form, group, err := compileRegex(text)
	if err != nil {
		return nil, FieldError{fieldPattern, err.Error()}
	}
	other := missed("the regular expression does not match the whole tag")
	return func(name string) finding {
		parts := form.FindStringSubmatch(name)
		switch {
		case parts == nil:
			return other
		case parts[group] == "":
			return missed("the regular expression matches, but its version is empty")
		case group == 0:
			return found(name, "the regular expression matches")
		}
		return found(parts[group], "the regular expression matches, its version is %s", parts[group])
	}, nil
}

// compileRegex returns the expression and the number of the group that orders; 0 is the whole tag.
func compileRegex(text string) (*regexp.Regexp, int, error) {
	if text == "" {
		return nil, 0, errors.New(`it is empty: write a regular expression for the whole tag, such as v(\d+)`)
	}
	if len(text) > longestPattern {
		return nil, 0, fmt.Errorf("longer than %d characters", longestPattern)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, 0, unreadable(err)
	}
	if regexSize(tree) > largestRegex {
		return nil, 0, errors.New("it is too large: repeat less, such as [0-9]+ in place of [0-9]{1,1000}")
	}
	form, err := regexp.Compile(`^(?:` + text + `)$`)
	if err != nil {
		return nil, 0, unreadable(err)
	}
	group, err := orderingGroup(form)
	return form, group, err
}

// unreadable says what is wrong with an expression in the words of its reader, with the part that it stumbled over.
func unreadable(err error) error {
	var e *syntax.Error
	if !errors.As(err, &e) {
		return err
	}
	return fmt.Errorf("it is no regular expression (RE2): %s at %q", e.Code, e.Expr)
}

func orderingGroup(form *regexp.Regexp) (int, error) {
	if i := form.SubexpIndex(versionGroup); i > 0 {
		return i, nil
	}
	if form.NumSubexp() > 1 {
		return 0, errors.New("it has several groups: call the one that is the version (?<version>...), and write the others (?:...)")
	}
	return form.NumSubexp(), nil
}

// regexSize is about how many instructions an expression compiles to; what it finds too large it does not look at further.
func regexSize(re *syntax.Regexp) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size += len(re.Rune)
	case syntax.OpCharClass:
		size += len(re.Rune) / 2
	default: // what it holds is counted below, and the rest is one instruction
	}
	for _, sub := range re.Sub {
		if size += regexSize(sub); size > largestRegex {
			return largestRegex + 1
		}
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, largestRegex+1)
}
