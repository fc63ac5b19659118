package advice

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/jwks"
)

func TestPublishedKeys(t *testing.T) {
	text, err := os.ReadFile("../../jwks/testdata/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwks.ParsePEM(string(text))
	if err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(string(text))
	if err != nil {
		t.Fatal(err)
	}
	document := `{"issuers": [{"name": "idp", "issuer": "https://idp.example", "organization": "org1", "audiences": ["a"],
		"signatureValidation": {"certificate": {"certificateInline": ` + string(quoted) + `}}}]}`
	if advice := Read(document).Warnings; len(advice) > 0 {
		t.Errorf("of a key that is nobody else's: %v", advice)
	}
	before := published
	defer func() { published = before }()
	published = append(published, set.Keys[0].Thumbprint)
	want := []Finding{{Code: "published-key", Path: "issuers[0].signatureValidation.certificate.certificateInline",
		Line: 2, Column: 64, Message: "the private key is in WSO2's Helm charts for everybody to read: anybody can " +
			"sign tokens of " +
			"this issuer with it"}}
	if diff := cmp.Diff(want, Read(document).Warnings); diff != "" {
		t.Errorf("advice (-want +got):\n%s", diff)
	}
}
