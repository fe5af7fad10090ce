package docker

import (
	"encoding/base64"
	"encoding/json"
	"testing"
)

func TestCredential(t *testing.T) {
	for host, address := range map[string]string{"ghcr.io": "ghcr.io", "10.0.0.7:5000": "10.0.0.7:5000", "docker.io": "https://index.docker.io/v1/"} {
		got, err := Credential(host, "robot$ci", "pä?ss>word")
		if err != nil {
			t.Fatal(err)
		}
		text, err := base64.URLEncoding.DecodeString(got)
		if err != nil {
			t.Fatal(err)
		}
		var auth map[string]string
		if err := json.Unmarshal(text, &auth); err != nil {
			t.Fatal(err)
		}
		if auth["username"] != "robot$ci" || auth["password"] != "pä?ss>word" || auth["serveraddress"] != address || len(auth) != 3 {
			t.Errorf("%s: %v", host, auth)
		}
	}
	if got, err := Credential("ghcr.io", "", ""); err != nil || got != "" {
		t.Errorf("without a password: %q, %v", got, err)
	}
}
