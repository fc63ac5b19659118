package gate

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"orgate/jwt"
)

// binding is the certificate that a token is bound to (RFC 8705 §3.1): it is good
// over connections with this client certificate alone. The zero value is none.
type binding struct {
	digest string // SHA-256 of the certificate in DER, as lower-case hex
	err    error  // why the token is good over no connection
}

// confirmation is the claim with the thumbprint.
var confirmation = []string{"cnf", "x5t#S256"}

// bindingOf reads what a token is bound to. A thumbprint that can't be read binds
// it to a certificate that nobody has.
func bindingOf(claims jwt.Claims) (b binding) {
	cnf, ok := claims.Get(confirmation[0])
	if !ok || cnf.Type == gjson.Null {
		return b
	}
	if !cnf.IsObject() {
		return binding{err: errConfirmation}
	}
	thumbprint, ok := claims.Lookup("", confirmation...)
	if !ok || thumbprint.Type == gjson.Null {
		return b // bound otherwise, or not at all
	}
	const size = 32
	sum, err := base64.RawURLEncoding.Strict().DecodeString(thumbprint.Str)
	if err != nil || len(sum) != size || len(thumbprint.Str) != base64.RawURLEncoding.EncodedLen(size) {
		return binding{err: errConfirmation}
	}
	return binding{digest: hex.EncodeToString(sum)}
}

// toldBinding is what a token is bound to that its provider has told of. A JWT that the
// provider stands for is bound to what it says itself, if the provider says nothing.
func (j *judgment) toldBinding() binding {
	if b := bindingOf(j.Token.Claims); b != (binding{}) {
		return b
	}
	token, err := jwt.Parse(j.compact, j.config.Limits.TokenBytes)
	if err != nil {
		return binding{} // an opaque token
	}
	return bindingOf(token.Claims)
}

var (
	errConfirmation = fmt.Errorf("%w: cnf.x5t#S256 is no thumbprint", ErrBinding)
	errUnbound      = fmt.Errorf("%w: it is bound to no certificate", ErrBinding)
	errNoPeer       = fmt.Errorf("%w: the client has shown none", ErrBinding)
)

// checkBinding compares the certificate that the token is bound to with the
// connection's. The proxy is asked for that one only if the token is bound.
func (j *judgment) checkBinding(b binding) error {
	mode := j.Issuer.Config.CertificateBinding
	switch {
	case mode == "ignore", b == binding{} && mode != "require":
		return nil
	case b.err != nil:
		return j.step(StepBinding, b.err)
	case b.digest == "":
		return j.step(StepBinding, errUnbound)
	case j.request.PeerCertificate == nil:
		return j.step(StepBinding, errNoPeer)
	}
	peer, err := j.request.PeerCertificate()
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrFault, err)
	case peer == "":
		err = errNoPeer
	case !strings.EqualFold(peer, b.digest):
		err = ErrBinding
	}
	return j.step(StepBinding, err)
}
