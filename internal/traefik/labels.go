package traefik

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// Label is one of a container.
type Label struct{ Name, Value string }

// hidden stands for the hash of a password and for the value of a header that lets somebody in: labels are open to who sees a container.
const hidden = "REPLACE-ME"

// Labels are those by which Traefik's Docker provider answers for a container as a rule says, on a port of it, in the order of their names.
// Values that let somebody in are not among them: missing names the labels in which they have to be written.
func Labels(r proxy.Rule, port int, trusted []netip.Prefix, at Site) (labels []Label, missing []string, err error) {
	name, doc := nameOf(r), labelled(r, trusted, at)
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, nil, fmt.Errorf("write the labels of rule %s: %w", r.ID, err)
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // or a year of seconds would be written as 3.1536e+07
	if err := d.Decode(&tree); err != nil {
		return nil, nil, fmt.Errorf("write the labels of rule %s: %w", r.ID, err)
	}
	labels = append([]Label{
		{"traefik.enable", "true"},
		{"traefik.http.services." + name + ".loadbalancer.server.port", strconv.Itoa(port)},
	}, flat("traefik", tree)...)
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	for _, l := range labels {
		if strings.Contains(l.Value, hidden) {
			missing = append(missing, l.Name)
		}
	}
	return labels, missing, nil
}

// labelled is what the labels of a rule say, but for the port.
func labelled(r proxy.Rule, trusted []netip.Prefix, at Site) Document {
	r.Targets = nil
	for i, c := range r.Options.BasicAuth {
		if i == 0 {
			r.Options.BasicAuth = slices.Clone(r.Options.BasicAuth)
		}
		c.Hash = hidden
		r.Options.BasicAuth[i] = c
	}
	r.Options.RequestHeaders, r.Options.ResponseHeaders = without(r.Options.RequestHeaders), without(r.Options.ResponseHeaders)
	doc := Translate(proxy.Table{Rules: []proxy.Rule{r}, Trusted: trusted}, at)
	name := nameOf(r)
	if s, ok := doc.HTTP.Services[name]; !ok {
		// Of one that only redirects: by its source (v3.5) the Docker provider makes a service for a container that names none, and passes
		// over the whole container where it knows no port for that.
		doc.HTTP.Services[name] = Service{LoadBalancer{PassHostHeader: true}}
	} else {
		s.LoadBalancer.Transport = "" // the Docker provider has none
		if check := r.Options.HealthCheck; check != nil {
			s.LoadBalancer.HealthCheck = &HealthCheck{
				Path: check.Path, Interval: spanOr(check.Interval, proxy.DefaultCheckInterval), Timeout: spanOr(check.Timeout, proxy.DefaultCheckTimeout),
			}
			if !r.Options.RewriteHost {
				s.LoadBalancer.HealthCheck.Hostname = r.Addresses[0].Domain
			}
		}
		doc.HTTP.Services[name] = s
	}
	doc.HTTP.Transports = nil
	return doc
}

func without(headers []proxy.Header) (out []proxy.Header) {
	for _, h := range headers {
		if h.Secret() {
			h.Value = hidden
		}
		out = append(out, h)
	}
	return out
}

// flat writes a tree as labels: names in a row, lists with commas.
func flat(name string, v any) (out []Label) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out = append(out, flat(name+"."+strings.ToLower(key), v[key])...)
		}
		return out
	case []any:
		var items []string
		for _, one := range v {
			items = append(items, fmt.Sprint(one))
		}
		return []Label{{name, strings.Join(items, ",")}}
	}
	return []Label{{name, fmt.Sprint(v)}}
}

// Unlabelled says which fields of a rule labels cannot say, beside those that Traefik cannot do at all.
func Unlabelled(r proxy.Rule) (wrong []proxy.FieldError) {
	bad := func(field, reason string) {
		wrong = append(wrong, proxy.FieldError{Rule: r.ID, Field: field, Reason: reason})
	}
	const timeouts = "Traefik takes timeouts from its own configuration (serversTransports), not from labels"
	const trust = "Traefik takes whom targets are trusted by from its own configuration (serversTransports), not from labels"
	o := r.Options
	if o.ConnectTimeout != 0 {
		bad("connect_timeout", timeouts)
	}
	if o.ResponseTimeout != 0 {
		bad("response_timeout", timeouts)
	}
	if o.TargetCA != "" {
		bad("target_ca", trust)
	}
	if o.TargetUnverified {
		bad("target_tls_verify", trust)
	}
	misread(r, bad)
	return wrong
}

// misread tells what Traefik would take for something else: commas part the values of a label, and dots its name.
func misread(r proxy.Rule, bad func(field, reason string)) {
	for i, c := range r.Options.BasicAuth {
		if strings.Contains(c.User, ",") {
			bad(fmt.Sprintf("basic_auth[%d]", i), "labels cannot hold a name with a comma")
		}
	}
	if r.Options.StripPrefix && slices.ContainsFunc(prefixesOf(r), func(p string) bool { return strings.Contains(p, ",") }) {
		bad("path_prefix", "labels cannot take a path with a comma off")
	}
	for field, list := range map[string][]proxy.Header{"request_headers": r.Options.RequestHeaders, "response_headers": r.Options.ResponseHeaders} {
		for i, h := range list {
			if strings.Contains(h.Name, ".") {
				bad(fmt.Sprintf("%s[%d]", field, i), "labels cannot hold the name of a header with a dot")
			}
		}
	}
}
