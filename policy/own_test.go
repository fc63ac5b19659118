package policy

import (
	"reflect"
	"testing"
)

// TestOwnedProof: a proof that is kept chooses and refuses as the one that it is
// a copy of.
func TestOwnedProof(t *testing.T) {
	p := policyOf(t, []string{
		issuer("one", "org1", `"organizationClaim": "org_id"`),
		issuer("two", "org2", `"organizationClaim": "tenant"`),
		issuer("rest", "*", `"organizationClaim": "realm"`),
		issuer("own", "org4", `"organizationClaim": "unit"`, `"missingOrganization": "issuer"`),
	}, nil, `"organization": "org1"`)
	for _, claims := range []string{`"org_id": "org1"`, `"org_id": "org1", "tenant": "org2"`, `"realm": "org3"`,
		`"sub": "x"`} {
		proof, err := p.Proof(claimsOf(t, claims))
		if err != nil {
			t.Fatal(err)
		}
		if owned, size := proof.Own(); !reflect.DeepEqual(proof, owned) || size == 0 {
			t.Errorf("%s: %+v, owned %+v of %d bytes", claims, proof, owned, size)
		}
	}
}
