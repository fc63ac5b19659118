// Package peers tries the plugin with identity providers that others wrote: the
// example provider of zitadel/oidc, an authorization server made of ory/fosite,
// and mockoidc of oauth2-proxy.
//
// Each has two organizations, in a way of its own: a claim, a location for each,
// a server for each. The configuration is the one that its user would write
// first, and tokens come from the provider's own token endpoint. Requests go
// through the built plugin in a gateway, over loopback.
//
// It is a module of its own because of what the providers depend on. There is
// nothing here but tests.
package peers
