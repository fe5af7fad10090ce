package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"time"
)

// mailError is what a mail server answered, or why it could not be spoken to.
type mailError struct {
	what      string
	err       error
	permanent bool // it refuses the message itself
}

func (e mailError) Error() string { return e.what + ": " + e.err.Error() }

func (e mailError) Unwrap() error { return e.err }

// checkMail says what is wrong with the URL of a channel by mail.
func checkMail(u *url.URL) error {
	if u.Hostname() == "" {
		return errors.New("the host is missing")
	}
	if len(recipients(u)) == 0 {
		return errors.New("the recipients are missing: ?from=me@example.com&to=you@example.com")
	}
	for _, text := range append(recipients(u), sender(u)) {
		if _, err := mail.ParseAddress(text); err != nil {
			return errors.New("from and to must be addresses: me@example.com")
		}
	}
	switch encryption(u) {
	case "auto", "none", "implicit", "explicit":
		return nil
	}
	return errors.New("encryption is auto, implicit, explicit or none")
}

// sender is the address that mails come from, and a name, if there is one.
func sender(u *url.URL) string { return plused(param(numbered(u), "from", "fromaddress")) }

// encryption is how TLS is spoken: auto is implicit at port 465, else explicit where the server offers it.
func encryption(u *url.URL) string {
	how := cmp.Or(strings.TrimSuffix(strings.ToLower(param(u, "encryption")), "tls"), "auto")
	if said(u, "requirestarttls") && (how == "none" || how == "auto" && mailPort(u) != "465") {
		return "explicit"
	}
	return how
}

// clientHost is what the daemon calls itself; empty: as the library does.
func clientHost(u *url.URL) (string, error) {
	name := param(u, "clienthost")
	if name != "auto" {
		return name, nil
	}
	return os.Hostname()
}

func mailPort(u *url.URL) string { return cmp.Or(u.Port(), "25") }

// mail sends a letter by SMTP.
func (p post) mail(ctx context.Context, u *url.URL, l Letter) (answer string, err error) {
	port := mailPort(u)
	conn, err := p.dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", err
	}
	defer conn.Close() // in the ordinary course Quit has done so
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", fmt.Errorf("speak to the mail server: %w", err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // it is on its way out
	defer stop()
	how := encryption(u)
	secure := how == "implicit" || how == "auto" && port == "465"
	if secure {
		conn = tls.Client(conn, &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12})
	}
	c, err := smtp.NewClient(conn, u.Hostname())
	if err != nil {
		return "", mailError{what: "greet", err: err}
	}
	defer c.Close() // as above
	if err := p.prepare(c, u, how, secure); err != nil {
		return "", err
	}
	if err := hand(c, u, l); err != nil {
		return "", err
	}
	// The message is taken: what becomes of the farewell changes nothing.
	_ = c.Quit()
	return "250 taken by " + u.Hostname(), nil
}

// prepare speaks TLS and logs in, as the URL wants it.
func (p post) prepare(c *smtp.Client, u *url.URL, how string, secure bool) error {
	name, err := clientHost(u)
	if err == nil && name != "" {
		err = c.Hello(name)
	}
	if err != nil {
		return mailError{what: "greet", err: err}
	}
	offered, _ := c.Extension("STARTTLS")
	switch {
	case secure || how == "none":
	case offered:
		if err := c.StartTLS(&tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}); err != nil {
			return mailError{what: "begin TLS", err: err}
		}
	case how == "explicit":
		return mailError{what: "begin TLS", err: errors.New("the server does not offer STARTTLS")}
	}
	if u.User == nil {
		return nil
	}
	password, _ := u.User.Password()
	// The library refuses to say a password in clear to any but this machine.
	if err := c.Auth(smtp.PlainAuth("", u.User.Username(), password, u.Hostname())); err != nil {
		return mailError{what: "log in", err: err}
	}
	return nil
}

// hand gives the message to a server that listens.
func hand(c *smtp.Client, u *url.URL, l Letter) error {
	from, err := mail.ParseAddress(sender(u))
	if err != nil {
		return mailError{what: "from", err: err}
	}
	from.Name = cmp.Or(param(u, "fromname"), from.Name)
	if err := c.Mail(from.Address); err != nil {
		return mailError{what: "from", err: err}
	}
	var all []string
	for _, text := range recipients(u) {
		to, err := mail.ParseAddress(text)
		if err == nil {
			err = c.Rcpt(to.Address)
		}
		if err != nil {
			return mailError{what: "to", err: err}
		}
		all = append(all, to.String())
	}
	w, err := c.Data()
	if err != nil {
		return mailError{what: "send", err: err}
	}
	if _, err := w.Write(letter(from, all, l, time.Now())); err != nil {
		return mailError{what: "send", err: err}
	}
	if err := w.Close(); err != nil {
		code, is := errors.AsType[*textproto.Error](err)
		return mailError{what: "send", err: err, permanent: is && (code.Code == 552 || code.Code == 554)}
	}
	return nil
}

// letter is the text of a mail. The id of the message is its Message-ID, by which readers tell doubles.
func letter(from *mail.Address, to []string, l Letter, now time.Time) []byte {
	var b bytes.Buffer
	_, domain, _ := strings.Cut(from.Address, "@")
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n", from.String(), strings.Join(to, ", "),
		mime.QEncoding.Encode("utf-8", l.Title), now.UTC().Format(time.RFC1123Z), l.View.ID, domain)
	b.WriteString("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(l.Text, "\n", "\r\n") + "\r\n")) // a buffer takes all
	_ = w.Close()
	return b.Bytes()
}
