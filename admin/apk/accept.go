package apk

import (
	"slices"

	"orgate/admin/advice"
)

// fieldsToCome says that package config reads tokenHandling and introspection. As
// long as it does not, they are noted instead of written.
var fieldsToCome = false

// The algorithms that are taken from a product.
var (
	rsaAlgorithms = []string{"RS256", "RS384", "RS512"}
	ecAlgorithms  = []string{"ES256", "ES384"}
)

// accept has the issuer take the tokens that its product takes, if that is safe.
func (im *importer) accept(i *issuer) {
	i.Algorithms = rsaAlgorithms
	i.MissingUsername = "omit" // and not the client, which could be called as a user is
	if i.from.product() == productAPK {
		i.Algorithms = slices.Concat(rsaAlgorithms, ecAlgorithms)
	}
}

// differences notes the tokens that a product takes and the plugin refuses.
func (im *importer) differences() {
	for _, product := range []string{productAPK, productAPIManager} {
		if !slices.ContainsFunc(im.issuers, func(i *issuer) bool { return i.from.product() == product }) {
			continue
		}
		var refused []string
		if product == productAPK {
			refused = append(refused, "those signed with ES512")
		}
		refused = append(refused, "those that are not valid yet (nbf)")
		im.findings = append(im.findings, Finding{
			Message: "tokens: not as in " + product + ", " + advice.Enumerate(refused) +
				" are refused"})
	}
}
