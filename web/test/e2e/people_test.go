package e2e

import (
	"path/filepath"
	"testing"
)

// TestPeopleInABrowser runs people.test.mjs: the daemon without an engine, and an identity provider.
func TestPeopleInABrowser(t *testing.T) {
	dir := t.TempDir()
	url, link := serve(t, filepath.Join(dir, "data"), nobody(dir))
	tell(t, "people.test.mjs", "BASE_URL="+url, "SETUP_LINK="+link, "IDP="+identityProvider(t))
}
