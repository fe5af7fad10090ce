package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCertificatesInABrowser runs certificates.test.mjs: the daemon without an engine, and two pairs of files to upload.
func TestCertificatesInABrowser(t *testing.T) {
	dir := t.TempDir()
	makePair(t, filepath.Join(dir, "good"), 10*24*time.Hour)
	makePair(t, filepath.Join(dir, "other"), 300*24*time.Hour)
	url, link := serve(t, filepath.Join(dir, "data"), nobody(dir))
	tell(t, "certificates.test.mjs", "BASE_URL="+url, "SETUP_LINK="+link, "PAIRS="+dir)
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
