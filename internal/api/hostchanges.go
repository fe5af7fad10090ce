package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/hosts"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// hostTLSJSON proves both sides of tcp://.
type hostTLSJSON struct {
	CA         *string `json:"ca,omitempty" maxLength:"200000" doc:"PEM: who signed the engine's certificate; empty: whom this machine trusts"`
	Cert       *string `json:"cert,omitempty" maxLength:"200000" doc:"PEM: ours"`
	Key        *string `json:"key,omitempty" maxLength:"50000" doc:"PEM: ours; never answered"`
	ServerName *string `json:"server_name,omitempty" maxLength:"253" doc:"in the engine's certificate; empty: the endpoint's host"`
}

// hostSSHJSON proves both sides of ssh://.
type hostSSHJSON struct {
	Key        *string `json:"key,omitempty" maxLength:"50000" doc:"private, in PEM or OpenSSH's form; never answered. A new one forgets the passphrase of the former"`
	Passphrase *string `json:"passphrase,omitempty" maxLength:"1000" doc:"of the key; never answered"`
	HostKey    *string `json:"host_key,omitempty" maxLength:"5000" doc:"the server's public key, such as ssh-ed25519 AAAA...; a test shows it, and sending it is the yes to it"`
}

// HostWay is how a host is reached, beside its endpoint. Of a host that is there, what is absent stays.
type HostWay struct {
	Plain *bool        `json:"plain,omitempty" doc:"allow tcp:// without TLS: whoever is on the way can command the engine"`
	TLS   *hostTLSJSON `json:"tls,omitempty"`
	SSH   *hostSSHJSON `json:"ssh,omitempty"`
}

func (w HostWay) change(name, endpoint *string) hosts.Change {
	c := hosts.Change{Name: name, Endpoint: endpoint, Plain: w.Plain}
	if t := w.TLS; t != nil {
		c.CA, c.Cert, c.Key, c.ServerName = t.CA, t.Cert, t.Key, t.ServerName
	}
	if s := w.SSH; s != nil {
		c.SSHKey, c.Passphrase, c.HostKey = s.Key, s.Passphrase, s.HostKey
	}
	return c
}

// HostFacts are what people say of a host.
type HostFacts struct {
	Name     string `json:"name,omitempty" maxLength:"63" doc:"unique"`
	Endpoint string `json:"endpoint" minLength:"1" maxLength:"500" doc:"unix:///path, tcp://host:port or ssh://user@host:port, with the path of the socket behind if it is not /var/run/docker.sock"`
	HostWay
}

func (f HostFacts) facts() hosts.Facts { return f.change(&f.Name, &f.Endpoint).Facts() }

// HostChange is what is to be different. A change of the endpoint's kind forgets what belonged to the former one.
type HostChange struct {
	Name     *string `json:"name,omitempty" maxLength:"63"`
	Endpoint *string `json:"endpoint,omitempty" minLength:"1" maxLength:"500"`
	HostWay
}

type hostReportJSON struct {
	OK          bool     `json:"ok" doc:"it can be used"`
	Fault       string   `json:"fault,omitempty" enum:"host_key_unknown,untrusted,rejected,unreachable,denied"`
	Error       string   `json:"error,omitempty"`
	Hint        string   `json:"hint,omitempty" doc:"what to do about it"`
	HostKey     string   `json:"host_key,omitempty" doc:"that an ssh server showed and nobody has said yes to"`
	Fingerprint string   `json:"fingerprint,omitempty" doc:"of it"`
	Version     string   `json:"version,omitempty" doc:"of the engine"`
	APIVersion  string   `json:"api_version,omitempty" doc:"negotiated"`
	EngineID    string   `json:"engine_id,omitempty"`
	EngineName  string   `json:"engine_name,omitempty" doc:"the machine's name, as the engine says"`
	DataRoot    string   `json:"data_root,omitempty"`
	OS          string   `json:"os,omitempty"`
	Arch        string   `json:"arch,omitempty"`
	ClockSkewMS int64    `json:"clock_skew_ms" doc:"the engine's clock minus ours; above 60 s nothing would be judged"`
	LatencyMS   float64  `json:"latency_ms" doc:"of one small question"`
	CanList     bool     `json:"can_list"`
	CanInspect  bool     `json:"can_inspect"`
	Containers  int      `json:"containers" doc:"on it, of whomever"`
	Ours        int      `json:"ours" doc:"of those, with the label of this installation"`
	SameAs      []string `json:"same_as,omitempty" doc:"hosts that seem to be the same engine"`
}

func reportOf(r hosts.Report) hostReportJSON {
	return hostReportJSON{
		OK: r.OK(), Fault: string(r.Fault), Error: r.Error, Hint: r.Hint, HostKey: r.HostKey, Fingerprint: r.Fingerprint,
		Version: r.Info.Version, APIVersion: r.Info.APIVersion, EngineID: r.Info.EngineID, EngineName: r.Info.Name, DataRoot: r.Info.DataRoot,
		OS: r.Info.OS, Arch: r.Info.Arch, ClockSkewMS: r.Info.Skew.Milliseconds(), LatencyMS: float64(r.Latency.Microseconds()) / 1000,
		CanList: r.CanList, CanInspect: r.CanInspect, Containers: r.Info.Containers, Ours: r.Found, SameAs: r.SameAs,
	}
}

func byOf(ctx context.Context) hosts.By {
	v := visitOf(ctx)
	return hosts.By{Actor: v.caller.Actor, Addr: v.addr}
}

type createHostIn struct {
	Body struct {
		HostFacts
		Untested bool `json:"untested,omitempty" doc:"keep it although nobody has reached it"`
	}
}

func (s *server) createHost(ctx context.Context, in *createHostIn) (*versioned[hostJSON], error) {
	h, err := s.d.Hosts.Create(ctx, in.Body.facts(), in.Body.Untested, byOf(ctx))
	return s.hostAfter(ctx, h.ID, in.Body.Name, err)
}

type updateHostIn struct {
	ByID
	Match
	Body struct {
		HostChange
		Untested bool `json:"untested,omitempty" doc:"keep it although nobody has reached it so"`
	}
}

func (s *server) updateHost(ctx context.Context, in *updateHostIn) (*versioned[hostJSON], error) {
	h, err := s.d.DB.Host(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.check(h.Revision); err != nil {
		return nil, err
	}
	c := in.Body.change(in.Body.Name, in.Body.Endpoint)
	if c.Empty() {
		return nil, invalid("body", "say what is to be different")
	}
	name := h.Name
	setIf(&name, c.Name)
	_, err = s.d.Hosts.Update(ctx, in.ID, h.Revision, c, in.Body.Untested, byOf(ctx))
	return s.hostAfter(ctx, in.ID, name, err)
}

// hostAfter is a host after something was done to it, or why that was not done. name is the one that it was to have.
func (s *server) hostAfter(ctx context.Context, id, name string, err error) (*versioned[hostJSON], error) {
	if err != nil {
		return nil, s.hostProblem(ctx, name, id, err)
	}
	return s.getHost(ctx, &ByID{ID: id})
}

// hostSeen tells that a host is there, and the one that was seen.
func (s *server) hostSeen(ctx context.Context, in *Seen) error {
	h, err := s.d.DB.Host(ctx, in.ID)
	if err != nil {
		return err
	}
	return in.check(h.Revision)
}

func (s *server) disableHost(ctx context.Context, in *Seen) (*versioned[hostJSON], error) {
	if err := s.hostSeen(ctx, in); err != nil {
		return nil, err
	}
	return s.hostAfter(ctx, in.ID, "", s.d.Hosts.Disable(ctx, in.ID, byOf(ctx)))
}

func (s *server) enableHost(ctx context.Context, in *Seen) (*versioned[hostJSON], error) {
	if err := s.hostSeen(ctx, in); err != nil {
		return nil, err
	}
	return s.hostAfter(ctx, in.ID, "", s.d.Hosts.Enable(ctx, in.ID, byOf(ctx)))
}

func (s *server) acceptHost(ctx context.Context, in *Seen) (*versioned[hostJSON], error) {
	if err := s.hostSeen(ctx, in); err != nil {
		return nil, err
	}
	return s.hostAfter(ctx, in.ID, "", s.d.Scanner.Accept(ctx, in.ID, actorOf(ctx)))
}

func (s *server) deleteHost(ctx context.Context, in *Seen) (*none, error) {
	if err := s.hostSeen(ctx, in); err != nil {
		return nil, err
	}
	if err := s.d.Hosts.Delete(ctx, in.ID, byOf(ctx)); err != nil {
		return nil, s.hostProblem(ctx, "", in.ID, err)
	}
	return nil, nil //nolint:nilnil // nothing is answered
}

type tryHostIn struct{ Body HostFacts }

func (s *server) tryHost(ctx context.Context, in *tryHostIn) (*out[hostReportJSON], error) {
	r, err := s.d.Hosts.Try(ctx, in.Body.facts(), byOf(ctx))
	return s.reported(ctx, r, err)
}

type testHostIn struct {
	ByID
	Body *HostChange
}

func (s *server) testHost(ctx context.Context, in *testHostIn) (*out[hostReportJSON], error) {
	var c hosts.Change
	if in.Body != nil {
		c = in.Body.change(in.Body.Name, in.Body.Endpoint)
	}
	r, err := s.d.Hosts.Test(ctx, in.ID, c, byOf(ctx))
	return s.reported(ctx, r, err)
}

func (s *server) reported(ctx context.Context, r hosts.Report, err error) (*out[hostReportJSON], error) {
	if err != nil {
		return nil, s.hostProblem(ctx, "", "", err)
	}
	return answer(reportOf(r)), nil
}

// hostProblem says of an error what only who asked for it can know: the fields of the body, what a test found, whose name it is.
func (s *server) hostProblem(ctx context.Context, name, id string, err error) error {
	if unusable, ok := errors.AsType[*hosts.Unusable](err); ok {
		p := newProblem(http.StatusConflict, codeHostUnusable, unusable.Error()).hint(unusable.Report.Hint)
		p.HostReport = new(reportOf(unusable.Report))
		return p
	}
	if errors.Is(err, store.ErrConflict) && name != "" {
		if other, lookErr := s.d.DB.HostByName(ctx, name); lookErr == nil && other.ID != id {
			return newProblem(http.StatusConflict, codeConflict, "there is a host "+name+" already")
		}
	}
	return wrongFields("body", err)
}

// reachedBy shows how a host is reached; nothing of it is secret.
type reachedByJSON struct {
	Way           string `json:"way" enum:"unix,tcp,tls,ssh"`
	Plain         bool   `json:"plain" doc:"without TLS: whoever is on the way can command the engine"`
	ServerName    string `json:"server_name,omitempty"`
	CertExpiresAt moment `json:"cert_expires_at" doc:"when our certificate ends"`
	HostKey       string `json:"host_key,omitempty" doc:"that the ssh server must show"`
	Fingerprint   string `json:"fingerprint,omitempty" doc:"of it"`
}

func reachedBy(h store.Host) reachedByJSON {
	j := reachedByJSON{Way: hosts.Way(h), Plain: hosts.IsPlain(h), ServerName: h.Access.ServerName, HostKey: h.Access.HostKey}
	if h.Access.HostKey != "" {
		j.Fingerprint = docker.Fingerprint(h.Access.HostKey)
	}
	if h.Access.Cert != "" {
		t := docker.TLS{Cert: h.Access.Cert}
		j.CertExpiresAt = moment(t.ExpiresAt())
	}
	return j
}
