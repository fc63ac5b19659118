// Package grant fetches a token from an issuer's authorization server, as a
// client of the API does: with its own credentials (RFC 6749 §4.4), with a user
// on another device (RFC 8628), or with a user in a browser on this machine
// (RFC 6749 §4.1, with PKCE, RFC 7636, and a loopback redirect, RFC 8252 §7.3).
//
// The endpoints come from the issuer's metadata, which must be of this very
// issuer: see [Discover]. Nothing is kept, and no error holds a secret or a token.
package grant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Kind is how a token is asked for.
type Kind string

// The kinds, by their names in RFC 6749 and RFC 8628.
const (
	ClientCredentials Kind = "client-credentials"
	DeviceCode        Kind = "device-code"
	AuthorizationCode Kind = "authorization-code"
)

// Kinds are all of them.
var Kinds = []Kind{ClientCredentials, DeviceCode, AuthorizationCode}

// Request is what to ask for.
type Request struct {
	Kind     Kind
	Metadata *Metadata
	ClientID string
	Secret   string // "" for a public client
	Scopes   []string
	// Parameters are sent besides, such as "audience" (Auth0) and "resource" (RFC
	// 8707).
	Parameters [][2]string
	// Listen is where the browser is sent back to: a loopback address and a
	// port, 0 for any.
	Listen string
	// IDToken asks for the token that tells the client of the user.
	IDToken bool

	// Client carries the requests. Prompts for the user go to Prompt.
	Client *http.Client
	Prompt io.Writer
}

// Token fetches a token.
func (r *Request) Token(ctx context.Context) (string, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, r.Client)
	var token *oauth2.Token
	var err error
	switch r.Kind {
	case ClientCredentials:
		token, err = r.clientCredentials(ctx)
	case DeviceCode:
		token, err = r.deviceCode(ctx)
	case AuthorizationCode:
		token, err = r.authorizationCode(ctx)
	default:
		return "", fmt.Errorf("unknown grant %q", r.Kind)
	}
	if err != nil {
		return "", plain(err)
	}
	if !r.IDToken {
		return token.AccessToken, nil
	}
	id, _ := token.Extra("id_token").(string)
	if id == "" {
		return "", errors.New("the token endpoint gave no id_token: is the scope openid asked for?")
	}
	return id, nil
}

func (r *Request) clientCredentials(ctx context.Context) (*oauth2.Token, error) {
	c := clientcredentials.Config{
		ClientID: r.ClientID, ClientSecret: r.Secret, TokenURL: r.Metadata.TokenEndpoint, Scopes: r.Scopes,
		AuthStyle: r.style(), EndpointParams: map[string][]string{},
	}
	for _, p := range r.Parameters {
		c.EndpointParams[p[0]] = append(c.EndpointParams[p[0]], p[1])
	}
	return c.Token(ctx)
}

func (r *Request) deviceCode(ctx context.Context) (*oauth2.Token, error) {
	if r.Metadata.DeviceEndpoint == "" {
		return nil, errors.New("the issuer's metadata has no device_authorization_endpoint")
	}
	c := r.config("")
	device, err := c.DeviceAuth(ctx, r.options()...)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(r.Prompt, "Visit %s and enter the code %s\n", device.VerificationURI, device.UserCode)
	if device.VerificationURIComplete != "" {
		fmt.Fprintf(r.Prompt, "or visit %s\n", device.VerificationURIComplete)
	}
	token, err := c.DeviceAccessToken(ctx, device)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, errors.New("the code has expired")
	}
	return token, err
}

func (r *Request) config(redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: r.ClientID, ClientSecret: r.Secret, Scopes: r.Scopes, RedirectURL: redirect,
		Endpoint: oauth2.Endpoint{
			AuthURL: r.Metadata.AuthorizationEndpoint, DeviceAuthURL: r.Metadata.DeviceEndpoint,
			TokenURL: r.Metadata.TokenEndpoint, AuthStyle: r.style(),
		},
	}
}

// options are the further parameters.
func (r *Request) options() []oauth2.AuthCodeOption {
	var options []oauth2.AuthCodeOption
	for _, p := range r.Parameters {
		options = append(options, oauth2.SetAuthURLParam(p[0], p[1]))
	}
	return options
}

// style is how the client authenticates: in the header, unless the metadata
// names the form alone, or there is nothing to authenticate with (RFC 6749 §2.3.1).
func (r *Request) style() oauth2.AuthStyle {
	methods := r.Metadata.AuthMethods
	if r.Secret == "" || len(methods) > 0 && !slices.Contains(methods, "client_secret_basic") &&
		slices.Contains(methods, "client_secret_post") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// plain is an error without the body that came with it, which may be anything.
func plain(err error) error {
	retrieve, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok || retrieve.Response == nil {
		return err
	}
	message := fmt.Sprintf("%s: status %d", retrieve.Response.Request.URL.Redacted(), retrieve.Response.StatusCode)
	if retrieve.ErrorCode != "" {
		message += fmt.Sprintf(", error %q", retrieve.ErrorCode)
	}
	if retrieve.ErrorDescription != "" {
		message += fmt.Sprintf(", %q", retrieve.ErrorDescription)
	}
	return errors.New(message)
}
