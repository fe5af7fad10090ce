package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	longestLabel  = 63 // of a domain name (RFC 1035)
	longestDomain = 253
	mostParallel  = 100
	slugHash      = 6 // hex digits that keep two slugs apart
)

var (
	notSlug     = regexp.MustCompile(`[^a-z0-9]+`)
	domainLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// slug makes any text one label of a domain name. What differs as a text differs as a slug: where letters had to be
// changed or left out, a piece of the text's hash follows.
func slug(text string) string {
	plain := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if plain == text && len(plain) <= longestLabel && plain != "" {
		return plain
	}
	return hashed(plain, text)
}

// hashed shortens a label to what leaves room for a piece of the hash of the text that it stands for.
func hashed(label, text string) string {
	sum := sha256.Sum256([]byte(text))
	if label = strings.TrimRight(label[:min(len(label), longestLabel-1-slugHash)], "-"); label == "" {
		label = "x"
	}
	return label + "-" + hex.EncodeToString(sum[:])[:slugHash]
}

// previewDomain is the domain of one tag by the template of its stage, in which {{tag}}, {{project}} and {{stage}} stand for slugs.
func previewDomain(template, project, stage, tag string) string {
	labels := strings.Split(template, ".")
	for i, l := range labels {
		l = strings.NewReplacer("{{tag}}", slug(tag), "{{project}}", slug(project), "{{stage}}", slug(stage)).Replace(l)
		if len(l) > longestLabel {
			l = hashed(l, l)
		}
		labels[i] = l
	}
	return strings.Join(labels, ".")
}

// ValidateStage checks what a stage says of its strategy, with the spec of its instances, and reports every mistake by its field.
func ValidateStage(s store.Stage) error {
	var wrong []error
	bad := marking(&wrong)
	switch s.Strategy {
	case store.StrategyReplace, "":
		if s.Domain != "" {
			bad("domain", "domain %q: only a stage of the strategy parallel makes domains", s.Domain)
		}
	case store.StrategyParallel:
		if s.ParallelMax < 1 || s.ParallelMax > mostParallel {
			bad("parallel_max", "parallel_max %d: how many tags run side by side, 1 to %d", s.ParallelMax, mostParallel)
		}
		if why := wrongTemplate(s.Domain); why != "" {
			bad("domain", "domain %q: %s", s.Domain, why)
		}
		checkSideBySide(s.Spec, bad)
	default:
		bad("strategy", "strategy %q: replace or parallel", s.Strategy)
	}
	return errors.Join(wrong...)
}

// checkSideBySide refuses a spec of which only one instance can run at a time.
func checkSideBySide(s store.Spec, bad mark) {
	if s.Power.HostNetwork {
		bad("spec.power.host_network", "host_network: one instance only can listen on the host's own network: use networks where tags run side by side")
	}
	for i, p := range s.Ports {
		if p.Host > 0 {
			bad(item("spec.ports", i)+".host", "ports: the host port %d can be had by one instance only: let the engine choose where tags run side by side", p.Host)
		}
	}
}

// wrongTemplate says why a template cannot make a domain of each tag; empty when it can, or where none is wanted.
func wrongTemplate(template string) string {
	if template == "" {
		return ""
	}
	if !strings.Contains(template, "{{tag}}") {
		return "it must hold {{tag}}, such as {{tag}}.{{project}}.example.com, so that each tag has its own"
	}
	made := previewDomain(template, "p", "s", "t")
	labels := strings.Split(made, ".")
	switch {
	case strings.ContainsAny(made, "{}"):
		return "only {{tag}}, {{project}} and {{stage}} stand for something"
	case len(labels) < 2:
		return "it must be a domain, such as {{tag}}.example.com"
	case slices.ContainsFunc(labels, func(l string) bool { return !domainLabel.MatchString(l) }):
		return "the parts between its dots are lower case letters, digits and '-', 1 to 63 of them"
	}
	long := strings.Repeat("t", longestLabel)
	if len(previewDomain(template, long, long, long)) > longestDomain {
		return "it makes domains longer than 253 characters"
	}
	return ""
}

// surplus are the instances of a stage that must give way so that no more than most run side by side: the oldest first, the
// new one never, and none that somebody protects. Where a rule says which tags are wanted, newest first, the others give way before
// them, and of them the last.
func surplus(live []store.InstanceView, newest string, most int, wanted []string, now time.Time) []store.InstanceView {
	over := len(live) - most
	if !slices.ContainsFunc(live, func(v store.InstanceView) bool { return v.ID == newest }) {
		over++
	}
	oldest := newestFirst(slices.Clone(live))
	slices.Reverse(oldest)
	rank := func(v store.InstanceView) int {
		if at := slices.Index(wanted, v.ImageTag); at >= 0 {
			return at
		}
		return len(wanted)
	}
	slices.SortStableFunc(oldest, func(a, b store.InstanceView) int { return rank(b) - rank(a) })
	var out []store.InstanceView
	for _, v := range oldest {
		if len(out) >= over {
			break
		}
		if v.ID != newest && !heldByHand(v, now) {
			out = append(out, v)
		}
	}
	return out
}

// heldByHand tells that somebody wants to keep an instance.
func heldByHand(v store.InstanceView, now time.Time) bool {
	switch v.Protection(now).Kind {
	case store.ProtectionPinned, store.ProtectionSnoozed, store.ProtectionKeep:
		return true
	case store.ProtectionNone, store.ProtectionRollback, store.ProtectionTagGone:
	}
	return false
}
