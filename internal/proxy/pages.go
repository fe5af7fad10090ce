package proxy

import (
	"encoding/json"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// page is an answer of our own, where no target answers.
type page struct {
	status int
	title  string
	text   string
	retry  time.Duration // 0: the client is not told to come again
}

// write answers with a page for people, or with a problem for programs.
func (p page) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	endsConnection(h, r)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.retry.Seconds())))
	}
	body := p.problem()
	h.Set("Content-Type", "application/problem+json")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", PagePolicy)
		body = p.html()
	}
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client left if this fails; there is nobody to tell
	}
}

func (p page) problem() []byte {
	text, err := json.Marshal(map[string]any{"title": p.title, "status": p.status, "detail": p.text})
	if err != nil {
		return nil // texts and numbers always can be written
	}
	return append(text, '\n')
}

func (p page) html() []byte {
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex"><title>`)
	b.WriteString(html.EscapeString(p.title))
	b.WriteString(`</title><style>:root{color-scheme:light dark}body{font:16px/1.6 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center}` +
		`main{max-width:34rem;padding:2rem}h1{font-size:1.4rem;margin:0 0 .5rem}p{margin:0}</style><main><h1>`)
	b.WriteString(html.EscapeString(p.title))
	b.WriteString(`</h1><p>`)
	b.WriteString(html.EscapeString(p.text))
	b.WriteString("</p></main></html>\n")
	return []byte(b.String())
}

const pageTime = "2 January 2006 15:04 UTC"

// stoppedPage says that what should answer does not run.
func stoppedPage(since time.Time) page {
	return page{
		status: http.StatusServiceUnavailable, title: "Stopped since " + since.UTC().Format(pageTime),
		text: "What answers here does not run at the moment. Whoever runs it can start it again.", retry: time.Minute,
	}
}

// awayPage says that nothing answers, without saying what is where.
var (
	awayPage        = page{status: http.StatusBadGateway, title: "Nothing answers here", text: "What should answer cannot be reached at the moment. Try again in a little while.", retry: 10 * time.Second}
	gonePage        = page{status: http.StatusServiceUnavailable, title: "Nothing runs here now", text: "What answered here is gone, or is yet to come. Whoever runs it can deploy it again.", retry: time.Minute}
	latePage        = page{status: http.StatusGatewayTimeout, title: "It takes too long", text: "What should answer did not do so in time."}
	unknownPage     = page{status: http.StatusNotFound, title: "Nothing is served here", text: "No site of this name and path is known. Look at the address once more."}
	forbidPage      = page{status: http.StatusForbidden, title: "Not from here", text: "This site is not open to the address that you come from."}
	loginPage       = page{status: http.StatusUnauthorized, title: "Sign in", text: "A name and a password are needed."}
	crowdedPage     = page{status: http.StatusTooManyRequests, title: "Too many sign in", text: "Others are trying passwords here at the moment. Try again in a little while.", retry: 5 * time.Second}
	tooLargePage    = page{status: http.StatusRequestEntityTooLarge, title: "Too large", text: "What was sent is larger than this site takes."}
	upgradePage     = page{status: http.StatusForbidden, title: "No WebSockets", text: "This site does not let connections change their protocol."}
	misdirectedPage = page{status: http.StatusMisdirectedRequest, title: "Not over this connection", text: "This site is not served over TLS here. Try http."}
	loopPage        = page{status: http.StatusLoopDetected, title: "It goes round in a circle", text: "This site leads back to the server that it came from."}
)

// maintenancePage says that a site is being worked on.
func maintenancePage(note string) page {
	if note == "" {
		note = "It is being worked on and will be back soon."
	}
	return page{status: http.StatusServiceUnavailable, title: "Down for maintenance", text: note, retry: 5 * time.Minute}
}
