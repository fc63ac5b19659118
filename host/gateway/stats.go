package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Admin is the gateway's administration side:
//
//	GET /stats     the plugin's counters and gauges, "name: value" lines sorted by name
//	GET /metrics   the same for Prometheus, with the labels that are in the names
//	GET /ready     200, or 503 and what is missing: see [Config.Ready]
func (g *Gateway) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		values := g.metrics.Values()
		for _, name := range slices.Sorted(maps.Keys(values)) {
			_, _ = fmt.Fprintf(w, "%s: %d\n", name, values[name])
		}
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write([]byte(prometheus(g.metrics.Values(), g.metrics.Gauges(), g.config.Labels)))
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		values := g.metrics.Values()
		var missing []string
		for _, name := range g.config.Ready {
			if values[name] == 0 {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			http.Error(w, "waiting for "+strings.Join(missing, ", "), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "LIVE")
	})
	return mux
}

// prometheus writes values in the text format of Prometheus
// (https://prometheus.io/docs/instrumenting/exposition_formats). Each label is
// taken out of a name as the rules in envoy.yaml do it: "label=.=value;.;".
func prometheus(values map[string]uint64, gauges map[string]bool, labels []string) string {
	rules := make([]*regexp.Regexp, len(labels))
	for i, label := range labels {
		rules[i] = regexp.MustCompile(regexp.QuoteMeta(label) + `=\.=([^;]*);\.;`)
	}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	samples := map[string][]string{} // by family
	kinds := map[string]string{}
	for name, value := range values {
		family, pairs := name, []string{}
		for i, rule := range rules {
			if m := rule.FindStringSubmatch(family); m != nil {
				pairs = append(pairs, labels[i]+`="`+escape.Replace(m[1])+`"`)
				family = strings.Replace(family, m[0], "", 1)
			}
		}
		family = regexp.MustCompile(`[^a-zA-Z0-9_:]`).ReplaceAllString(family, "_")
		kinds[family] = "counter"
		if gauges[name] {
			kinds[family] = "gauge"
		}
		samples[family] = append(samples[family], fmt.Sprintf("%s{%s} %d\n", family, strings.Join(pairs, ","), value))
	}
	var b strings.Builder
	for _, family := range slices.Sorted(maps.Keys(samples)) {
		fmt.Fprintf(&b, "# TYPE %s %s\n", family, kinds[family])
		slices.Sort(samples[family])
		b.WriteString(strings.Join(samples[family], ""))
	}
	return b.String()
}
