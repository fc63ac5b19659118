package envoy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// metricNamespace is what Envoy puts before the names of a plugin's metrics,
// and takes away again for Prometheus.
const metricNamespace = "wasmcustom."

// StatsTags takes tags out of the names of metrics by the rules in a
// bootstrap's stats_config.
type StatsTags []statsTag

type statsTag struct {
	name  string
	regex *regexp.Regexp
}

// StatsTags returns the bootstrap's own rules; Envoy's defaults are for its own
// metrics.
//
// Envoy compiles them for std::regex (ECMAScript). Those that are read the same
// way by RE2 are accepted here.
func (b *Bootstrap) StatsTags() (StatsTags, error) {
	var tags StatsTags
	for i, rule := range b.proto.GetStatsConfig().GetStatsTags() {
		regex, err := regexp.Compile(rule.GetRegex())
		if err != nil {
			return nil, fmt.Errorf("stats_config.stats_tags[%d].regex: %w", i, err)
		}
		if regex.NumSubexp() < 1 {
			return nil, fmt.Errorf("stats_config.stats_tags[%d].regex: no group to remove", i)
		}
		tags = append(tags, statsTag{rule.GetTagName(), regex})
	}
	return tags, nil
}

// Prometheus returns what /stats/prometheus makes of the plugin's metric name:
// the family and the labels. Every rule is tried on the whole name; its first
// group is cut out and its second, or for want of one the first, is the value.
// What is left is the family, with anything but letters, digits and "_"
// replaced by "_".
func (t StatsTags) Prometheus(name string) (family string, labels map[string]string) {
	name = metricNamespace + name
	labels = map[string]string{}
	var cuts [][2]int
	for _, tag := range t {
		groups := tag.regex.FindStringSubmatchIndex(name)
		if groups == nil {
			continue
		}
		value := groups[2:4]
		if len(groups) >= 6 {
			value = groups[4:6]
		}
		labels[tag.name] = name[value[0]:value[1]]
		cuts = append(cuts, [2]int{groups[2], groups[3]})
	}
	slices.SortFunc(cuts, func(a, b [2]int) int { return a[0] - b[0] })
	var rest strings.Builder
	from := 0
	for _, cut := range cuts {
		if cut[0] > from {
			rest.WriteString(name[from:cut[0]])
		}
		from = max(from, cut[1])
	}
	rest.WriteString(name[from:])
	return unfit.ReplaceAllString(strings.TrimPrefix(rest.String(), metricNamespace), "_"), labels
}

var unfit = regexp.MustCompile(`[^a-zA-Z0-9_]`)
