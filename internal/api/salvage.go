package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// SalvageCaveat stands before all that is read of a database that is damaged.
const SalvageCaveat = "This was read from a database that is damaged or cannot be used. Rows may be missing, old, or not what was written, and not all of that can be noticed: do not remove containers by what stands here."

const (
	salvageTimeout = 20 * time.Second
	salvagePage    = 200 // rows

	salvageOpen = "/rescue/open"
	salvageRead = "/rescue/read"
	salvageJSON = "/rescue/read.json"

	rescueCookie = "docker-watcher-rescue"
)

// Salvage shows what can still be read of the database to whoever has the link that stands in the log, once. Who may sign in stands in that
// database too, and counts for nothing.
type Salvage struct {
	read  func(context.Context) (store.Salvaged, error)
	code  string
	turn  chan struct{} // one reads at a time
	tries *rate.Limiter // of the link

	mu      sync.Mutex
	used    bool
	session [sha256.Size]byte // of the one who came by the link
}

// NewSalvage makes a link, which works once and as long as the process.
func NewSalvage(read func(context.Context) (store.Salvaged, error)) *Salvage {
	return &Salvage{read: read, code: rand.Text(), turn: make(chan struct{}, 1), tries: rate.NewLimiter(1, 10)}
}

// Path is the link, without where the page is reached.
func (s *Salvage) Path() string { return salvageOpen + "?code=" + s.code }

func (s *Salvage) register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+salvageOpen, s.open)
	mux.HandleFunc("GET "+salvageRead, s.withSession(s.overview))
	mux.HandleFunc("GET "+salvageRead+"/{table}", s.withSession(s.table))
	mux.HandleFunc("GET "+salvageJSON, s.withSession(s.json))
}

// open takes the link for a session, and leads away from the address that holds it.
func (s *Salvage) open(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	key, status := "", http.StatusForbidden
	if r.Method == get { // to look whether there is a page spends nothing
		key, status = s.spend(r.URL.Query().Get("code"))
	}
	switch status {
	case http.StatusSeeOther:
		https := newVisit(r, nil).https
		http.SetCookie(w, &http.Cookie{Name: rescueCookieName(https), Value: key, Path: "/", HttpOnly: true, Secure: https, SameSite: http.SameSiteStrictMode})
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, salvageRead, status)
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
		sendPage(w, status, "Too many tries", "<p>Wait a moment.</p>\n")
	default:
		sendPage(w, status, "This link does not work", "<p>It works once, and only as long as docker-watcher was not started again. A new start writes a new one to its log; "+
			"<code>server salvage</code> on the machine needs none.</p>\n")
	}
}

// spend answers the key of a session for the code of the link.
func (s *Salvage) spend(code string) (key string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch right := subtle.ConstantTimeCompare([]byte(code), []byte(s.code)) == 1; {
	case !right && !s.tries.Allow(): // whoever guesses keeps nobody from it who has it
		return "", http.StatusTooManyRequests
	case !right || s.used:
		return "", http.StatusForbidden
	}
	key = rand.Text()
	s.used, s.session = true, sha256.Sum256([]byte(key))
	return key, http.StatusSeeOther
}

func rescueCookieName(https bool) string {
	if https {
		return "__Host-" + rescueCookie
	}
	return rescueCookie
}

func (s *Salvage) known(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, https := range []bool{true, false} {
		c, err := r.Cookie(rescueCookieName(https))
		if err != nil {
			continue
		}
		if sum := sha256.Sum256([]byte(c.Value)); s.used && subtle.ConstantTimeCompare(sum[:], s.session[:]) == 1 {
			return true
		}
	}
	return false
}

// withSession reads for whoever came by the link, one at a time, and shows it.
func (s *Salvage) withSession(show func(http.ResponseWriter, *http.Request, store.Salvaged)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		refuse := func(status int, code, title, detail, more string) {
			if r.URL.Path == salvageJSON {
				writeProblem(w, newProblem(status, code, detail))
				return
			}
			sendPage(w, status, title, "<p>"+html.EscapeString(detail)+"</p>\n"+more)
		}
		if !s.known(r) {
			refuse(http.StatusUnauthorized, codeUnauthenticated, "The link is needed", "Open the link that stands in the log of docker-watcher first. It works once.",
				`<p>If you have just done so: <a href="`+salvageRead+`">go on</a>.</p>`+"\n")
			return
		}
		found, err := s.readInTurn(r.Context())
		switch {
		case errors.Is(err, errReading):
			w.Header().Set("Retry-After", "5")
			refuse(http.StatusServiceUnavailable, codeBusy, "It is being read", err.Error(), "")
		case err != nil:
			refuse(http.StatusServiceUnavailable, codeStore, "Nothing can be read", "Nothing can be read: "+err.Error(), "")
		case found.Empty():
			refuse(http.StatusServiceUnavailable, codeStore, "Nothing can be read", "Nothing can be read: "+firstLost(found), "")
		default:
			show(w, r, found)
		}
	}
}

var errReading = errors.New("somebody else reads it at this moment")

func (s *Salvage) readInTurn(ctx context.Context) (store.Salvaged, error) {
	ctx, cancel := context.WithTimeout(ctx, salvageTimeout)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return store.Salvaged{}, errReading
	}
	defer func() { <-s.turn }()
	return s.read(ctx)
}

func firstLost(found store.Salvaged) string {
	for _, t := range found.Tables {
		if t.Lost != "" {
			return t.Lost
		}
	}
	return "it holds nothing"
}

type salvagedJSON struct {
	Caveat string              `json:"caveat"`
	Notes  []string            `json:"notes"`
	Tables []salvagedTableJSON `json:"tables"`
}

type salvagedTableJSON struct {
	Name string           `json:"name"`
	Read int              `json:"read"`
	More bool             `json:"more"` // than are read
	Lost string           `json:"lost"` // why rows are missing; empty: none are that could be noticed
	Rows []map[string]any `json:"rows"`
}

// SalvagedJSON is all that could be read, as a document.
func SalvagedJSON(found store.Salvaged) []byte {
	doc := salvagedJSON{Caveat: SalvageCaveat, Notes: append([]string{}, found.Notes...), Tables: []salvagedTableJSON{}}
	for _, t := range found.Tables {
		rows := make([]map[string]any, 0, len(t.Rows))
		for _, values := range t.Rows {
			row := make(map[string]any, len(values))
			for i, v := range values {
				row[t.Columns[i]] = v
			}
			rows = append(rows, row)
		}
		doc.Tables = append(doc.Tables, salvagedTableJSON{t.Name, len(rows), t.More, t.Lost, rows})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		panic(err) // of texts and whole numbers
	}
	return b.Bytes()
}

func (s *Salvage) json(w http.ResponseWriter, _ *http.Request, found store.Salvaged) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(SalvagedJSON(found)) // a client that went away cannot be told
}

const salvageCaveatHTML = `<p class="caveat" role="note"><strong>` + SalvageCaveat + "</strong></p>\n"

func (s *Salvage) overview(w http.ResponseWriter, _ *http.Request, found store.Salvaged) {
	var b strings.Builder
	b.WriteString(salvageCaveatHTML)
	for _, n := range found.Notes {
		fmt.Fprintf(&b, "<p>%s.</p>\n", html.EscapeString(n))
	}
	b.WriteString("<table>\n<thead><tr><th scope=\"col\">What</th><th scope=\"col\">Rows read</th><th scope=\"col\">Lost</th></tr></thead>\n<tbody>\n")
	for _, t := range found.Tables {
		fmt.Fprintf(&b, "<tr><th scope=\"row\"><a href=\"%s/%s\">%s</a></th><td class=\"number\">%s</td><td>%s</td></tr>\n", salvageRead, t.Name, titleOf(t.Name), countText(t), html.EscapeString(lostText(t)))
	}
	fmt.Fprintf(&b, "</tbody>\n</table>\n<p><a href=\"%s\">All of it as JSON</a> · <a href=\"/\">The way out</a></p>\n", salvageJSON)
	sendPage(w, http.StatusOK, "What can still be read", b.String())
}

func countText(t store.SalvagedTable) string {
	if t.More {
		return fmt.Sprintf("the first %d", len(t.Rows))
	}
	return strconv.Itoa(len(t.Rows))
}

func lostText(t store.SalvagedTable) string {
	if t.Lost == "" {
		return "nothing that could be noticed"
	}
	return "rows, nobody knows how many: " + t.Lost
}

// titleOf is the name of a table or of a column for people.
func titleOf(name string) string {
	if name == "id" {
		return "Id"
	}
	name = strings.ReplaceAll(strings.TrimSuffix(name, "_id"), "_", " ")
	return strings.ToUpper(name[:1]) + name[1:]
}

// table shows so many rows from the one whose number is given.
func (s *Salvage) table(w http.ResponseWriter, r *http.Request, found store.Salvaged) {
	var t store.SalvagedTable
	if i := slices.IndexFunc(found.Tables, func(t store.SalvagedTable) bool { return t.Name == r.PathValue("table") }); i >= 0 {
		t = found.Tables[i]
	}
	from, err := strconv.Atoi(r.URL.Query().Get("from"))
	if err != nil || from < 0 || from > len(t.Rows) {
		from = 0
	}
	if t.Name == "" {
		sendPage(w, http.StatusNotFound, "There is nothing of that name", `<p><a href="`+salvageRead+`">What can still be read</a></p>`+"\n")
		return
	}
	to := min(from+salvagePage, len(t.Rows))
	var b strings.Builder
	b.WriteString(salvageCaveatHTML)
	fmt.Fprintf(&b, "<p><a href=\"%s\">What can still be read</a> · Rows read: %s. Lost: %s.</p>\n", salvageRead, countText(t), html.EscapeString(lostText(t)))
	fmt.Fprintf(&b, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"%s\">\n<table>\n<thead><tr>", titleOf(t.Name))
	for _, c := range t.Columns {
		fmt.Fprintf(&b, "<th scope=\"col\">%s</th>", titleOf(c))
	}
	b.WriteString("</tr></thead>\n<tbody>\n")
	names := namesIn(found)
	for _, values := range t.Rows[from:to] {
		b.WriteString("<tr>")
		for i, v := range values {
			fmt.Fprintf(&b, "<td>%s</td>", html.EscapeString(cellText(names, t.Columns[i], v)))
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</tbody>\n</table>\n</div>\n")
	if from > 0 {
		fmt.Fprintf(&b, "<p><a href=\"?from=%d\">Rows before</a></p>\n", max(0, from-salvagePage))
	}
	if to < len(t.Rows) {
		fmt.Fprintf(&b, "<p>Rows %d to %d. <a href=\"?from=%d\">Rows after</a></p>\n", from+1, to, to)
	}
	sendPage(w, http.StatusOK, titleOf(t.Name), b.String())
}

// namesIn are the names of what other rows lead to, by id, as far as they could be read.
func namesIn(found store.Salvaged) map[any]string {
	names := map[any]string{}
	for _, t := range found.Tables {
		id, name := slices.Index(t.Columns, "id"), slices.Index(t.Columns, "name")
		if id < 0 || name < 0 {
			continue
		}
		for _, values := range t.Rows {
			if text, is := values[name].(string); is {
				names[values[id]] = text
			}
		}
	}
	return names
}

func cellText(names map[any]string, column string, v any) string {
	if v == nil {
		return ""
	}
	if name := names[v]; name != "" && strings.HasSuffix(column, "_id") {
		return name
	}
	return fmt.Sprint(v)
}
