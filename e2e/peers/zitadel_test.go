package peers

import (
	"context"
	"crypto/rsa"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// resourceOwner is the claim in which Zitadel says whose user it is.
const resourceOwner = "urn:zitadel:iam:user:resourceowner:id"

// zitadel is the example provider of zitadel/oidc: one issuer for both
// organizations, of which a claim tells.
func zitadel(t *testing.T) *provider {
	s := &zitadelStorage{owners: map[string]string{"app1": "280151", "app2": "280152", "opaque": "280151"}}
	url := start(t, func(url string) http.Handler {
		s.Storage = storage.NewStorage(storage.NewUserStore(url))
		return exampleop.SetupServer(url, s, slog.New(slog.DiscardHandler), false)
	})
	s.rotate(t)
	return &provider{
		clusters: map[string]string{"zitadel": url},
		configuration: strings.ReplaceAll(`{
			"issuers": [{
				"name": "zitadel",
				"issuer": "URL",
				"organization": "*",
				"organizationClaim": "urn:zitadel:iam:user:resourceowner:id",
				"organizationMapping": {"280151": "org1", "280152": "org2"},
				"audiences": ["app1", "app2"],
				"signatureValidation": {
					"jwks": {"wellKnown": "URL/.well-known/openid-configuration", "cluster": "zitadel"}
				}
			}],
			"rules": [
				{"match": {"pathPrefix": "/org1"}, "organization": "org1"},
				{"match": {"pathPrefix": "/org2"}, "organization": "org2"}
			]
		}`, "URL", url),
		token: func(t *testing.T, org string) string {
			return clientCredentials(t, url+"/oauth/token", strings.Replace(org, "org", "app", 1), "openid")
		},
		opaque: func(t *testing.T) string {
			return clientCredentials(t, url+"/oauth/token", "opaque", "openid")
		},
		rotate:   s.rotate,
		rotates:  []string{"org1", "org2"},
		overlaps: true,
		username: map[string]string{"org1": "app1", "org2": "app2"},
		client:   map[string]string{"org1": "app1", "org2": "app2"},
	}
}

// zitadelStorage is the example's storage with service users that get JWTs, as
// the setting "JWT" of a user in Zitadel's console does, and with keys that
// rotate.
type zitadelStorage struct {
	*storage.Storage
	owners map[string]string // of service users, by name

	mu   sync.Mutex
	keys []zitadelKey // the last one signs
}

// rotate keeps one of the keys before.
func (s *zitadelStorage) rotate(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, zitadelKey{newRSAKey(t), newKeyID()})
	s.keys = s.keys[max(0, len(s.keys)-2):]
}

func (s *zitadelStorage) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1], nil
}

func (s *zitadelStorage) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var set []op.Key
	for _, key := range s.keys {
		set = append(set, zitadelPublicKey{key})
	}
	return set, nil
}

func (s *zitadelStorage) ClientCredentials(_ context.Context, id, password string) (op.Client, error) {
	if s.owners[id] == "" || password != secret {
		return nil, errors.New("wrong client or secret")
	}
	return serviceUser{storage.WebClient(id, secret)}, nil
}

func (s *zitadelStorage) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (
	op.TokenRequest, error,
) {
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{id}, Scopes: scopes}, nil
}

func (s *zitadelStorage) GetPrivateClaimsFromScopes(_ context.Context, user, _ string, _ []string) (
	map[string]any, error,
) {
	return map[string]any{resourceOwner: s.owners[user]}, nil
}

// AuthorizeClientIDSecret lets service users ask about tokens.
func (s *zitadelStorage) AuthorizeClientIDSecret(ctx context.Context, id, password string) error {
	_, err := s.ClientCredentials(ctx, id, password)
	return err
}

// SetIntrospectionFromToken says of service users what Zitadel does: the example
// knows people alone.
func (s *zitadelStorage) SetIntrospectionFromToken(ctx context.Context, response *oidc.IntrospectionResponse, token,
	user, client string) error {
	if err := s.Storage.SetIntrospectionFromToken(ctx, response, token, user, client); err != nil &&
		response.Expiration == 0 {
		return err // there is no such token
	}
	response.Subject, response.ClientID, response.Audience = user, user, oidc.Audience{"app1"}
	response.Scope = oidc.SpaceDelimitedArray{"openid"}
	response.Claims = map[string]any{resourceOwner: s.owners[user]}
	return nil
}

// serviceUser is a client that gets a token for its own credentials.
type serviceUser struct{ op.Client }

func (s serviceUser) AccessTokenType() op.AccessTokenType {
	if s.GetID() == "opaque" {
		return op.AccessTokenTypeBearer // the default
	}
	return op.AccessTokenTypeJWT
}

func (serviceUser) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials}
}

type zitadelKey struct {
	key *rsa.PrivateKey
	id  string
}

func (k zitadelKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k zitadelKey) Key() any                                    { return k.key }
func (k zitadelKey) ID() string                                  { return k.id }

type zitadelPublicKey struct{ zitadelKey }

func (k zitadelPublicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k zitadelPublicKey) Use() string                        { return "sig" }
func (k zitadelPublicKey) Key() any                           { return &k.key.PublicKey }
