package docker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

const handshakeTimeout = 10 * time.Second

// config checks what it is made of.
func (t *TLS) config(host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if c.ServerName == "" {
		c.ServerName = host
	}
	for field, text := range map[string]string{fieldCA: t.CA, fieldCert: t.Cert} { // they are not sealed
		for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" {
				return nil, Misfit{field, "there is more than certificates in it: a " + block.Type + " has no place here"}
			}
		}
	}
	if t.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, Misfit{fieldCA, "there is no certificate in it; PEM is expected"}
		}
	}
	if _, err := t.certificate(); err != nil {
		return nil, err
	}
	if block, _ := pem.Decode([]byte(t.Key)); block == nil {
		return nil, Misfit{fieldKey, "there is no key in it; PEM is expected"}
	}
	pair, err := tls.X509KeyPair([]byte(t.Cert), []byte(t.Key))
	if err != nil {
		return nil, Misfit{fieldKey, "it does not go with the certificate, or is encrypted: " + strings.TrimPrefix(err.Error(), "tls: ")}
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// certificate is ours.
func (t *TLS) certificate() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(t.Cert))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, Misfit{fieldCert, "there is no certificate in it; PEM is expected"}
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, Misfit{fieldCert, "it cannot be read: " + err.Error()}
	}
	return cert, nil
}

// ExpiresAt is when our certificate ends; zero when it cannot be read.
func (t *TLS) ExpiresAt() time.Time {
	cert, err := t.certificate()
	if err != nil {
		return time.Time{}
	}
	return cert.NotAfter.UTC()
}

func dialTLS(ctx context.Context, plain dial, config *tls.Config) (net.Conn, error) {
	raw, err := plain(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // nothing was sent on it
		return nil, tlsFailure(err)
	}
	return &tlsConn{conn}, nil
}

// tlsFailure says in words what an error of TLS means for who set it up. Any other error stays what it is.
func tlsFailure(err error) error {
	if told, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &refusedWay{ErrUntrusted, "the engine's certificate is not to be trusted: " + told.Err.Error(), err}
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" { // as crypto/tls names what the other side says
		return &refusedWay{ErrRejected, fmt.Sprintf("the engine does not accept our certificate (%v): it must be signed by the CA that the engine was given", alert.Err), err}
	}
	if noTLS(err) {
		return &refusedWay{ErrUntrusted, "what answers there speaks no TLS", err}
	}
	return err
}

// tlsConn tells of a certificate that the engine refused: with TLS 1.3 it says so only after the handshake,
// and has hung up by the time that the request is written.
type tlsConn struct{ *tls.Conn }

const alertTimeout = time.Second

func (c *tlsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		err = tlsFailure(err)
	}
	return n, err
}

func (c *tlsConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil {
		return n, nil
	}
	// The connection is lost in any case. Why may still wait to be read.
	if c.SetReadDeadline(time.Now().Add(alertTimeout)) == nil {
		if _, why := c.Conn.Read(make([]byte, 1)); why != nil {
			if told := tlsFailure(why); errors.Is(told, ErrRejected) {
				return n, told
			}
		}
	}
	return n, tlsFailure(err)
}
