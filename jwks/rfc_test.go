package jwks_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"orgate/jwks"
	"orgate/jwt"
)

// TestRFCs: the keys of RFC 7517, RFC 7520 and RFC 8037. One is used if it is
// public, for signatures, and of an algorithm of ours. go-jose says whether they are
// copied right, and what their thumbprints are.
func TestRFCs(t *testing.T) {
	text, err := os.ReadFile("testdata/rfcs.json")
	if err != nil {
		t.Fatal(err)
	}
	var examples []struct {
		Name      string
		Algorithm string // "": RSA's
		Keys      []json.RawMessage
		Usable    []string // the kids
	}
	if err := json.Unmarshal(text, &examples); err != nil {
		t.Fatal(err)
	}
	type key struct{ ID, Thumbprint string }
	for _, example := range examples {
		t.Run(example.Name, func(t *testing.T) {
			byID := map[string]string{}
			for _, text := range example.Keys {
				var other jose.JSONWebKey
				if err := json.Unmarshal(text, &other); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				thumbprint, err := other.Thumbprint(crypto.SHA256)
				if err != nil {
					continue // symmetric
				}
				byID[other.KeyID] = base64.RawURLEncoding.EncodeToString(thumbprint)
			}
			var want []key
			for _, id := range example.Usable {
				if example.Algorithm == "" || slices.Contains(jwt.Algorithms(), example.Algorithm) {
					want = append(want, key{id, byID[id]})
				}
			}
			document, err := json.Marshal(map[string]any{"keys": example.Keys})
			if err != nil {
				t.Fatal(err)
			}
			set, err := jwks.Parse(string(document))
			if err != nil {
				t.Fatal(err)
			}
			var got []key
			for _, k := range set.Keys {
				got = append(got, key{k.ID, k.Thumbprint})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("keys (-want +got):\n%s\nunusable: %v", diff, set.Unusable)
			}
		})
	}
}
