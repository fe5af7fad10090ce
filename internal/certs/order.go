package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

const (
	orderTimeout = 4 * time.Minute // of all of one order
	pollTimeout  = 2 * time.Minute // for an authority to make up its mind
	askTimeout   = 30 * time.Second
	userAgent    = "docker-watcher"
)

// asker orders certificates of one authority.
type asker struct {
	acme    ACME
	folder  Folder
	solvers map[string]acmez.Solver // where no DNS service is named
	names   names
	open    func(sealed string) (string, error)
	log     *slog.Logger
}

// client is a way to the authority. Its idle connections are closed by the func.
func (a asker) client() (*acmez.Client, func(), error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: askTimeout, ResponseHeaderTimeout: askTimeout, ForceAttemptHTTP2: true}
	if a.acme.Roots != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(a.acme.Roots)) {
			return nil, nil, errors.New("the CA roots of the authority are no PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	solvers := a.solvers
	if a.acme.DNS != "" {
		token, err := a.open(a.acme.DNSToken)
		if err != nil {
			return nil, nil, fmt.Errorf("open the token of the DNS service: %w", err)
		}
		byRecord, err := a.names.byRecord(a.acme.DNS, token)
		if err != nil {
			return nil, nil, err
		}
		solvers = map[string]acmez.Solver{acme.ChallengeTypeDNS01: byRecord}
	}
	return &acmez.Client{
		Client: &acme.Client{
			Directory: a.acme.directory(), HTTPClient: &http.Client{Transport: transport, Timeout: askTimeout}, UserAgent: userAgent, PollTimeout: pollTimeout, Logger: quiet(a.log),
		},
		ChallengeSolvers: solvers,
	}, transport.CloseIdleConnections, nil
}

// order gets a certificate for a domain. A certificate that it replaces may be nil.
func (a asker) order(ctx context.Context, domain string, former *x509.Certificate) (chain, key []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	c, done, err := a.client()
	if err != nil {
		return nil, nil, err
	}
	defer done()
	account, err := a.account(ctx, c.Client)
	if err != nil {
		return nil, nil, err
	}
	signer, key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	csr, err := acmez.NewCSR(signer, []string{domain})
	if err != nil {
		return nil, nil, fmt.Errorf("ask for %s: %w", domain, err)
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, nil, fmt.Errorf("ask for %s: %w", domain, err)
	}
	params.Replaces = former
	chains, err := c.ObtainCertificate(ctx, params)
	if p, ok := errors.AsType[acme.Problem](err); ok && p.Type == acme.ProblemTypeAccountDoesNotExist {
		err = errors.Join(err, a.forgetAccount()) // the authority was made anew: the next try makes an account
	}
	if err != nil {
		return nil, nil, fmt.Errorf("order a certificate for %s: %w", domain, err)
	}
	if len(chains) == 0 {
		return nil, nil, fmt.Errorf("order a certificate for %s: %w", domain, errNoLeaf)
	}
	return chains[0].ChainPEM, key, nil
}

// wish is when the authority would have a certificate renewed; zero: it has no wish.
func (a asker) wish(ctx context.Context, leaf *x509.Certificate) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, done, err := a.client()
	if err != nil {
		return time.Time{}, err
	}
	defer done()
	dir, err := c.GetDirectory(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask when to renew: %w", err)
	}
	if dir.RenewalInfo == "" {
		return time.Time{}, nil
	}
	info, err := c.GetRenewalInfo(ctx, leaf)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask when to renew: %w", err)
	}
	return info.SelectedTime, nil
}

// keptAccount is our account as it is kept: who we are at one authority.
type keptAccount struct {
	Account acme.Account `json:"account"`
	Key     string       `json:"key"` // PEM
}

// accountFile is one for each authority, e-mail and account there that ours belongs to.
func (a asker) accountFile() string {
	sum := sha256.Sum256([]byte(a.acme.directory() + "\x00" + a.acme.Email + "\x00" + a.acme.EABKey))
	return filepath.Join(string(a.folder), "acme", hex.EncodeToString(sum[:8])+".json")
}

func (a asker) forgetAccount() error { return os.Remove(a.accountFile()) }

// account is our account at the authority; it is made where there is none.
func (a asker) account(ctx context.Context, c *acme.Client) (acme.Account, error) {
	text, err := os.ReadFile(a.accountFile())
	if errors.Is(err, fs.ErrNotExist) {
		return a.makeAccount(ctx, c)
	}
	var kept keptAccount
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil {
		return acme.Account{}, fmt.Errorf("read the account at the authority: %w", err)
	}
	kept.Account.PrivateKey, err = readKey([]byte(kept.Key))
	return kept.Account, err
}

func (a asker) makeAccount(ctx context.Context, c *acme.Client) (acme.Account, error) {
	signer, text, err := newKey()
	if err != nil {
		return acme.Account{}, err
	}
	account := acme.Account{TermsOfServiceAgreed: true, PrivateKey: signer}
	if a.acme.Email != "" {
		account.Contact = []string{"mailto:" + a.acme.Email}
	}
	if a.acme.EABKey != "" {
		secret, err := a.open(a.acme.EABSecret)
		if err != nil {
			return account, fmt.Errorf("open the secret of the external account: %w", err)
		}
		if err := account.SetExternalAccountBinding(ctx, c, acme.EAB{KeyID: a.acme.EABKey, MACKey: secret}); err != nil {
			return account, fmt.Errorf("bind the external account: %w", err)
		}
	}
	if account, err = c.NewAccount(ctx, account); err != nil {
		return account, fmt.Errorf("make an account at the authority: %w", err)
	}
	kept, err := json.Marshal(keptAccount{account, string(text)})
	if err != nil {
		return account, fmt.Errorf("keep the account at the authority: %w", err)
	}
	return account, a.folder.write(a.accountFile(), kept)
}

// quiet is a log for the library, which calls much an error that is told as an event of ours: all is debug.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(lowered{log.Handler()}) }

type lowered struct{ slog.Handler }

func (l lowered) Enabled(ctx context.Context, _ slog.Level) bool {
	return l.Handler.Enabled(ctx, slog.LevelDebug)
}

func (l lowered) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return l.Handler.Handle(ctx, r)
}

func (l lowered) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lowered{l.Handler.WithAttrs(attrs)}
}
func (l lowered) WithGroup(name string) slog.Handler { return lowered{l.Handler.WithGroup(name)} }
