package filter

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"orgate/gate"
)

// version is the plugin's version. "make build" sets it.
var version = "dev"

// Metric families.
const (
	familyRequests = "orgate_requests"         // counter by rule, issuer, reason
	familyFetches  = "orgate_jwks_fetches"     // counter by issuer, result
	familyAnswers  = "orgate_introspections"   // counter by issuer, result
	familyCache    = "orgate_token_cache"      // counter by result
	familyLeftOut  = "orgate_headers_left_out" // counter by issuer
	familyKeys     = "orgate_jwks_keys"        // gauge by issuer
	familyAge      = "orgate_jwks_age_seconds" // gauge by issuer
	familyBuild    = "orgate_build"            // counter by version
)

// labelNone stands for no rule and for no issuer.
const labelNone = "none"

// metrics defines each metric when it is first used and remembers its id.
// Their number is bounded by the configuration: labels are names of rules and
// issuers, and reasons and results from fixed lists.
type metrics struct {
	counters map[labels]proxywasm.MetricCounter
}

// labels are a family and the values of its labels. They are comparable, so that
// counting builds no string.
type labels struct {
	family, rule, issuer, result string
}

// faults are the labels of all faults, so that they are one counter.
var faults = labels{familyRequests, labelNone, labelNone, gate.ReasonFault}

func newMetrics() *metrics { return &metrics{counters: map[labels]proxywasm.MetricCounter{}} }

// begin makes the counters that alerts are about: of the plugin itself, which
// counts how often it was configured, and of faults, which is there at 0. An
// increase from nothing to 1 is none.
func (m *metrics) begin() {
	m.count(labels{family: familyBuild, result: version}, 1)
	m.define(faults)
}

// request counts a request. Like everything here it panics if the proxy
// refuses the call.
func (m *metrics) request(rule, issuer, reason string) {
	l := labels{familyRequests, rule, issuer, reason}
	if reason == gate.ReasonFault {
		l = faults
	}
	m.count(l, 1)
}

// headersLeftOut counts identity headers that could not be written.
func (m *metrics) headersLeftOut(issuer string, n int) {
	m.count(labels{family: familyLeftOut, issuer: issuer}, uint64(n))
}

// fetch counts the end of a fetch of an issuer's keys.
func (m *metrics) fetch(issuer, result string) {
	m.count(labels{family: familyFetches, issuer: issuer, result: result}, 1)
}

// introspection counts the end of a request to an issuer about a token.
func (m *metrics) introspection(issuer, result string) {
	m.count(labels{family: familyAnswers, issuer: issuer, result: result}, 1)
}

// cached counts how many tokens were seen before, and how many were not.
func (m *metrics) cached(hits, misses uint64) {
	m.count(labels{family: familyCache, result: "hit"}, hits)
	m.count(labels{family: familyCache, result: "miss"}, misses)
}

// count adds to a counter. Proxies refuse to add nothing.
func (m *metrics) count(l labels, n uint64) {
	if n == 0 {
		return
	}
	counter, ok := m.counters[l]
	if !ok {
		counter = m.define(l)
	}
	counter.Increment(n)
}

func (m *metrics) define(l labels) proxywasm.MetricCounter {
	counter := proxywasm.DefineCounterMetric(l.name())
	m.counters[l] = counter
	return counter
}

// name is the counter's.
func (l labels) name() string {
	switch l.family {
	case familyRequests:
		return MetricName(l.family, "rule", l.rule, "issuer", l.issuer, "reason", l.result)
	case familyBuild:
		return MetricName(l.family, "version", l.result)
	case familyLeftOut:
		return MetricName(l.family, "issuer", l.issuer)
	case familyFetches, familyAnswers:
		return MetricName(l.family, "issuer", l.issuer, "result", l.result)
	default:
		return MetricName(l.family, "result", l.result)
	}
}

// gauges are those of the keys of one issuer.
type gauges struct{ keys, age gauge }

// gauge is defined when it is first set: one that is 0 says something.
type gauge struct {
	id      proxywasm.MetricHistogram
	defined bool
}

// set sets the gauge. The SDK can add to a gauge but not set it. It can record a
// histogram, which is the same host call on the same kind of id.
func (g *gauge) set(family, issuer string, value uint64) {
	if !g.defined {
		name := MetricName(family, "issuer", issuer)
		*g = gauge{proxywasm.MetricHistogram(proxywasm.DefineGaugeMetric(name)), true}
	}
	g.id.Record(value)
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
