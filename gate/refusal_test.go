package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"orgate/config"
	"orgate/jwt"
	"orgate/policy"
)

func TestRefusalOf(t *testing.T) {
	for i := range refusals {
		a := &refusals[i]
		if got := refusalOf(fmt.Errorf("wrapped: %w", a.err)); got != a {
			t.Errorf("%v has the row of %v", a.err, got.err)
		}
	}
	for _, err := range []error{nil, errors.New("nobody knows")} {
		if got := refusalOf(err); got.status != 500 {
			t.Errorf("%v has status %d, want 500", err, got.status)
		}
	}
}

// TestRefusalBodies holds that every refusal in every format is what its
// content type says.
func TestRefusalBodies(t *testing.T) {
	for i := range refusals {
		a := &refusals[i]
		for _, format := range []string{"wso2", "problem"} {
			body := a.body(format)
			var members map[string]any
			if err := json.Unmarshal([]byte(body), &members); err != nil {
				t.Fatalf("%v, %s: %v in %s", a.err, format, err, body)
			}
			want := map[string]any{"error_message": a.message, "error_description": a.description}
			if format == "problem" {
				want = map[string]any{"type": "about:blank", "title": statusText(a.status), "status": float64(a.status),
					"detail": a.description}
			}
			if a.code != "" {
				want["code"] = a.code
			}
			if diff := cmp.Diff(want, members); diff != "" {
				t.Errorf("%v, %s (-want +got):\n%s", a.err, format, diff)
			}
		}
		if body := a.body("plain"); strings.Count(body, "\n") != 1 {
			t.Errorf("%v: plain body %q is not a line", a.err, body)
		}
	}
}

// TestGRPCWeb: to the proxy gRPC-Web is ordinary HTTP, so that the response has
// the status of gRPC among its headers, and 200.
func TestGRPCWeb(t *testing.T) {
	for kind, contentType := range map[RPC]string{
		GRPCWeb: "application/grpc-web+proto", GRPCWebText: "application/grpc-web-text+proto",
	} {
		for i := range refusals {
			row := &refusals[i]
			d := Decision{Err: row.err, RPC: kind}
			want := Response{Status: 200, GRPC: row.grpc, Headers: append([][2]string{
				{"content-type", contentType}, {"grpc-status", fmt.Sprint(row.grpc)}, {"grpc-message", row.description},
			}, row.headers(&config.Errors{Realm: "r"}, row.err, 7)...)}
			if diff := cmp.Diff(want, d.response(&config.Errors{Realm: "r"}, 7)); diff != "" {
				t.Errorf("%v (-want +got):\n%s", row.err, diff)
			}
			if strings.ContainsFunc(row.description, func(c rune) bool { return c < ' ' || c > '~' || c == '%' }) {
				t.Errorf("%q would have to be encoded", row.description)
			}
		}
	}
}

func TestRefusalHeaders(t *testing.T) {
	c := &config.Errors{Format: "wso2", Realm: `a "quoted\" realm`}
	for _, row := range []struct {
		err  error
		want [][2]string
	}{
		{
			ErrNoToken, [][2]string{{"content-type", "application/json"},
				{"www-authenticate", `Bearer realm="a \"quoted\\\" realm"`}}},
		{jwt.ErrExpired, [][2]string{{"content-type", "application/json"}, {"www-authenticate",
			`Bearer realm="a \"quoted\\\" realm", error="invalid_token", error_description="The access token has expired."`}}},
		{&policy.ScopeError{Challenge: "a b"}, [][2]string{{"content-type", "application/json"}, {"www-authenticate",
			`Bearer realm="a \"quoted\\\" realm", error="insufficient_scope", scope="a b"`}}},
		{policy.ErrOrganization, [][2]string{{"content-type", "application/json"}}},
		{policy.ErrRole, [][2]string{{"content-type", "application/json"}}},
		{ErrKeysUnavailable, [][2]string{{"content-type", "application/json"}, {"retry-after", "7"}}},
		{ErrFault, [][2]string{{"content-type", "application/json"}}},
	} {
		d := Decision{Err: row.err}
		if diff := cmp.Diff(row.want, d.response(c, 7).Headers); diff != "" {
			t.Errorf("%v (-want +got):\n%s", row.err, diff)
		}
		d.RPC = GRPC
		if diff := cmp.Diff(row.want[1:], d.response(c, 7).Headers, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%v, gRPC (-want +got):\n%s", row.err, diff)
		}
	}
}
