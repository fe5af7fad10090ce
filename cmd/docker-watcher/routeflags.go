package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
)

// routeFlags are what can be said of a route or a standalone proxy on the command line.
type routeFlags struct {
	also, domains                   []string
	path                            string
	strip, rewriteHost              bool
	websockets, httpsOnly           bool
	hsts, redirectCode              int
	redirectTo, tls, certificate    string
	requestHeaders, responseHeaders []string
	user                            string
	stdin, noAuth                   bool
	allow, deny                     []string
	connect, response               string
	maxBody                         int64
	trust                           targetTrust
	health, healthInterval          string
	healthPasses, healthFails       int
	maintenance, enabled            bool
	compress, accessLog             bool
	maintenanceNote, notes          string
}

func (f *routeFlags) addTo(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVar(&f.also, "also", nil, "another domain that leads there too")
	flags.StringVar(&f.path, "path", "", "only requests under this path, such as /api")
	flags.BoolVar(&f.strip, "strip-path", false, "take that path off before the target sees it")
	flags.BoolVar(&f.rewriteHost, "rewrite-host", false, "tell the target its own name as the host, not the client's")
	flags.BoolVar(&f.websockets, "websockets", true, "let connections change their protocol")
	flags.StringVar(&f.tls, "tls", "", "serve over https: auto (by ACME), internal (our own authority), own (with --certificate), or off")
	flags.StringVar(&f.certificate, "certificate", "", "with --tls own: the name under which it was uploaded")
	flags.BoolVar(&f.httpsOnly, "redirect-https", false, "send who comes over http to https")
	flags.IntVar(&f.hsts, "hsts", 0, "seconds for which clients that came over TLS shall come so only")
	flags.StringVar(&f.redirectTo, "redirect-to", "", "no target: send clients to this URL, with their path if it has none")
	flags.IntVar(&f.redirectCode, "redirect-code", 0, "301, 302, 303, 307 or 308 (default 307)")
	flags.StringArrayVar(&f.requestHeaders, "header", nil, `set a header before the target sees it: "X-Tenant: a", or "Cookie:" to take it away`)
	flags.StringArrayVar(&f.responseHeaders, "response-header", nil, `set a header in what the client gets: "X-Frame-Options: DENY"`)
	flags.StringVar(&f.user, "basic-auth", "", "let in only who gives this name and the password that is asked for now")
	flags.BoolVar(&f.stdin, "password-stdin", false, "read the password of --basic-auth from standard input")
	flags.StringArrayVar(&f.allow, "allow-ip", nil, "let in only these addresses and networks")
	flags.StringArrayVar(&f.deny, "deny-ip", nil, "keep these addresses and networks out")
	flags.StringVar(&f.connect, "connect-timeout", "", "how long a connection to the target may take (default 5s)")
	flags.StringVar(&f.response, "response-timeout", "", "how long until the target begins to answer (default 1m)")
	flags.Int64Var(&f.maxBody, "max-body", 0, "the most bytes that a request may send; 0: any")
	f.trust.addTo(c)
	flags.BoolVar(&f.compress, "compress", false, "answer text as gzip to clients that take it")
	flags.BoolVar(&f.accessLog, "access-log", false, "let each request be a line of the log, without its query")
	flags.StringVar(&f.health, "health", "", "ask each target for this path on and on, and leave out who does not answer well")
	flags.StringVar(&f.healthInterval, "health-interval", "", "how often (default 10s)")
	flags.IntVar(&f.healthPasses, "health-passes", 0, "good answers in a row that bring a target back (default 1)")
	flags.IntVar(&f.healthFails, "health-fails", 0, "bad ones that take it out (default 3)")
	flags.BoolVar(&f.maintenance, "maintenance", false, "answer with a page that says that it is being worked on")
	flags.StringVar(&f.maintenanceNote, "maintenance-note", "", "what that page says")
	flags.BoolVar(&f.enabled, "enabled", true, "serve it")
	flags.StringVar(&f.notes, "note", "", "what it is for")
}

// addEdit adds what makes sense only for one that is there.
func (f *routeFlags) addEdit(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.domains, "domain", nil, "its domains, all of them")
	c.Flags().BoolVar(&f.noAuth, "no-basic-auth", false, "let everybody in again")
	c.MarkFlagsMutuallyExclusive("domain", "also")
	c.MarkFlagsMutuallyExclusive("no-basic-auth", "basic-auth")
}

// read makes fields of what was given. Was is the one that is changed, nil for a new one.
func (f *routeFlags) read(a *app, c *cobra.Command, was *client.Route) (client.RouteFields, error) {
	r := client.RouteFields{
		PathPrefix: given(c, "path", &f.path), StripPrefix: given(c, "strip-path", &f.strip), RewriteHost: given(c, "rewrite-host", &f.rewriteHost),
		WebSockets: given(c, "websockets", &f.websockets), TLS: given(c, "tls", &f.tls), Certificate: given(c, "certificate", &f.certificate), RedirectHTTPS: given(c, "redirect-https", &f.httpsOnly), HSTSSeconds: given(c, "hsts", &f.hsts),
		RedirectTo: given(c, "redirect-to", &f.redirectTo), RedirectCode: given(c, "redirect-code", &f.redirectCode),
		ConnectTimeout: given(c, "connect-timeout", &f.connect), ResponseTimeout: given(c, "response-timeout", &f.response),
		MaxBodyBytes: given(c, "max-body", &f.maxBody), Maintenance: given(c, "maintenance", &f.maintenance),
		MaintenanceNote: given(c, "maintenance-note", &f.maintenanceNote), Enabled: given(c, "enabled", &f.enabled), Notes: given(c, "note", &f.notes),
		Compress: given(c, "compress", &f.compress), AccessLog: given(c, "access-log", &f.accessLog),
		AllowIPs: filled(given(c, "allow-ip", &f.allow)), DenyIPs: filled(given(c, "deny-ip", &f.deny)),
	}
	var err error
	if r.TargetCA, r.TargetTLSVerify, err = f.trust.read(c); err != nil {
		return r, err
	}
	if r.RequestHeaders, err = readHeaders(c, "header", f.requestHeaders); err != nil {
		return r, err
	}
	if r.ResponseHeaders, err = readHeaders(c, "response-header", f.responseHeaders); err != nil {
		return r, err
	}
	if was != nil {
		r.Domains = given(c, "domain", &f.domains)
		if len(f.also) > 0 {
			r.Domains = new(slices.Concat(was.Domains, f.also))
		}
	}
	r.HealthCheck = f.healthCheck(c, was)
	r.BasicAuth, err = f.people(a, c, was)
	return r, err
}

// filled is a list without empty texts: one of them alone says that there shall be none.
func filled(list *[]string) *[]string {
	if list == nil {
		return nil
	}
	return new(slices.DeleteFunc(slices.Clone(*list), func(s string) bool { return s == "" }))
}

func readHeaders(c *cobra.Command, flag string, list []string) (*[]client.Header, error) {
	if !c.Flags().Changed(flag) {
		return nil, nil //nolint:nilnil // not given is no error
	}
	headers := []client.Header{}
	for _, text := range list {
		if text == "" {
			continue
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return nil, usagef(c, `--%s %q: a name, a colon and a value, such as "X-Tenant: a"`, flag, text)
		}
		headers = append(headers, client.Header{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
	}
	return &headers, nil
}

// healthCheck is the one that was given, on top of the one that is there.
func (f *routeFlags) healthCheck(c *cobra.Command, was *client.Route) *client.HealthCheck {
	changed := false
	h := client.HealthCheck{}
	if was != nil && was.HealthCheck != nil {
		h = *was.HealthCheck
	}
	for flag, set := range map[string]func(){
		"health": func() { h.Path = f.health }, "health-interval": func() { h.Interval = f.healthInterval },
		"health-passes": func() { h.Passes = f.healthPasses }, "health-fails": func() { h.Fails = f.healthFails },
	} {
		if c.Flags().Changed(flag) {
			changed = true
			set()
		}
	}
	if !changed {
		return nil
	}
	return &h
}

// people are those who may come in: who is named now, and who might before.
func (f *routeFlags) people(a *app, c *cobra.Command, was *client.Route) (*[]client.Credential, error) {
	if f.noAuth {
		return &[]client.Credential{}, nil
	}
	if f.user == "" {
		if f.stdin {
			return nil, usagef(c, "--password-stdin: say whose with --basic-auth NAME")
		}
		return nil, nil //nolint:nilnil // not given is no error
	}
	password, err := a.secretInput(c, f.stdin)
	if err != nil {
		return nil, err
	}
	people := []client.Credential{{User: f.user, Password: password}}
	if was != nil {
		for _, user := range was.BasicAuth {
			if user != f.user {
				people = append(people, client.Credential{User: user})
			}
		}
	}
	return &people, nil
}
