package grant

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/oauth2"
)

// Callback is the path of the redirect URI, which providers have to know.
const Callback = "/callback"

// redirected is what the browser brings back.
type redirected struct {
	code string
	err  error
}

// authorizationCode has the user sign in with a browser, which is sent back to a
// server on loopback.
func (r *Request) authorizationCode(ctx context.Context) (*oauth2.Token, error) {
	if r.Metadata.AuthorizationEndpoint == "" {
		return nil, errors.New("the issuer's metadata has no authorization_endpoint")
	}
	listener, err := net.Listen("tcp", r.Listen)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(r.Listen)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, err
	}
	state, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	results := make(chan redirected, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Callback, func(w http.ResponseWriter, request *http.Request) {
		result, ours := r.read(request, state)
		if !ours {
			http.Error(w, "This is no answer to a request of orgate's.", http.StatusBadRequest)
			return
		}
		message := "Done. You may close this page."
		if result.err != nil {
			message = "The sign-in has failed. See the terminal."
		}
		_, _ = fmt.Fprintln(w, message)
		select {
		case results <- result:
		default: // it has come before
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ending) // the browser gets its page
	}()

	c := r.config("http://" + net.JoinHostPort(host, port) + Callback)
	fmt.Fprintf(r.Prompt, "Visit %s\n", c.AuthCodeURL(state,
		append(r.options(), oauth2.S256ChallengeOption(verifier))...))
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-results:
		if result.err != nil {
			return nil, result.err
		}
		return c.Exchange(ctx, result.code, oauth2.VerifierOption(verifier))
	}
}

// read reads what the authorization endpoint answers with (RFC 6749 §4.1.2). It is
// ours if it has our state; whatever else comes to the port decides nothing.
func (r *Request) read(request *http.Request, state string) (result redirected, ours bool) {
	q := request.URL.Query()
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 {
		return redirected{}, false
	}
	issuer, told := q.Get("iss"), q.Has("iss")
	switch {
	case told && issuer != r.Metadata.Issuer, !told && r.Metadata.TellsIssuer:
		result.err = fmt.Errorf("the answer is of issuer %q, not %q", issuer, r.Metadata.Issuer)
	case q.Get("error") != "":
		result.err = fmt.Errorf("the authorization endpoint says %q, %q", q.Get("error"), q.Get("error_description"))
	case q.Get("code") == "":
		result.err = errors.New("the authorization endpoint gave no code")
	default:
		result.code = q.Get("code")
	}
	return result, true
}
