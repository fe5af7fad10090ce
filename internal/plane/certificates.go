package plane

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tiny-forge/docker-watcher/internal/certs"
)

func (p *Plane) getCertificates(w http.ResponseWriter, r *http.Request) {
	all, err := p.proxy.Certificates(r.Context())
	if err != nil {
		p.refuse(w, http.StatusInternalServerError, fault{Error: err.Error()})
		return
	}
	p.answer(w, http.StatusOK, all)
}

// renewCertificate has a certificate asked for anew, or an uploaded one read anew.
func (p *Plane) renewCertificate(w http.ResponseWriter, r *http.Request) {
	id, err := certs.ParseID(r.URL.Query().Get("id"))
	if err == nil {
		err = p.proxy.RenewCertificate(r.Context(), id)
	}
	if err != nil {
		p.refuse(w, http.StatusNotFound, fault{Error: err.Error(), Unknown: true})
		return
	}
	p.answer(w, http.StatusOK, struct{}{})
}

// Certificates are how the certificates stand that the table asks for.
func (c *Client) Certificates(ctx context.Context) (all []certs.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	err = c.call(ctx, http.MethodGet, pathCerts, nil, &all)
	return all, err
}

// RenewCertificate asks for a certificate anew, or has an uploaded one read anew. certs.ErrUnknown: the table asks for none such.
func (c *Client) RenewCertificate(ctx context.Context, id certs.ID) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return c.persist(ctx, func() error {
		return c.call(ctx, http.MethodPost, pathRenew+"?id="+url.QueryEscape(id.String()), nil, &struct{}{})
	})
}
