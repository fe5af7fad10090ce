package registry

import (
	"strings"
	"testing"
)

func TestHostOf(t *testing.T) {
	for image, want := range map[string]string{
		"shop":                              DockerHub,
		"acme/shop":                         DockerHub,
		"library/shop":                      DockerHub,
		"docker.io/acme/shop":               DockerHub,
		"index.docker.io/acme/shop":         DockerHub,
		"registry-1.docker.io/library/shop": DockerHub,
		"ghcr.io/acme/shop":                 "ghcr.io",
		"GHCR.io/acme/shop":                 "ghcr.io",
		"10.0.0.7:5000/shop":                "10.0.0.7:5000",
		"registry:5000/shop":                "registry:5000",
		"registry/shop":                     DockerHub,
		"localhost/shop":                    "localhost",
		"localhost:5000/shop":               "localhost:5000",
		"":                                  DockerHub,
	} {
		if got := HostOf(image); got != want {
			t.Errorf("%s is at %s, want %s", image, got, want)
		}
	}
}

func TestParseHost(t *testing.T) {
	for text, want := range map[string]string{
		"ghcr.io": "ghcr.io", "GHCR.IO": "ghcr.io", "registry.example:5000": "registry.example:5000", "10.0.0.7:5000": "10.0.0.7:5000",
		"localhost:5000": "localhost:5000", "registry:1": "registry:1", "docker.io": DockerHub, "index.docker.io": DockerHub,
		"hub.docker.com": DockerHub, "123.dkr.ecr.eu-central-1.amazonaws.com": "123.dkr.ecr.eu-central-1.amazonaws.com",
	} {
		if got, err := ParseHost(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"https://ghcr.io":         "without https://",
		"http://10.0.0.7:5000":    "without http://",
		"ghcr.io/acme":            "without a path",
		"ghcr.io/":                "without a path",
		"anna:s3cret@ghcr.io":     "fields of their own",
		"registry":                "registry:5000",
		"localhost":               "localhost:5000",
		"registry.example:0":      "1 to 65535",
		"registry.example:99999":  "1 to 65535",
		"registry.example:":       "a host name",
		"":                        "a host name",
		" ghcr.io":                "a host name",
		"a b.example":             "a host name",
		"-a.example":              "a host name",
		"[::1]:5000":              "a host name",
		"ghcr.io\n":               "a host name",
		strings.Repeat("a.", 200): "a host name",
	} {
		if got, err := ParseHost(text); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %q, %v; want it to say %q", text, got, err, says)
		}
	}
}

// The credentials of one registry are for no other.
func TestAClientAsksOnlyItsOwn(t *testing.T) {
	c, err := newClient(Access{Host: "registry.example", Username: "anna", Password: "s3cret", Known: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"shop", "elsewhere.example/shop", "registry.example:5000/shop"} {
		if _, err := c.Tags(t.Context(), image); err == nil || !strings.Contains(err.Error(), "not at registry.example") {
			t.Errorf("%s: %v", image, err)
		}
		if _, err := c.Digest(t.Context(), image, "1.0"); err == nil || !strings.Contains(err.Error(), "not at registry.example") {
			t.Errorf("%s: %v", image, err)
		}
	}
}

func TestPresetsAreWhole(t *testing.T) {
	kinds := map[string]bool{}
	for _, p := range Presets() {
		if p.Kind == "" || p.Title == "" || p.Host+p.HostHint == "" || p.Username+p.UsernameHint == "" || p.PasswordHint == "" || kinds[p.Kind] {
			t.Errorf("%+v", p)
		}
		kinds[p.Kind] = true
		if p.Host == "" {
			continue
		}
		if host, err := ParseHost(p.Host); err != nil || host != p.Host {
			t.Errorf("%s: %q, %v", p.Kind, host, err)
		}
	}
	if !kinds["generic"] {
		t.Error("there is none for all others")
	}
}
