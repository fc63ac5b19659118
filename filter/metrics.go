package filter

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// Metric families.
const (
	familyRequests = "orgate_requests"         // counter by rule, issuer, reason
	familyFetches  = "orgate_jwks_fetches"     // counter by issuer, result
	familyAnswers  = "orgate_introspections"   // counter by issuer, result
	familyCache    = "orgate_token_cache"      // counter by result
	familyKeys     = "orgate_jwks_keys"        // gauge by issuer
	familyAge      = "orgate_jwks_age_seconds" // gauge by issuer
)

// labelNone stands for no rule and for no issuer.
const labelNone = "none"

// metrics defines each metric when it is first used and remembers its id.
// Their number is bounded by the configuration: labels are names of rules and
// issuers, and reasons and results from fixed lists.
type metrics struct {
	counters map[string]proxywasm.MetricCounter
	gauges   map[string]proxywasm.MetricHistogram
	requests map[requestLabels]proxywasm.MetricCounter
}

// requestLabels are the labels of [familyRequests]. It is comparable, so that
// counting a request builds no string.
type requestLabels struct {
	rule, issuer, reason string
}

func newMetrics() *metrics {
	return &metrics{
		counters: map[string]proxywasm.MetricCounter{},
		gauges:   map[string]proxywasm.MetricHistogram{},
		requests: map[requestLabels]proxywasm.MetricCounter{},
	}
}

// request counts a request. Like everything here it panics if the proxy
// refuses the call.
func (m *metrics) request(l requestLabels) {
	counter, ok := m.requests[l]
	if !ok {
		counter = proxywasm.DefineCounterMetric(MetricName(familyRequests,
			"rule", l.rule, "issuer", l.issuer, "reason", l.reason))
		m.requests[l] = counter
	}
	counter.Increment(1)
}

// fetch counts the end of a fetch of an issuer's keys.
func (m *metrics) fetch(issuer, result string) {
	m.count(MetricName(familyFetches, "issuer", issuer, "result", result), 1)
}

// introspection counts the end of a request to an issuer about a token.
func (m *metrics) introspection(issuer, result string) {
	m.count(MetricName(familyAnswers, "issuer", issuer, "result", result), 1)
}

// cached counts how many tokens were seen before, and how many were not.
func (m *metrics) cached(hits, misses uint64) {
	m.count(MetricName(familyCache, "result", "hit"), hits)
	m.count(MetricName(familyCache, "result", "miss"), misses)
}

// count adds to a counter. Proxies refuse to add nothing.
func (m *metrics) count(name string, n uint64) {
	if n == 0 {
		return
	}
	counter, ok := m.counters[name]
	if !ok {
		counter = proxywasm.DefineCounterMetric(name)
		m.counters[name] = counter
	}
	counter.Increment(n)
}

// gauge sets a gauge of an issuer.
func (m *metrics) gauge(family, issuer string, value uint64) {
	name := MetricName(family, "issuer", issuer)
	gauge, ok := m.gauges[name]
	if !ok {
		gauge = m.defineGauge(family, issuer)
		m.gauges[name] = gauge
	}
	gauge.Record(value)
}

// defineGauge defines a gauge of an issuer. The SDK can add to a gauge but not set
// it. It can record a histogram, which is the same host call on the same kind of id.
func (m *metrics) defineGauge(family, issuer string) proxywasm.MetricHistogram {
	return proxywasm.MetricHistogram(proxywasm.DefineGaugeMetric(MetricName(family, "issuer", issuer)))
}

// MetricName encodes a metric family and its labels, given as name and value
// in turn, in a metric name, from which the proxy's stats_tags take the labels
// out again: "familyname=.=value;.;…". This is the form that Istio's proxies
// decode when the labels are named in the annotation
// sidecar.istio.io/extraStatTags.
//
// Bytes of a value that are not letters, digits, "_", "-" or "/" are written
// as "%" and two hexadecimal digits; an empty value is a single "%".
func MetricName(family string, labels ...string) string {
	var b strings.Builder
	b.WriteString(family)
	for i := 0; i+1 < len(labels); i += 2 {
		b.WriteString(labels[i])
		b.WriteString("=.=")
		writeLabel(&b, labels[i+1])
		b.WriteString(";.;")
	}
	return b.String()
}

func writeLabel(b *strings.Builder, value string) {
	const hex = "0123456789ABCDEF"
	if value == "" {
		b.WriteByte('%')
	}
	for i := 0; i < len(value); i++ {
		c := value[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '/' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}
