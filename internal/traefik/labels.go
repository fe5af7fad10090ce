package traefik

import (
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
	if s, ok := doc.HTTP.Services[name]; ok {
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
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, nil, fmt.Errorf("write the labels of rule %s: %w", r.ID, err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, nil, fmt.Errorf("write the labels of rule %s: %w", r.ID, err)
	}
	labels = []Label{{"traefik.enable", "true"}}
	if r.Options.RedirectTo == "" {
		labels = append(labels, Label{"traefik.http.services." + name + ".loadbalancer.server.port", strconv.Itoa(port)})
	}
	labels = append(labels, flat("traefik", tree)...)
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	for _, l := range labels {
		if strings.Contains(l.Value, hidden) {
			missing = append(missing, l.Name)
		}
	}
	return labels, missing, nil
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
func Unlabelled(o proxy.Options) (wrong []proxy.FieldError) {
	if o.ConnectTimeout != 0 {
		wrong = append(wrong, proxy.FieldError{Field: "connect_timeout", Reason: "Traefik takes timeouts from its own configuration (serversTransports), not from labels"})
	}
	if o.ResponseTimeout != 0 {
		wrong = append(wrong, proxy.FieldError{Field: "response_timeout", Reason: "Traefik takes timeouts from its own configuration (serversTransports), not from labels"})
	}
	const own = "Traefik takes whom targets are trusted by from its own configuration (serversTransports), not from labels"
	if o.TargetCA != "" {
		wrong = append(wrong, proxy.FieldError{Field: "target_ca", Reason: own})
	}
	if o.TargetUnverified {
		wrong = append(wrong, proxy.FieldError{Field: "target_tls_verify", Reason: own})
	}
	return wrong
}
