package grant

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Metadata is what a discovery document says of an authorization server (OpenID
// Connect Discovery 1.0 §3, RFC 8414 §2, RFC 8628 §4).
type Metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	// TellsIssuer means that a response of the authorization endpoint names its
	// issuer (RFC 9207 §3).
	TellsIssuer bool `json:"authorization_response_iss_parameter_supported"`
}

// maxMetadata is the longest discovery document, in bytes.
const maxMetadata = 1 << 20

// WellKnown is where an issuer's discovery document is by default (OpenID Connect
// Discovery 1.0 §4).
func WellKnown(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// Discover fetches a discovery document. It must be of the issuer: another
// issuer's endpoints would be given the client's secret. "{tid}" in the issuer
// stands for anything without a slash.
func Discover(ctx context.Context, client *http.Client, location, issuer string) (*Metadata, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", location, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMetadata))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", location, err)
	}
	m := new(Metadata)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%s: not a discovery document: %w", location, err)
	}
	if !matches(m.Issuer, issuer) {
		return nil, fmt.Errorf("%s: it is of issuer %q, not %q", location, m.Issuer, issuer)
	}
	if m.TokenEndpoint == "" {
		return nil, fmt.Errorf("%s: it has no token_endpoint", location)
	}
	return m, nil
}

// matches reports whether a document's issuer is the configured one.
func matches(got, want string) bool {
	before, after, ok := strings.Cut(want, "{tid}")
	if !ok {
		return got == want
	}
	middle, before1 := strings.CutPrefix(got, before)
	middle, after1 := strings.CutSuffix(middle, after)
	return before1 && after1 && middle != "" && !strings.Contains(middle, "/")
}
