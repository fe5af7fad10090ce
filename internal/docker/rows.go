package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// row is what we read of a container in a list.
type row struct {
	ID      string `json:"Id"`
	Names   []string
	Image   string
	Created int64
	State   string
	Labels  map[string]string
}

// rows reads a list. What the quick reader does not take for whole and well is read again by
// encoding/json, which then says what is wrong with it.
func rows(body []byte) ([]Summary, error) {
	raw, ok := quickRows(body)
	if !ok {
		raw = nil
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(&raw); err != nil {
			return nil, err
		}
	}
	out := make([]Summary, len(raw))
	for i, r := range raw {
		if r.ID == "" {
			return nil, fmt.Errorf("%w: a row of its list has no id", ErrEngine)
		}
		out[i] = r.summary()
	}
	return out, nil
}

func (r row) summary() Summary {
	s := Summary{ID: r.ID, Image: r.Image, State: foldState(r.State), Labels: r.Labels}
	if len(r.Names) > 0 {
		s.Name = ownName(r.Names)
	}
	if r.Created > 0 {
		s.Created = time.Unix(r.Created, 0).UTC()
	}
	return s
}

// ownName is the container's own among its names: a link of another one adds "/other/alias".
func ownName(names []string) string {
	for _, name := range names {
		if own := strings.TrimPrefix(name, "/"); !strings.Contains(own, "/") {
			return own
		}
	}
	return strings.TrimPrefix(names[0], "/")
}

// rowReader reads rows at a few times the speed of encoding/json, because it steps over the two thirds of
// each row that nobody asked for. A scan of ten thousand containers is mostly this. It gives up (ok is
// false) at whatever it does not expect.
type rowReader struct {
	b     []byte
	i     int
	bad   bool
	words map[string]string // images and labels come again and again
}

func quickRows(body []byte) (out []row, ok bool) {
	const usualRow = 600
	r := &rowReader{b: body, words: map[string]string{}}
	out = make([]row, 0, len(body)/usualRow+1)
	r.array(func() { out = append(out, r.row()) })
	r.space()
	return out, !r.bad && r.i == len(r.b)
}

func (r *rowReader) row() row {
	var out row
	r.object(func(key []byte) {
		switch string(key) {
		case "Id":
			out.ID = string(r.text())
		case "Names":
			r.bad = r.bad || out.Names != nil
			r.orNull(func() { r.array(func() { out.Names = append(out.Names, string(r.text())) }) })
		case "Image":
			out.Image = r.word()
		case "Created":
			out.Created = r.number()
		case "State":
			out.State = r.word()
		case "Labels":
			r.bad = r.bad || out.Labels != nil
			r.orNull(func() {
				out.Labels = make(map[string]string, 8)
				r.object(func(key []byte) {
					name := r.intern(key)
					out.Labels[name] = r.word()
				})
			})
		default:
			r.skip()
		}
	})
	return out
}

func (r *rowReader) space() {
	for r.i < len(r.b) {
		switch r.b[r.i] {
		case ' ', '\n', '\t', '\r':
			r.i++
		default:
			return
		}
	}
}

// next is the next byte that is no space, without taking it; 0 at the end or after a failure.
func (r *rowReader) next() byte {
	r.space()
	if r.bad || r.i >= len(r.b) {
		r.bad = true
		return 0
	}
	return r.b[r.i]
}

// take wants a certain byte.
func (r *rowReader) take(c byte) bool {
	if r.next() != c {
		r.bad = true
		return false
	}
	r.i++
	return true
}

// array calls item at the beginning of each of its values.
func (r *rowReader) array(item func()) {
	if !r.take('[') {
		return
	}
	r.members(']', item)
}

// object calls member at the beginning of each value, with its key.
func (r *rowReader) object(member func(key []byte)) {
	if !r.take('{') {
		return
	}
	r.members('}', func() {
		key := r.text()
		if r.take(':') {
			member(key)
		}
	})
}

func (r *rowReader) members(end byte, one func()) {
	if r.next() == end {
		r.i++
		return
	}
	for !r.bad {
		one()
		switch r.next() {
		case ',':
			r.i++
		case end:
			r.i++
			return
		default:
			r.bad = true
		}
	}
}

func (r *rowReader) orNull(value func()) {
	if r.next() != 'n' {
		value()
		return
	}
	r.null()
}

func (r *rowReader) null() {
	if !bytes.HasPrefix(r.b[r.i:], []byte("null")) {
		r.bad = true
		return
	}
	r.i += len("null")
}

// text is a string's content. One with escapes or control characters is left to encoding/json.
func (r *rowReader) text() []byte {
	if !r.take('"') {
		return nil
	}
	rest := r.b[r.i:]
	end := bytes.IndexByte(rest, '"')
	if end < 0 || !plain(rest[:end]) {
		r.bad = true
		return nil
	}
	r.i += end + 1
	return rest[:end]
}

// plain tells whether a string means just its bytes.
func plain(s []byte) bool {
	for _, c := range s {
		if c < ' ' || c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

func (r *rowReader) word() string { return r.intern(r.text()) }

func (r *rowReader) intern(b []byte) string {
	if s, ok := r.words[string(b)]; ok {
		return s
	}
	s := string(b)
	r.words[s] = s
	return s
}

func (r *rowReader) number() int64 {
	r.next()
	from := r.i
	for r.i < len(r.b) && (r.b[r.i] == '-' || '0' <= r.b[r.i] && r.b[r.i] <= '9') {
		r.i++
	}
	n, err := strconv.ParseInt(string(r.b[from:r.i]), 10, 64)
	if err != nil {
		r.bad = true
	}
	return n
}

// skip steps over a value of any kind, with no look at what is in it but where it ends.
func (r *rowReader) skip() {
	depth := 0
	for !r.bad {
		switch c := r.next(); c {
		case '"':
			r.skipText()
		case '{', '[':
			depth++
			r.i++
			continue
		case '}', ']':
			depth--
			r.i++
		case ',', ':':
			if depth == 0 {
				r.bad = true
			}
			r.i++
			continue
		default:
			r.skipWord()
		}
		if depth <= 0 {
			return
		}
	}
}

func (r *rowReader) skipText() {
	r.i++
	for {
		end := bytes.IndexByte(r.b[r.i:], '"')
		if end < 0 {
			r.bad = true
			return
		}
		slashes := 0
		for at := r.i + end - 1; at >= r.i && r.b[at] == '\\'; at-- {
			slashes++
		}
		r.i += end + 1
		if slashes%2 == 0 {
			return
		}
	}
}

// skipWord steps over a number, true, false or null.
func (r *rowReader) skipWord() {
	from := r.i
	for r.i < len(r.b) && !strings.ContainsRune(",]} \n\t\r\"{[:", rune(r.b[r.i])) {
		r.i++
	}
	if r.i == from {
		r.bad = true
	}
}
