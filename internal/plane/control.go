package plane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// serveControl answers at the socket until ctx ends.
func (p *Plane) serveControl(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathHello, func(w http.ResponseWriter, _ *http.Request) { p.answer(w, http.StatusOK, p.Hello()) })
	mux.HandleFunc("GET "+pathTable, p.getTable)
	mux.HandleFunc("PUT "+pathTable, p.putTable)
	mux.HandleFunc("GET "+pathReports, p.getReports)
	mux.HandleFunc("GET "+pathDrained, p.getDrained)
	mux.HandleFunc("GET "+pathStream, p.stream)
	mux.HandleFunc("POST "+pathTake, p.give)
	mux.HandleFunc("GET "+pathCerts, p.getCertificates)
	mux.HandleFunc("POST "+pathRenew, p.renewCertificate)
	mux.HandleFunc("GET "+pathCounts, p.getCounts)
	mux.HandleFunc("POST "+pathCounts, p.putBackCounts)
	mux.HandleFunc("POST "+pathTakeCounts, p.takeCounts)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.refuse(w, http.StatusNotFound, fault{Error: fmt.Sprintf("this data plane is %s, speaks protocol %d and knows no %s %s: have both of the same version", p.version, Protocol, r.Method, r.URL.Path)})
	})
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: callLimit,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(p.control) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve the daemon at %s: %w", p.socket, err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
	defer cancel()
	err := srv.Shutdown(late)
	if err != nil {
		err = srv.Close()
	}
	if ended := <-done; !errors.Is(ended, http.ErrServerClosed) && !errors.Is(ended, net.ErrClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

func (p *Plane) getTable(w http.ResponseWriter, _ *http.Request) {
	t, hash := p.proxy.InForce()
	text, err := json.Marshal(t)
	if err != nil {
		p.refuse(w, http.StatusInternalServerError, fault{Error: "write the table: " + err.Error()})
		return
	}
	p.answer(w, http.StatusOK, served{Table: text, Hash: hash})
}

// putTable answers by another table, or says of each field what is wrong with it.
func (p *Plane) putTable(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, tableLimit))
	if err != nil {
		p.refuse(w, http.StatusBadRequest, fault{Error: "read the table: " + err.Error()})
		return
	}
	t, err := proxy.ReadTable(text)
	if err != nil {
		p.refuse(w, http.StatusBadRequest, fault{Error: fmt.Sprintf("the data plane is %s and does not understand what daemon %s wants served (%v): upgrade the data plane", p.version, r.UserAgent(), err)})
		return
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	if r.Context().Err() != nil {
		return // who asked has given up, and may have asked for another table since
	}
	if p.left() {
		p.refuse(w, http.StatusServiceUnavailable, fault{Error: "another data plane has taken the place", Left: true})
		return
	}
	hash, err := p.proxy.Apply(t)
	if err != nil {
		f := fault{Error: err.Error()}
		for _, wrong := range proxy.FieldErrors(err) {
			f.Fields = append(f.Fields, wrongField(wrong))
		}
		p.refuse(w, http.StatusUnprocessableEntity, f)
		return
	}
	p.before.follow(bytes.ReplaceAll(text, []byte("\n"), []byte(" ")), followLimit) // JSON has line breaks only between words
	p.answer(w, http.StatusOK, served{Hash: hash})
}

func (p *Plane) getReports(w http.ResponseWriter, _ *http.Request) {
	t, _ := p.proxy.InForce()
	all := make(map[string]proxy.Report, len(t.Rules))
	for _, rule := range t.Rules {
		if r, ok := p.proxy.Report(rule.ID); ok {
			all[rule.ID] = r
		}
	}
	p.answer(w, http.StatusOK, all)
}

// getDrained waits until nothing is open on targets that have left the table, in this process and those before it, for as long as one
// call may.
func (p *Plane) getDrained(w http.ResponseWriter, r *http.Request) {
	prefix := r.URL.Query().Get("prefix")
	ctx, cancel := context.WithTimeout(r.Context(), longestAsk)
	defer cancel()
	err := p.proxy.Drained(ctx, prefix)
	tick := time.NewTicker(leaveLook)
	defer tick.Stop()
	for err == nil && p.before.openOn(prefix) > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if p.left() {
		p.refuse(w, http.StatusServiceUnavailable, fault{Error: "another data plane has taken the place", Left: true})
		return
	}
	p.answer(w, http.StatusOK, drained{Drained: err == nil})
}

// stream tells the daemon the news, until either ends or another one listens.
func (p *Plane) stream(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	p.mu.Lock()
	if p.hush != nil {
		p.hush()
	}
	p.hush = cancel
	p.mu.Unlock()
	hello := p.Hello()
	out, way := json.NewEncoder(w), http.NewResponseController(w)
	tell := func(all ...news) error {
		err := way.SetWriteDeadline(time.Now().Add(beat)) // one that hangs keeps the news from no other
		for _, n := range all {
			if err == nil {
				err = out.Encode(n)
			}
		}
		if err == nil {
			err = way.Flush()
		}
		return err
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	err := tell(news{Hello: &hello})
	for err == nil {
		select {
		case <-ctx.Done():
			return
		case <-p.taken:
			return
		case <-tick.C:
			err = tell(news{})
		case <-p.outbox.wake:
			if ctx.Err() != nil {
				p.outbox.rouse() // for the one that listens now
				return
			}
			err = p.outbox.tell(tell)
		}
	}
}

func (p *Plane) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		p.log.Debug("the daemon left before its answer", "error", err)
	}
}

func (p *Plane) refuse(w http.ResponseWriter, status int, f fault) {
	f.Version, f.Protocol, f.Error = p.version, Protocol, strings.ReplaceAll(f.Error, "\n", "; ")
	p.answer(w, status, f)
}
