package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTags(t *testing.T) {
	image := serve(t, nil) + "/acme/shop"
	for _, tag := range []string{"1.0", "1.1", "latest", "sha256-00.sig"} {
		push(t, image+":"+tag)
	}
	got, err := strangers().Tags(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"1.0", "1.1", "latest", "sha256-00.sig"}, got); diff != "" {
		t.Error(diff)
	}
	_, err = strangers().Tags(t.Context(), strings.TrimSuffix(image, "shop")+"blog")
	if e := refusalIn(t, err, ClassNotFound); !strings.Contains(e.Error(), "list the tags of acme/blog") || !strings.Contains(e.Error(), "NAME_UNKNOWN") {
		t.Errorf("it says %v", e)
	}
}

// pages serves a list of tags in parts, each linking to the next one.
func pages(link func(r *http.Request, next int) string, parts ...string) fault {
	return func(http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/tags/list") {
				w.WriteHeader(http.StatusOK)
				return
			}
			n := 0
			_, _ = fmt.Sscanf(r.URL.Query().Get("last"), "%d", &n)
			if n+1 < len(parts) {
				w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, link(r, n+1)))
			}
			body := parts[n]
			if status, found := strings.CutPrefix(body, "status "); found {
				code := 0
				_, _ = fmt.Sscanf(status, "%d", &code)
				w.WriteHeader(code)
				return
			}
			respond(w, http.StatusOK, body)
		}
	}
}

func relative(r *http.Request, next int) string {
	return fmt.Sprintf("%s?last=%d&n=2", r.URL.Path, next)
}

func absolute(r *http.Request, next int) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + relative(r, next)
}

func TestTagsInPages(t *testing.T) {
	page := func(tags string) string { return `{"name":"acme/shop","tags":` + tags + `}` }
	for what, c := range map[string]struct {
		link  func(*http.Request, int) string
		parts []string
		want  []string
	}{
		"one":                         {relative, []string{page(`["a"]`)}, []string{"a"}},
		"relative links":              {relative, []string{page(`["a","b"]`), page(`["c"]`), page(`[]`), page(`["d"]`)}, []string{"a", "b", "c", "d"}},
		"absolute links":              {absolute, []string{page(`["a"]`), page(`["b"]`)}, []string{"a", "b"}},
		"no tags at all":              {relative, []string{page(`[]`)}, []string{}},
		"null is no tags":             {relative, []string{page(`null`)}, []string{}},
		"null on a page":              {relative, []string{page(`["a"]`), page(`null`)}, []string{"a"}},
		"no key for tags":             {relative, []string{`{"name":"acme/shop"}`}, []string{}},
		"tags without the repository": {relative, []string{`{"tags":["a"]}`}, []string{"a"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			got, err := strangers().Tags(t.Context(), serve(t, pages(c.link, c.parts...))+"/acme/shop")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Could not ask is not "no tags", and half a list is none.
func TestNoListOnHalfAnAnswer(t *testing.T) {
	page := `{"name":"acme/shop","tags":["a"]}`
	elsewhere := func(*http.Request, int) string { return "http://127.0.0.2/v2/acme/shop/tags/list" }
	circle := func(r *http.Request, _ int) string { return relative(r, 0) }
	for what, c := range map[string]struct {
		front fault
		want  Class
	}{
		"the second page is an error":           {pages(relative, page, "status 500"), ClassBroken},
		"the second page is refused":            {pages(relative, page, "status 401"), ClassUnauthorized},
		"the second page is cut off":            {pages(relative, page, `{"name":"acme/shop","tags":["b`), ClassBroken},
		"the second page is a web page":         {pages(relative, page, "<html>"), ClassNotRegistry},
		"the second page is nothing":            {pages(relative, page, ""), ClassNotRegistry},
		"the pages lead in a circle":            {pages(circle, page, page), ClassBroken},
		"the pages lead elsewhere":              {pages(elsewhere, page, page), ClassBroken},
		"a web page in place of the list":       {on("/tags/list", http.StatusOK, "<html>hello</html>", "Content-Type", "text/html"), ClassNotRegistry},
		"a web server":                          {always(http.StatusOK, "<html>hello</html>", "Content-Type", "text/html"), ClassNotRegistry},
		"a web server that does not know /v2/":  {always(http.StatusNotFound, "<html>404</html>"), ClassNotRegistry},
		"other JSON":                            {on("/tags/list", http.StatusOK, `{"message":"ok"}`), ClassNotRegistry},
		"a JSON list":                           {on("/tags/list", http.StatusOK, `[]`), ClassNotRegistry},
		"JSON null":                             {on("/tags/list", http.StatusOK, `null`), ClassNotRegistry},
		"tags that are numbers":                 {on("/tags/list", http.StatusOK, `{"name":"acme/shop","tags":[1]}`), ClassNotRegistry},
		"no such repository":                    {on("/tags/list", http.StatusNotFound, `{"errors":[{"code":"NAME_UNKNOWN"}]}`), ClassNotFound},
		"a proxy that has no such page":         {on("/tags/list", http.StatusNotFound, "nope"), ClassNotRegistry},
		"a registry that cannot":                {on("/tags/list", http.StatusNotFound, `{"errors":[{"code":"UNSUPPORTED"}]}`), ClassBroken},
		"a login is wanted":                     {on("/tags/list", http.StatusUnauthorized, ""), ClassUnauthorized},
		"it is not allowed":                     {on("/tags/list", http.StatusForbidden, `{"errors":[{"code":"DENIED"}]}`), ClassUnauthorized},
		"it was asked too often":                {on("/tags/list", http.StatusTooManyRequests, ""), ClassRateLimited},
		"its backend is away":                   {on("/tags/list", http.StatusBadGateway, "<html>bad gateway</html>"), ClassBroken},
		"a login that has no place":             {always(http.StatusUnauthorized, "", "Www-Authenticate", `Bearer service="x"`), ClassBroken},
		"a login at a private address":          {always(http.StatusUnauthorized, "", "Www-Authenticate", `Bearer realm="http://169.254.169.254/token"`), ClassBroken},
		"a login by plain http on another host": {always(http.StatusUnauthorized, "", "Www-Authenticate", `Bearer realm="http://auth.invalid/token"`), ClassPlainHTTP},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			got, err := strangers().Tags(t.Context(), serve(t, c.front)+"/acme/shop")
			wantClass(t, err, c.want)
			if got != nil {
				t.Errorf("and a list: %v", got)
			}
		})
	}
}

// An answer without an end is not read to its end.
func TestAnAnswerWithoutAnEnd(t *testing.T) {
	front := func(http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/tags/list") {
				return
			}
			chunk := []byte(strings.Repeat(" ", 1<<12))
			for r.Context().Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	}
	host := serve(t, front)
	c, err := newClient(Access{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	c.conduit.most = 1 << 16
	_, err = c.Tags(t.Context(), host+"/acme/shop")
	if e := refusalIn(t, err, ClassBroken); !strings.Contains(e.Detail, "larger than") {
		t.Error(e)
	}
}

func TestNobodyAnswers(t *testing.T) {
	_, err := strangers().Tags(t.Context(), "127.0.0.1:1/acme/shop")
	if e := refusalIn(t, err, ClassUnreachable); !strings.Contains(e.Detail, "refused") {
		t.Error(e)
	}
	_, err = strangers().Tags(t.Context(), "registry.invalid/acme/shop")
	wantClass(t, err, ClassUnreachable)

	release := make(chan struct{})
	hangs := serve(t, func(http.Handler) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = strangers().Tags(ctx, hangs+"/acme/shop")
	if wantClass(t, err, ClassUnreachable); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// A registry at a private address speaks https, and links to its next page so.
func TestPagesOverTLS(t *testing.T) {
	for what, link := range map[string]func(*http.Request, int) string{"relative": relative, "absolute": absolute} {
		server := serveOn(t, pages(link, `{"name":"acme/shop","tags":["a"]}`, `{"name":"acme/shop","tags":["b"]}`), httptest.NewTLSServer)
		host := strings.TrimPrefix(server.URL, "https://")
		for _, plain := range []bool{false, true} { // where plain http is allowed, https is taken all the same
			got, err := knowing(Access{Host: host, CA: pemOf(server), PlainHTTP: plain}).Tags(t.Context(), host+"/acme/shop")
			if err != nil || !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("%s, plain http allowed %v: %v, %v", what, plain, got, err)
			}
		}
	}
}
