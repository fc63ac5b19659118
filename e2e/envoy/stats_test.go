package envoy_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e/envoy"
	"orgate/filter"
)

// Names that an operator might give to a rule or an issuer, and worse.
var hostile = []string{
	"orders",
	"rule-0",
	"org1/eu-west_1",
	"a.b",
	"api.example.com",
	";.;reason=.=ok;.;",
	"x;.;issuer=.=forged",
	"rule=.=",
	"=",
	";",
	"%",
	"%3B",
	"100%",
	`say "hi"`,
	`back\slash`,
	"a:b|c#d,e",
	"two words",
	"new\nline",
	"nul\x00",
	"café",
	"組織",
	"\xff\xfe",
	"cache.tag.component.wasm_filter.x",
	"worker_1",
	"_rq_200",
	"*",
	"",
	strings.Repeat("long", 200),
}

// labelSets are the metric families and their labels, in order.
var labelSets = map[string][]string{
	"orgate_requests":         {"rule", "issuer", "reason"},
	"orgate_jwks_fetches":     {"issuer", "result"},
	"orgate_token_cache":      {"result"},
	"orgate_headers_left_out": {"issuer"},
	"orgate_jwks_keys":        {"issuer"},
	"orgate_jwks_age_seconds": {"issuer"},
	"orgate_build":            {"version"},
}

// names calls f with the labels and the encoded name of every family under
// every hostile value, each label with a value of its own.
func names(f func(family string, labels map[string]string, name string)) {
	for family, order := range labelSets {
		for shift := range hostile {
			labels := map[string]string{}
			var pairs []string
			for i, label := range order {
				value := hostile[(shift+i*7)%len(hostile)]
				labels[label] = value
				pairs = append(pairs, label, value)
			}
			f(family, labels, filter.MetricName(family, pairs...))
		}
	}
}

// decode undoes the encoding of a label's value.
func decode(t *testing.T, encoded string) string {
	t.Helper()
	if encoded == "%" {
		return ""
	}
	value, err := url.PathUnescape(encoded)
	if err != nil {
		t.Fatalf("value %q: %v", encoded, err)
	}
	return value
}

func statsTags(t *testing.T) envoy.StatsTags {
	t.Helper()
	tags, err := parse(t, document(t)).StatsTags()
	if err != nil {
		t.Fatal(err)
	}
	return tags
}

func TestStatsTags(t *testing.T) {
	tests := []struct {
		name       string // of the metric
		wantFamily string
		wantLabels map[string]string
	}{
		{
			name:       "orgate_requestsrule=.=orders;.;issuer=.=org1;.;reason=.=ok;.;",
			wantFamily: "orgate_requests",
			wantLabels: map[string]string{"rule": "orders", "issuer": "org1", "reason": "ok"},
		},
		{
			name:       "orgate_requestsrule=.=a%2Eb;.;issuer=.=none;.;reason=.=missing;.;",
			wantFamily: "orgate_requests",
			wantLabels: map[string]string{"rule": "a%2Eb", "issuer": "none", "reason": "missing"},
		},
		{
			name:       "orgate_jwks_fetchesissuer=.=org1;.;result=.=ok;.;",
			wantFamily: "orgate_jwks_fetches",
			wantLabels: map[string]string{"issuer": "org1", "result": "ok"},
		},
		{
			name:       "orgate_token_cacheresult=.=hit;.;",
			wantFamily: "orgate_token_cache",
			wantLabels: map[string]string{"result": "hit"},
		},
		{
			name:       "orgate_jwks_age_secondsissuer=.=org1;.;",
			wantFamily: "orgate_jwks_age_seconds",
			wantLabels: map[string]string{"issuer": "org1"},
		},
		{
			name:       "another_pluginrule=.=orders;.;",
			wantFamily: "another_pluginrule___orders___",
			wantLabels: map[string]string{},
		},
	}
	tags := statsTags(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			family, labels := tags.Prometheus(test.name)
			if family != test.wantFamily {
				t.Errorf("family: got %q, want %q", family, test.wantFamily)
			}
			if diff := cmp.Diff(test.wantLabels, labels); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

// What the plugin puts into a name comes out of it, whatever the configuration
// calls its rules and issuers.
func TestStatsTagsRoundTrip(t *testing.T) {
	tags := statsTags(t)
	names(func(family string, want map[string]string, name string) {
		gotFamily, labels := tags.Prometheus(name)
		if gotFamily != family {
			t.Errorf("%q: family %q, want %q", name, gotFamily, family)
		}
		got := map[string]string{}
		for label, value := range labels {
			got[label] = decode(t, value)
			if !plain.MatchString(value) {
				t.Errorf("%q: value %q does not fit a Prometheus label as it is", name, value)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: labels (-want +got):\n%s", name, diff)
		}
	})
}

// plain is what an encoded value may hold: nothing that Prometheus, StatsD or a
// tag rule reads as its own.
var plain = regexp.MustCompile(`^[A-Za-z0-9_/%-]+$`)

// Istio builds a rule like these from each name in the annotation
// sidecar.istio.io/extraStatTags, next to some for its own metrics.
func TestStatsTagsOfIstio(t *testing.T) {
	rules := ""
	for _, label := range []string{"rule", "issuer", "reason", "result", "version"} {
		rules += fmt.Sprintf("    - {tag_name: %s, regex: '(%s=\\.=(.*?);\\.;)'}\n", label, label)
	}
	for i, regex := range []string{
		`(cache\.(.+?)\.)`,
		`(component\.(.+?)\.)`,
		`(tag\.(.+?);\.)`,
		`(wasm_filter\.(.+?)\.)`,
		`rbac(\.(allowed|denied))`,
		`(\.istio_dry_run_(allow|deny)_)`,
		`(\.shadow_(allowed|denied))`,
		`(response_code=\.=(.+?);\.;)|_rq(_(\.d{3}))$`,
		`_rq(_(\dxx))$`,
	} {
		rules += fmt.Sprintf("    - {tag_name: istio%d, regex: '%s'}\n", i, regex)
	}
	tags, err := parse(t, "stats_config:\n  stats_tags:\n"+rules).StatsTags()
	if err != nil {
		t.Fatal(err)
	}
	names(func(family string, want map[string]string, name string) {
		gotFamily, labels := tags.Prometheus(name)
		if gotFamily != family {
			t.Errorf("%q: family %q, want %q", name, gotFamily, family)
		}
		got := map[string]string{}
		for label, value := range labels {
			got[label] = decode(t, value)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: labels (-want +got):\n%s", name, diff)
		}
	})
}

func TestStatsTagsErrors(t *testing.T) {
	tests := []struct {
		name  string
		regex string
		want  string
	}{
		{"not a regular expression", `(`, "missing closing"},
		{"no group", `rule`, "no group to remove"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(t, "stats_config: {stats_tags: [{tag_name: rule, regex: '"+test.regex+"'}]}").StatsTags()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
