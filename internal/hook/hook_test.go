package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	plain := func(paths ...string) (all []Named) {
		for _, p := range paths {
			all = append(all, Named{Path: p})
		}
		return all
	}
	for what, c := range map[string]struct {
		body string
		want []Named
	}{
		"distribution": {`{"events":[{"action":"push","target":{"repository":"acme/shop","tag":"1.0"}},{"action":"pull","target":{"repository":"acme/pulled"}},
			{"action":"delete","target":{"repository":"acme/gone"}},{"action":"push","target":{"repository":"acme/shop","tag":"1.1"}}]}`, plain("acme/shop", "acme/gone")},
		"only pulls":      {`{"events":[{"action":"pull","target":{"repository":"acme/pulled"}}]}`, nil},
		"Azure":           {`{"id":"x","action":"push","target":{"repository":"hello","tag":"v1"},"request":{"host":"a.azurecr.io"}}`, plain("hello")},
		"Azure, a pull":   {`{"action":"pull","target":{"repository":"hello"}}`, nil},
		"Docker Hub":      {`{"push_data":{"tag":"latest"},"repository":{"repo_name":"Acme/shop","name":"shop"},"callback_url":"https://x.invalid"}`, plain("acme/shop")},
		"GitHub":          {`{"action":"published","package":{"name":"shop","namespace":"Acme","package_type":"CONTAINER"},"repository":{"full_name":"acme/sources"}}`, plain("acme/shop")},
		"GitHub, of old":  {`{"action":"published","registry_package":{"name":"shop","package_type":"docker","owner":{"login":"acme"}}}`, plain("acme/shop")},
		"GitHub, npm":     {`{"action":"published","package":{"name":"shop","namespace":"acme","package_type":"npm"}}`, nil},
		"GitHub, a ping":  {`{"zen":"Keep it logically awesome.","hook_id":1,"repository":{"full_name":"acme/sources"}}`, nil},
		"Gitea":           {`{"action":"created","package":{"type":"container","name":"shop/api","version":"1.0","owner":{"login":"acme","username":"acme"}},"repository":null}`, plain("acme/shop/api")},
		"Forgejo, maven":  {`{"action":"created","package":{"type":"maven","name":"shop","owner":{"login":"acme"}}}`, nil},
		"Harbor":          {`{"type":"PUSH_ARTIFACT","event_data":{"repository":{"repo_full_name":"acme/shop"},"resources":[{"tag":"1.0"}]}}`, plain("acme/shop")},
		"GitLab":          {`{"object_kind":"pipeline","object_attributes":{"status":"success"},"project":{"path_with_namespace":"Acme/Shop"}}`, []Named{{"acme/shop", true}}},
		"GitLab, running": {`{"object_kind":"pipeline","object_attributes":{"status":"running"},"project":{"path_with_namespace":"acme/shop"}}`, nil},
		"GitLab, a job":   {`{"object_kind":"build","build_status":"success","project":{"path_with_namespace":"acme/shop"}}`, []Named{{"acme/shop", true}}},
		"GitLab, failed":  {`{"object_kind":"build","build_status":"failed","project":{"path_with_namespace":"acme/shop"}}`, nil},
		"GitLab, a tag":   {`{"object_kind":"tag_push","project":{"path_with_namespace":"acme/shop"},"repository":{"name":"Shop"}}`, []Named{{"acme/shop", true}}},
		"Quay":            {`{"repository":"acme/shop","namespace":"acme","docker_url":"quay.io/acme/shop","updated_tags":["latest"]}`, plain("acme/shop")},
		"a name":          {`{"repository":"acme/shop"}`, plain("acme/shop")},
		"names":           {`{"repositories":["acme/shop","ghcr.io/acme/blog"]}`, plain("acme/shop", "ghcr.io/acme/blog")},
		"an image":        {`{"image":"10.0.0.7:5000/acme/shop:1.0@sha256:` + strings.Repeat("a", 64) + `"}`, plain("10.0.0.7:5000/acme/shop")},
		"nothing":         {``, nil},
		"an empty object": {`{}`, nil},
		"other kinds":     {`{"repositories":"x","events":7,"package":[],"project":null,"image":"acme/shop"}`, plain("acme/shop")},
		"no names":        {`{"repositories":["","../etc","a b","/a","a/","-x","a//b","\u0000"],"image":"` + strings.Repeat("a", 300) + `"}`, nil},
	} {
		t.Run(what, func(t *testing.T) {
			for form, body := range map[string]string{"as it is": c.body, "as a form": "payload=" + url.QueryEscape(c.body)} {
				got, err := Read([]byte(body))
				if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
					t.Errorf("%s: %v %s", form, err, diff)
				}
			}
		})
	}
	for _, body := range []string{`[]`, `"x"`, `{`, `<html>`, `{"a":1} {}`, `payload=%`, `null`, strings.Repeat(`{"a":`, 20_000)} {
		if got, err := Read([]byte(body)); err == nil || got != nil {
			t.Errorf("%.20s: %v, %v", body, got, err)
		}
	}
	var many []string
	for n := range 500 {
		many = append(many, fmt.Sprintf("%q", fmt.Sprintf("acme/app%d", n)))
	}
	if got, err := Read([]byte(`{"repositories":[` + strings.Join(many, ",") + `]}`)); err != nil || len(got) != mostNamed {
		t.Errorf("%d, %v", len(got), err)
	}
}

func TestProof(t *testing.T) {
	body := []byte(`{"repository":"acme/shop"}`)
	secret := NewSecret()
	sign := func(secret string, body []byte) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	right := sign(secret, body)
	for what, c := range map[string]struct {
		proof Proof
		want  bool
	}{
		"the secret":                   {Proof{Secrets: []string{secret}}, true},
		"a signature":                  {Proof{Signatures: []string{"sha256=" + right}}, true},
		"a bare signature":             {Proof{Signatures: []string{right}}, true},
		"in capitals":                  {Proof{Signatures: []string{strings.ToUpper(right)}}, true},
		"one of several":               {Proof{Secrets: []string{"x", secret}, Signatures: []string{"zz"}}, true},
		"nothing":                      {Proof{}, false},
		"an empty secret":              {Proof{Secrets: []string{""}, Signatures: []string{""}}, false},
		"another secret":               {Proof{Secrets: []string{NewSecret()}}, false},
		"a part of it":                 {Proof{Secrets: []string{secret[:20]}}, false},
		"another body":                 {Proof{Signatures: []string{sign(secret, []byte(`{}`))}}, false},
		"signed by another":            {Proof{Signatures: []string{sign("x", body)}}, false},
		"half a signature":             {Proof{Signatures: []string{right[:32]}}, false},
		"SHA-1":                        {Proof{Signatures: []string{"sha1=" + right[:40]}}, false},
		"the secret for the signature": {Proof{Signatures: []string{secret}}, false},
		"the signature for the secret": {Proof{Secrets: []string{right}}, false},
	} {
		if got := c.proof.Holds(secret, body); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
		if c.proof.Holds("", body) {
			t.Errorf("%s: it holds where there is no secret", what)
		}
	}
	if (Proof{Signatures: []string{sign("", body)}}).Holds("", body) || secret == NewSecret() || len(secret) < 40 {
		t.Error("a secret that is none")
	}
}

func TestLimits(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	l := NewLimits()
	for n := range strangerBurst + 5 {
		if may := l.Refused("10.0.0.1", now); may != (n < strangerBurst) {
			t.Errorf("try %d: %v", n, may)
		}
		if tell := l.Tell("a", now); tell != (n == 0) {
			t.Errorf("try %d is told: %v", n, tell)
		}
	}
	if !l.Refused("10.0.0.2", now) || !l.Tell("b", now) {
		t.Error("others pay for it")
	}
	now = now.Add(time.Hour + time.Second)
	if !l.Refused("10.0.0.1", now) || !l.Tell("a", now) || l.Tell("a", now) {
		t.Error("an hour later it is told once more")
	}
	heard := 0
	for range 2 * senderBurst {
		if l.Heard("a", now) {
			heard++
		}
	}
	if heard != senderBurst || !l.Heard("b", now) || !l.Heard("a", now.Add(senderPace)) {
		t.Errorf("heard %d at once", heard)
	}
}

// However many strangers there are, they cost senders nothing, and are not all remembered.
func TestManyStrangers(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	l := NewLimits()
	for n := range 3 * mostKept {
		l.Refused(fmt.Sprint(n), now)
	}
	if n := len(l.strangers.kept); n > mostKept {
		t.Errorf("%d are remembered", n)
	}
	if l.Refused("one more", now) {
		t.Error("those who are too many have no allowance in common")
	}
	for n := range senderBurst {
		if !l.Heard("a", now) || !l.Heard("b", now) {
			t.Fatalf("senders pay for it at message %d", n)
		}
	}
	if !l.Tell("a", now) {
		t.Error("it is not told of a registry")
	}
	now = now.Add(24 * time.Hour)
	if !l.Refused("again", now) || len(l.strangers.kept) > 2 {
		t.Errorf("%d are remembered after a day", len(l.strangers.kept))
	}
}

// FuzzRead: whatever is sent, what comes out are a few names of repositories.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"events":[{"action":"push","target":{"repository":"acme/shop"}}]}`, `{"repository":{"repo_name":"acme/shop"}}`, `{"repositories":["a","b/c:1"]}`,
		`{"package":{"name":"a","owner":{"login":"b"},"type":"container"}}`, `{"object_kind":"push","project":{"path_with_namespace":"a/b"}}`, `payload=%7B%7D`, ``, `{`, `[]`, `{"image":"a@b:c"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := Read(body)
		if err != nil && got != nil || len(got) > mostNamed {
			t.Fatalf("%v, %v", got, err)
		}
		for _, n := range got {
			if !pathForm.MatchString(n.Path) || len(n.Path) > 255 || strings.ContainsAny(n.Path, " \n\x00'\"%\\") {
				t.Fatalf("%q is no name of a repository", n.Path)
			}
		}
	})
}
