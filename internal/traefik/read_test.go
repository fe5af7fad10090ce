package traefik

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tiny-forge/docker-watcher/internal/peertest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/proxy/proxytest"
)

// question is what tools/traefik is asked: what Traefik's own code makes of a document or of labels, and which router takes a request.
type question struct {
	Document string            `json:"document,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Requests []string          `json:"requests,omitempty"`

	name string
	want Document
}

type answer struct {
	Error   string
	HTTP    *HTTP // what Traefik has read, of that which we write
	Routers []string
}

// TestTraefikReadsWhatIsWritten has Traefik's own code read every document and every set of labels that is made here, of each option of a
// rule and of values that one of its readers could take for something else: it has to read what was meant, or the field has to be refused.
func TestTraefikReadsWhatIsWritten(t *testing.T) {
	questions := append(goldenFiles(t), matching())
	for name, r := range rules(t) {
		questions = append(questions, documented(t, name, r)...)
	}
	questions = append(questions, nonsense()...)
	program := peertest.Build(t, "traefik", ".")
	for i, a := range peertest.Ask[question, answer](t, program, questions) {
		q := questions[i]
		if strings.HasPrefix(q.name, "refused: ") {
			if a.Error == "" {
				t.Errorf("%s: Traefik takes it", q.name)
			}
			continue
		}
		if a.Error != "" {
			t.Errorf("%s: Traefik refuses it: %s", q.name, a.Error)
			continue
		}
		if diff := cmp.Diff(normal(q.want.HTTP), normal(a.HTTP), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: Traefik reads something else\n%s", q.name, diff)
		}
		if want := taken(q.Requests); !slices.Equal(a.Routers, want) {
			t.Errorf("%s: the requests %q are taken by %q, want %q", q.name, q.Requests, a.Routers, want)
		}
	}
}

// rules are one for each option that Traefik can say, and those with values that are easily misread.
func rules(t *testing.T) map[string]proxy.Rule {
	t.Helper()
	out := map[string]proxy.Rule{"full": full(), "stopped": stopped(), "plain": rule("a.example", "http://10.0.0.5")}
	proxytest.EveryOption(t, func(r proxy.Rule) string {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out[string(text)] = r
		return string(text)
	})
	option := func(name string, f func(*proxy.Options)) {
		out[name] = with(rule("a.example/api", "http://10.0.0.5"), f)
	}
	for _, text := range []string{"a, b", "║24║a║b", "yes", "1.0", "007", "null", "~", "- a", "a: b # c", `"a" 'b' \n`, "`a`", "{{.}} ${1} $1", "ü", "<&>", "\u2028", "a\tb"} {
		option("a header "+text, func(o *proxy.Options) {
			o.RequestHeaders, o.ResponseHeaders = []proxy.Header{{Name: "X-A", Value: text}}, []proxy.Header{{Name: "x-b", Value: text}}
		})
		option("a user "+text, func(o *proxy.Options) {
			o.BasicAuth = []proxy.Credential{{User: strings.ReplaceAll(text, ":", "."), Hash: "$2a$10$x"}, {User: "anna", Hash: "$2y$10$y"}}
		})
	}
	option("a user after a space", func(o *proxy.Options) { o.BasicAuth = []proxy.Credential{{User: " anna", Hash: "x"}} })
	option("a header with dots", func(o *proxy.Options) {
		o.RequestHeaders = []proxy.Header{{Name: "X.A", Value: "1"}, {Name: "X", Value: "2"}, {Name: ".", Value: "3"}}
	})
	option("a header with marks", func(o *proxy.Options) { o.RequestHeaders = []proxy.Header{{Name: "!#$%&'*+-^_`|~", Value: "1"}} })
	option("years of HSTS", func(o *proxy.Options) { o.HSTSSeconds = 94608000 })
	option("a target's own authority", func(o *proxy.Options) { o.TargetCA = "-----BEGIN\nX==\n-----END" })
	option("longer times", func(o *proxy.Options) {
		o.ConnectTimeout, o.ResponseTimeout = proxy.Span(100*time.Millisecond), proxy.Span(time.Hour)
		o.HealthCheck = &proxy.HealthCheck{Path: "/a,b?c=║&d=%2F", Interval: proxy.Span(90 * time.Second), Timeout: proxy.Span(1500 * time.Millisecond)}
	})
	option("networks", func(o *proxy.Options) {
		o.AllowIPs = []string{"10.0.0.1", "fd00::/8", " 192.0.2.0/24 ", "::ffff:10.0.0.0/104"}
	})
	for _, to := range []string{"https://b.example/?a=$1&b=%24", "http://b.example:8080", "https://b.example/a,b"} {
		out["to "+to] = with(rule("a.example"), func(o *proxy.Options) { o.RedirectTo, o.RedirectCode = to, 301 })
	}
	for _, path := range []string{"a,b", "║", "a'b", "(a)", "ü", "a&&b", "{a}", "$1", "a:b;c=d"} {
		r := with(rule("a.example/"+path, "http://10.0.0.5"), func(o *proxy.Options) { o.StripPrefix = true })
		out["the path "+path], r.Options.StripPrefix = r, false
		out["the whole path "+path] = r
	}
	for _, to := range []string{"http://10.0.0.5/a,b", "http://10.0.0.5/ü", "http://10.0.0.5/a%20b", "http://[fd00::5]:80/║"} {
		out["the target "+to] = rule("a.example", to)
	}
	many := rule("::1")
	many.ID, many.Addresses = "several", append(many.Addresses, proxy.Address{Domain: "192.0.2.1", PathPrefix: "/"}, proxy.Address{Domain: "xn--bcher-kva.example", PathPrefix: "/"})
	out["several addresses"] = many
	return out
}

var believed = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fd00::/8")}

// documented are a rule as a document and as labels, where it is not refused.
func documented(t *testing.T, name string, r proxy.Rule) (out []question) {
	t.Helper()
	if len(Fits(proxy.Table{Rules: []proxy.Rule{r}}, site)) > 0 {
		return nil
	}
	doc := Translate(proxy.Table{Rules: []proxy.Rule{r}, Trusted: believed}, site)
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, question{name: name + " as a document", Document: string(text), want: doc})
	if len(Unlabelled(r)) > 0 {
		return out
	}
	list, _, err := Labels(r, 3000, believed, site)
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, l := range list {
		labels[l.Name] = l.Value
	}
	return append(out, question{name: name + " as labels", Labels: labels, want: labelled(r, believed, site)})
}

// goldenFiles are what is committed, as it stands there.
func goldenFiles(t *testing.T) []question {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	labels := map[string]string{}
	for line := range strings.Lines(read("labels.txt")) {
		if name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), "="); found {
			labels[name] = value
		}
	}
	several := question{name: "several.json", Document: read("several.json")}
	if err := json.Unmarshal([]byte(several.Document), &several.want); err != nil {
		t.Fatal(err)
	}
	return []question{
		several,
		{name: "empty.json", Document: read("empty.json")},
		{name: "labels.txt", Labels: labels, want: labelled(full(), nil, site)},
	}
}

// matched are requests and the routers of several.json that take them.
var matched = map[string]string{
	"http://app.example.com/api": "dw-app-example-com-api", "http://app.example.com/api/x?y": "dw-app-example-com-api", "http://APP.example.com.:80/api": "dw-app-example-com-api",
	"https://app.example.com/api": "dw-app-example-com-api-tls", "http://app.example.com/apix": "", "http://app.example.com/": "", "http://other.example/api": "",
	"http://a.example.com/x/1": "dw-a-example-com-x", "http://b.example.com/x": "dw-a-example-com-x", "http://c.example.com/any": "dw-a-example-com-x-b",
	"http://b.example.com/any": "", "https://b.example.com/x": "", "http://old.example.com/any": "dw-old-example-com",
}

func taken(requests []string) (routers []string) {
	for _, r := range requests {
		routers = append(routers, matched[r])
	}
	return routers
}

// matching asks by Traefik's own rules who takes a request.
func matching() question {
	doc := Translate(proxy.Table{Rules: several()}, site)
	text, _ := json.Marshal(doc) // as others are, beside
	return question{name: "the rules", Document: string(text), want: doc, Requests: slices.Sorted(maps.Keys(matched))}
}

// nonsense is refused, or nothing would be seen here.
func nonsense() []question {
	return []question{
		{name: "refused: a field that there is not", Document: `{"http": {"routers": {"a": {"rule": "Host(` + "`a`" + `)", "servce": "b"}}}}`},
		{name: "refused: an empty element", Document: `{"http": {"middlewares": {"a": {"headers": {}}}}}`},
		{name: "refused: a rule that is none", Document: `{"http": {"routers": {"a": {"rule": "Hots(` + "`a`" + `)", "service": "b"}}}}`},
		{name: "refused: no network", Document: `{"http": {"middlewares": {"a": {"ipAllowList": {"sourceRange": ["10.0.0.0/99"]}}}}}`},
		{name: "refused: a label that there is not", Labels: map[string]string{"traefik.http.routers.a.servce": "b"}},
		{name: "refused: a label with no number", Labels: map[string]string{"traefik.http.routers.a.priority": "1e2"}},
	}
}

// normal is a document without what Traefik reads no matter how it is written: spaces around a text in a list, and the letters of headers.
func normal(h *HTTP) *HTTP {
	if h == nil {
		return &HTTP{}
	}
	for name, m := range h.Middlewares {
		if m.Headers != nil {
			m.Headers.Request, m.Headers.Response = canonical(m.Headers.Request), canonical(m.Headers.Response)
		}
		if m.IPAllowList != nil {
			for i, network := range m.IPAllowList.SourceRange {
				m.IPAllowList.SourceRange[i] = strings.TrimSpace(network)
			}
		}
		h.Middlewares[name] = m
	}
	for name, s := range h.Services { // the server of labels is a port, and has no URL yet
		s.LoadBalancer.Servers = slices.DeleteFunc(s.LoadBalancer.Servers, func(s Server) bool { return s.URL == "" })
		h.Services[name] = s
	}
	for _, transport := range h.Transports {
		for i, ca := range transport.RootCAs {
			transport.RootCAs[i] = strings.TrimSpace(ca)
		}
	}
	return h
}

func canonical(headers map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range headers {
		out[http.CanonicalHeaderKey(name)] = value
	}
	return out
}
