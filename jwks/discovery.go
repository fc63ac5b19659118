package jwks

import (
	"errors"
	"strings"

	"github.com/tidwall/gjson"
	"orgate/internal/httptext"
	"orgate/internal/strictjson"
)

// Discovery leads from an OpenID Connect discovery document to the JWK Set
// (OpenID Connect Discovery 1.0 §3 and §4.3).
type Discovery struct {
	// Issuer is what the document must say it is of.
	Issuer string
	// URL is where the document is.
	URL string
	// AnyOrigin allows the JWK Set to be of another origin than the document.
	AnyOrigin bool
}

// Follow returns the location of the JWK Set. The document must be of the very
// issuer: one of another issuer would bring that one's keys. What is wrong is
// said without the document's content.
func (d *Discovery) Follow(document string) (string, error) {
	metadata, err := strictjson.ParseObject(document)
	if err != nil {
		return "", err
	}
	issuer, _ := metadata.Get("issuer")
	if issuer.Type != gjson.String || issuer.Str != d.Issuer {
		return "", errors.New("it is of another issuer")
	}
	uri, _ := metadata.Get("jwks_uri")
	if uri.Type != gjson.String || httptext.CheckURL(uri.Str) != nil {
		return "", errors.New("jwks_uri is not an absolute http(s) URL")
	}
	if !d.AnyOrigin && origin(uri.Str) != origin(d.URL) {
		return "", errors.New("jwks_uri is of another origin, which allowOtherOrigin would allow")
	}
	return uri.Str, nil
}

// origin is a URL's origin (RFC 6454 §4), with the port in any case. The URL
// has been checked by [httptext.CheckURL].
func origin(u string) string {
	scheme, authority, _ := httptext.SplitURL(strings.ToLower(u))
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		return scheme + "://" + authority
	}
	if scheme == "https" {
		return scheme + "://" + authority + ":443"
	}
	return scheme + "://" + authority + ":80"
}
