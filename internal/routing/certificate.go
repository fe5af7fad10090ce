package routing

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The kinds of events of certificates.
const (
	kindIssued   = "certificate.issued"
	kindRenewed  = "certificate.renewed"
	kindFailed   = "certificate.failed"
	kindExpiring = "certificate.expiring"
)

// lateDays is from when on a certificate that cannot be renewed is an error.
const lateDays = 3 * 24 * time.Hour

// Certificate tells what happened to a certificate.
func (r *Router) Certificate(ctx context.Context, e certs.Event) {
	r.mu.Lock()
	r.certificates[e.Kind]++
	r.mu.Unlock()
	r.tell(ctx, certificateEvent(e, time.Now()))
}

// CertificateCounts are how often each happened to any certificate since the start.
func (r *Router) CertificateCounts() map[certs.Kind]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.certificates)
}

// certificateEvent is how an event of a certificate is written down.
func certificateEvent(e certs.Event, now time.Time) store.Event {
	name := e.ID.Name
	out := store.Event{Severity: store.SeverityInfo, Data: map[string]any{"certificate": e.ID.String(), "mode": string(e.ID.Mode), "name": name}}
	until := "none is served"
	if !e.NotAfter.IsZero() {
		out.Data["not_after"], out.Data["issuer"] = e.NotAfter, e.Issuer
		until = "the one until " + e.NotAfter.Format(time.DateOnly) + " is served on"
	}
	switch e.Kind {
	case certs.Issued:
		out.Kind, out.Message = kindIssued, fmt.Sprintf("%s has a certificate of %s until %s", name, e.Issuer, e.NotAfter.Format(time.DateOnly))
	case certs.Renewed:
		out.Kind, out.Message = kindRenewed, fmt.Sprintf("the certificate of %s was renewed until %s", name, e.NotAfter.Format(time.DateOnly))
	case certs.Failed:
		out.Kind, out.Severity = kindFailed, store.SeverityWarn
		if !e.NotAfter.IsZero() && e.NotAfter.Sub(now) < lateDays {
			out.Severity = store.SeverityError
		}
		out.Message = fmt.Sprintf("no certificate for %s: %s; %s; %s", name, e.Trouble.Detail, e.Trouble.Hint, until)
		out.Data["trouble"], out.Data["detail"], out.Data["hint"], out.Data["next_try"] = string(e.Trouble.Kind), e.Trouble.Detail, e.Trouble.Hint, e.NextTry
	case certs.Expiring:
		out.Kind, out.Severity = kindExpiring, store.SeverityWarn
		out.Message = fmt.Sprintf("the certificate of %s ends on %s: %s", name, e.NotAfter.Format(time.DateOnly), whatToDo(e))
	}
	return out
}

func whatToDo(e certs.Event) string {
	switch {
	case e.ID.Mode == certs.Own:
		return "upload its successor under the same name"
	case e.Trouble.Kind != "":
		return "it could not be renewed: " + e.Trouble.Detail + "; " + e.Trouble.Hint
	}
	return "it was not renewed yet: see why with docker-watcher cert ls"
}
