//go:build cgo && go1.24

package couchdrop

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// TestKeyExchangeSucceeds logs in to crypto/tls servers that each support only one key exchange.
func TestKeyExchangeSucceeds(t *testing.T) {
	// Disabled by default, because the module declares an older Go version.
	t.Setenv("GODEBUG", "tlsmlkem=1")
	for _, test := range []struct {
		group   tls.CurveID
		version uint16
	}{
		{tls.X25519MLKEM768, tls.VersionTLS13},
		{tls.X25519, tls.VersionTLS13},
		{tls.CurveP256, tls.VersionTLS13},
		{tls.X25519, tls.VersionTLS12},
		{tls.CurveP384, tls.VersionTLS12},
	} {
		t.Run(fmt.Sprint(test.group, " ", tls.VersionName(test.version)), func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, `{"token": "%d"}`, r.TLS.Version)
			}))
			server.TLS = &tls.Config{CurvePreferences: []tls.CurveID{test.group}, MaxVersion: test.version}
			server.StartTLS()
			t.Cleanup(server.Close)
			caFile := filepath.Join(t.TempDir(), "ca.pem")
			certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			must(t, os.WriteFile(caFile, certificate, 0o600))
			client := newClient(t, WithBaseURL(server.URL), WithCAFile(caFile))
			token, err := client.Authenticate(context.Background(), account("ada"))
			must(t, err)
			if got, want := token.Value(), fmt.Sprint(test.version); got != want {
				t.Errorf("the server's version is %s, not %s", got, want)
			}
		})
	}
}
