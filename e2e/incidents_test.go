package e2e_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/envoy"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// incident is what goes wrong: it ends with a request that is refused, or with a
// plugin that does not start.
type incident func(t *testing.T, w *e2e.Worker) *host.Stream

// guarded is the configuration of the incidents: keys that are fetched, and tokens
// in a header or a cookie.
const guarded = `{
  "issuers": [
    {"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1", "audiences": ["https://api.example"],
     "signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}}},
    {"name": "idp2", "issuer": "https://idp2.example/realms/org2", "organization": "org2",
     "signatureValidation": {"jwks": {"inline": $SECOND}}}
  ],
  "tokenSources": {"headers": [{"name": "authorization", "prefix": "Bearer "}], "cookies": ["token"]},
  "rules": [{"name": "orders", "match": {"pathPrefix": "/orders"}, "organization": "org1"}]
}`

func orders(token string, headers ...[2]string) scenario.Request {
	return scenario.Request{Path: "/orders", Token: token, Headers: headers}
}

// refused sends a request to a plugin that has the first provider's keys.
func refused(request func() scenario.Request) incident {
	return func(t *testing.T, w *e2e.Worker) *host.Stream {
		answer(t, fetch(t, w), scenario.First())
		return w.Open(request())
	}
}

var incidents = map[string]incident{
	"provider down": func(t *testing.T, w *e2e.Worker) *host.Stream {
		s := w.Open(orders(scenario.First().Token()))
		if err := fetch(t, w).FailStatus(503); err != nil {
			t.Fatal(err)
		}
		for range 6 {
			w.Time = w.Time.Add(time.Second)
			w.Tick()
		}
		return s
	},
	"keys rotated without an overlap": func(t *testing.T, w *e2e.Worker) *host.Stream {
		answer(t, fetch(t, w), scenario.First())
		w.Time = w.Time.Add(11 * time.Minute)
		answer(t, fetch(t, w), scenario.Rotated())
		s := w.Open(orders(scenario.First().Token()))
		answer(t, fetch(t, w), scenario.Rotated()) // is it there by now?
		return s
	},
	"clocks apart": refused(func() scenario.Request {
		return orders(scenario.First().Token(
			scenario.Claims{"nbf": scenario.Now.Unix() + 90, "iat": scenario.Now.Unix() + 90}))
	}),
	"another API's token": refused(func() scenario.Request {
		return orders(scenario.First().Token(scenario.Claims{"aud": "https://other.example"}))
	}),
	"slash at the issuer's end": refused(func() scenario.Request {
		return orders(scenario.First().Token(scenario.Claims{"iss": "https://idp1.example"}))
	}),
	"another organization's API": refused(func() scenario.Request {
		return orders(scenario.Second().Token(scenario.OfOrg2()))
	}),
	"expired cookie": refused(func() scenario.Request {
		old := scenario.First().Token(scenario.Claims{"exp": scenario.Now.Unix() - 3600,
			"iat": scenario.Now.Unix() - 7200})
		return orders("", [2]string{"cookie", "theme=dark; token=" + old})
	}),
	"stale cookie beside a good header": refused(func() scenario.Request {
		old := scenario.First().Token(scenario.Claims{"exp": scenario.Now.Unix() - 3600,
			"iat": scenario.Now.Unix() - 7200})
		return orders(scenario.First().Token(), [2]string{"cookie", "token=" + old})
	}),
	"huge token": refused(func() scenario.Request { return orders(scenario.First().Sized(20 << 10)) }),
}

const typingError = "typing error in the configuration"

// TestIncidents: what the page says of each incident is what is seen of it. From
// the log line and the metric alone one is told from the others.
func TestIncidents(t *testing.T) {
	rows := incidentRows(t)
	told := map[string]string{}
	for name, row := range rows {
		if before := told[row.access+row.log]; before != "" {
			t.Errorf("%s and %s look alike", name, before)
		}
		told[row.access+row.log] = name
		t.Run(name, func(t *testing.T) {
			if name == typingError {
				_, err := e2e.NewWorker(hosttest.Plugin(t),
					strings.Replace(scenario.Expand(guarded), `"issuers"`, `"isuers"`, 1))
				if err == nil || !inOneLine(strings.Split(err.Error(), "\n"), row.log) ||
					row.metric != "absent(orgate_build)" {
					t.Errorf("%v\nwant %s", err, row.log)
				}
				return
			}
			happens, ok := incidents[name]
			if !ok {
				t.Fatal("nobody knows this incident")
			}
			w := newWorker(t, scenario.Expand(guarded), func(c *host.Config) { c.LogLevel = host.LogDebug })
			s := happens(t, w)
			defer s.Close()
			if got := differences(row.access, s); got != "" {
				t.Errorf("access log: %s", got)
			}
			if !inOneLine(w.Log, row.log) {
				t.Errorf("no line of the plugin's is %s:\n%s", row.log, strings.Join(w.Log, "\n"))
			}
			if got := series(t, w); got[row.metric] == 0 {
				t.Errorf("%s is 0 or not there: %v", row.metric, got)
			}
		})
	}
	for name := range incidents {
		if rows[name].access == "" {
			t.Errorf("the page has no row for %q", name)
		}
	}
	if len(rows) != 10 {
		t.Errorf("%d incidents, want 10", len(rows))
	}
}

// incidentRow is a row of the page, without the backquotes.
type incidentRow struct{ access, log, metric string }

func incidentRows(t *testing.T) map[string]incidentRow {
	t.Helper()
	text, err := os.ReadFile("../docs/guides/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Ten incidents\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]incidentRow{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 5 || cells[0] == "incident" || cells[0] == "---" {
			continue
		}
		unquote := func(cell string) string { return strings.Trim(cell, "`") }
		rows[cells[0]] = incidentRow{unquote(cells[1]), unquote(cells[2]), unquote(cells[3])}
	}
	return rows
}

// differences compares fields as the page writes them, "name=value", with what an
// access log has of a request; "-" is a field that is not there.
func differences(fields string, s *host.Stream) string {
	for _, m := range regexp.MustCompile(`(\w+)=("[^"]*"|\S+)`).FindAllStringSubmatch(fields, -1) {
		want := strings.Trim(m[2], `"`)
		got := "-"
		if value, ok := s.Property("orgate." + m[1]); ok {
			got = string(value)
		}
		if m[1] == "status" {
			got = strconv.Itoa(e2e.Outcome(s).Status)
		}
		if got != want {
			return fmt.Sprintf("%s is %q, want %q", m[1], got, want)
		}
	}
	return ""
}

// inOneLine reports whether one line has all parts of the pattern, in order; "…"
// stands for anything.
func inOneLine(lines []string, pattern string) bool {
	for _, line := range lines {
		rest, all := line, true
		for part := range strings.SplitSeq(pattern, "…") {
			at := strings.Index(rest, strings.TrimSpace(part))
			if at < 0 {
				all = false
				break
			}
			rest = rest[at:]
		}
		if all {
			return true
		}
	}
	return false
}

// series are the plugin's metrics as Prometheus has them behind Envoy.
func series(t *testing.T, w *e2e.Worker) map[string]uint64 {
	t.Helper()
	text, err := os.ReadFile("../envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := envoy.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := bootstrap.StatsTags()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]uint64{}
	for name, value := range w.Metrics.Values() {
		family, labels := tags.Prometheus(name)
		var pairs []string
		for _, label := range []string{"rule", "issuer", "reason", "result", "version"} {
			if labels[label] != "" {
				pairs = append(pairs, label+`="`+labels[label]+`"`)
			}
		}
		values[family+"{"+strings.Join(pairs, ",")+"}"] = value
	}
	return values
}
