package registry

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestAllowanceIsRead(t *testing.T) {
	before := Allowance{Limit: 200, Remaining: 9, Window: time.Hour, Source: "anna", SeenAt: noon.Add(-time.Hour)}
	for what, c := range map[string]struct {
		status int
		header http.Header
		want   func(*Allowance)
	}{
		"nothing said": {200, http.Header{}, func(*Allowance) {}},
		"Docker Hub": {200, http.Header{"Ratelimit-Limit": {"100;w=21600"}, "Ratelimit-Remaining": {"76;w=21600"}, "Docker-Ratelimit-Source": {"203.0.113.7"}}, func(a *Allowance) {
			*a = Allowance{Limit: 100, Remaining: 76, Window: 6 * time.Hour, Source: "203.0.113.7", SeenAt: noon}
		}},
		"without a window": {200, http.Header{"Ratelimit-Limit": {"50"}, "Ratelimit-Remaining": {"0"}}, func(a *Allowance) { a.Limit, a.Remaining, a.Window, a.SeenAt = 50, 0, 0, noon }},
		"nothing left": {200, http.Header{"Ratelimit-Limit": {"100;w=21600"}, "Ratelimit-Remaining": {"0;w=21600"}}, func(a *Allowance) {
			a.Limit, a.Remaining, a.Window, a.RetryAt, a.SeenAt = 100, 0, 6*time.Hour, noon.Add(216*time.Second), noon
		}},
		"nothing left of what was told before": {200, http.Header{"Ratelimit-Remaining": {"0"}}, func(a *Allowance) { a.Remaining, a.RetryAt, a.SeenAt = 0, noon.Add(18*time.Second), noon }},
		"the one of a year": {200, http.Header{"Ratelimit-Limit": {"1;w=31536000"}, "Ratelimit-Remaining": {"0;w=31536000"}}, func(a *Allowance) {
			a.Limit, a.Remaining, a.Window, a.RetryAt, a.SeenAt = 1, 0, 365*24*time.Hour, noon.Add(longestRetry), noon
		}},
		"nothing left, and when to come": {429, http.Header{"Ratelimit-Remaining": {"0;w=21600"}, "Retry-After": {"9"}}, func(a *Allowance) { a.Remaining, a.RetryAt, a.SeenAt = 0, noon.Add(9*time.Second), noon }},
		"nonsense":                       {200, http.Header{"Ratelimit-Limit": {`"default";q=100`}, "Ratelimit-Remaining": {"-3"}}, func(*Allowance) {}},
		"seconds to wait":                {429, http.Header{"Retry-After": {"120"}}, func(a *Allowance) { a.RetryAt, a.SeenAt = noon.Add(2*time.Minute), noon }},
		"a moment to wait":               {503, http.Header{"Retry-After": {"Sun, 29 Nov 2026 12:10:00 GMT"}}, func(a *Allowance) { a.RetryAt, a.SeenAt = noon.Add(10*time.Minute), noon }},
		"a year to wait":                 {429, http.Header{"Retry-After": {"31536000"}}, func(a *Allowance) { a.RetryAt, a.SeenAt = noon.Add(longestRetry), noon }},
		"for ever":                       {429, http.Header{"Retry-After": {"99999999999999999"}}, func(a *Allowance) { a.RetryAt, a.SeenAt = noon.Add(longestRetry), noon }},
		"a moment in the past":           {429, http.Header{"Retry-After": {"Sun, 29 Nov 2020 12:10:00 GMT"}}, func(*Allowance) {}},
		"negative":                       {429, http.Header{"Retry-After": {"-5"}}, func(*Allowance) {}},
		"words":                          {429, http.Header{"Retry-After": {"soon"}}, func(*Allowance) {}},
		"of a good answer":               {200, http.Header{"Retry-After": {"120"}}, func(*Allowance) {}},
	} {
		want := before
		c.want(&want)
		if diff := cmp.Diff(want, before.after(c.status, c.header, noon)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// Who wants to be left alone is: not one request goes out before its time, for any question.
func TestRetryAfterIsObeyed(t *testing.T) {
	var seen calls
	host := serve(t, seen.noted(on("/tags/list", http.StatusTooManyRequests, "", "Retry-After", "3600", "Ratelimit-Limit", "100;w=3600", "Ratelimit-Remaining", "0;w=3600")))
	all := strangers()
	began := time.Now()
	_, err := all.Tags(t.Context(), host+"/acme/shop")
	e := refusalIn(t, err, ClassRateLimited)
	if wait := e.RetryAt.Sub(began); wait < 59*time.Minute || wait > 61*time.Minute {
		t.Errorf("to be left alone for %s", wait)
	}
	if n := seen.count("/tags/list"); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	seen.forget()
	for range 3 {
		_, err := all.Tags(t.Context(), host+"/acme/shop")
		wantClass(t, err, ClassRateLimited)
		_, err = all.Digest(t.Context(), host+"/acme/blog", "1.0")
		wantClass(t, err, ClassRateLimited)
	}
	if n := seen.count("/"); n != 0 {
		t.Errorf("it was asked %d times before its time", n)
	}
	if a := all.Allowance(host); a.Limit != 100 || a.Remaining != 0 || a.Window != time.Hour || a.RetryAt != e.RetryAt {
		t.Errorf("allowance %+v", a)
	}
	all.Forget("elsewhere.example")
	if a := all.Allowance(host); a.Limit != 100 {
		t.Errorf("another was forgotten: %+v", a)
	}
	all.Forget(host)
	if a := all.Allowance(host); a != (Allowance{}) {
		t.Errorf("it was forgotten, but said %+v", a)
	}
	if a := all.Allowance("elsewhere.example"); a != (Allowance{}) {
		t.Errorf("of one that was never asked: %+v", a)
	}
}

// A good answer that was the last one of the allowance holds everybody back as well, and no longer than one request takes to come back.
func TestSpentAllowanceIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := newClient(Access{Host: "registry.example"})
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		c.conduit.next = roundTripper(func(r *http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r, Header: http.Header{}}
			if strings.Contains(r.URL.Path, "/tags/list") {
				asked++
				resp.Body = io.NopCloser(strings.NewReader(`{"name":"shop","tags":["1.0"]}`))
				resp.Header.Set("Ratelimit-Limit", "100;w=21600")
				resp.Header.Set("Ratelimit-Remaining", "0;w=21600")
			}
			return resp, nil
		})
		if tags, err := c.Tags(t.Context(), "registry.example/shop"); err != nil || len(tags) != 1 {
			t.Fatalf("the last answer: %v, %v", tags, err)
		}
		time.Sleep(215 * time.Second)
		_, err = c.Tags(t.Context(), "registry.example/shop")
		wantClass(t, err, ClassRateLimited)
		_, err = c.Check(t.Context(), "shop")
		if e := refusalIn(t, err, ClassRateLimited); time.Until(e.RetryAt) > time.Second || asked != 1 {
			t.Errorf("held back until %s, and asked %d times", e.RetryAt, asked)
		}
		time.Sleep(2 * time.Second)
		if _, err := c.Check(t.Context(), "shop"); err != nil || asked != 2 {
			t.Errorf("after its time: %v, asked %d times", err, asked)
		}
	})
}

func TestAfterItsTimeItIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := newClient(Access{Host: "registry.example"})
		if err != nil {
			t.Fatal(err)
		}
		status := http.StatusTooManyRequests
		c.conduit.next = roundTripper(func(r *http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: status, Body: http.NoBody, Request: r, Header: http.Header{}}
			if status == http.StatusTooManyRequests {
				resp.Header.Set("Retry-After", "60")
			} else if strings.Contains(r.URL.Path, "/tags/list") {
				resp.Body = http.NoBody
			}
			return resp, nil
		})
		_, err = c.Tags(t.Context(), "registry.example/shop")
		wantClass(t, err, ClassRateLimited)
		status = http.StatusInternalServerError
		time.Sleep(59 * time.Second)
		_, err = c.Tags(t.Context(), "registry.example/shop")
		wantClass(t, err, ClassRateLimited)
		time.Sleep(2 * time.Second)
		_, err = c.Tags(t.Context(), "registry.example/shop")
		wantClass(t, err, ClassBroken)
	})
}
