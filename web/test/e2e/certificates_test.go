package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const certificateFlows = 5 * time.Minute

// TestCertificatesInABrowser runs certificates.test.mjs: the daemon without an engine, and two pairs of files to upload.
func TestCertificatesInABrowser(t *testing.T) {
	browser := os.Getenv("DOCKER_WATCHER_TEST_BROWSER")
	if browser == "" {
		t.Fatal("DOCKER_WATCHER_TEST_BROWSER names no Chromium: run this through scripts/test, or scripts/browser run -- go test ...")
	}
	dir := t.TempDir()
	makePair(t, filepath.Join(dir, "good"), 10*24*time.Hour)
	makePair(t, filepath.Join(dir, "other"), 300*24*time.Hour)
	url, link := serve(t, build(t, dir), filepath.Join(dir, "data"), "unix://"+filepath.Join(dir, "nobody.sock"))

	ctx, cancel := context.WithTimeout(t.Context(), certificateFlows)
	defer cancel()
	flows := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "certificates.test.mjs")
	flows.WaitDelay = patience // what it has started may have its output
	flows.Env = append(os.Environ(), "BROWSER="+browser, "BASE_URL="+url, "SETUP_LINK="+link, "TOKEN="+manyToken, "PAIRS="+dir)
	out, err := flows.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// makePair writes a certificate for wiki.example.com and its key: NAME.pem and NAME.key.
func makePair(t *testing.T, name string, lasts time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	draft := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Example CA"}, DNSNames: []string{"wiki.example.com"},
		NotBefore: time.Now().Add(-20 * 24 * time.Hour), NotAfter: time.Now().Add(lasts),
	}
	der, err := x509.CreateCertificate(rand.Reader, draft, draft, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
