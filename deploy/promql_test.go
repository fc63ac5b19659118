package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// This is as much of PromQL as alerts and panels here are written in. A real
// parser brings a hundred modules with it. What it does not know is an error.

// selector is what a query reads: a metric, the labels that it is matched on or
// grouped by, and the values that are matched.
type selector struct {
	metric string
	labels []string
	values map[string][]string
}

var queryToken = regexp.MustCompile(`^\s*(?:([a-zA-Z_][a-zA-Z0-9_]*)|("(?:[^"\\]|\\.)*")|(\d+[smhd]\b|\d+(?:\.\d+)?)|(=~|!~|!=|==|>=|<=|[-+*/(){}\[\],=<>]))`)

type query struct {
	tokens    []string
	selectors []*selector
}

// parseQuery reads an expression. Grafana's variables for durations and labels
// count as such.
func parseQuery(text string) (_ []*selector, err error) {
	q := new(query)
	for rest := strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h", "$issuer",
		".*").Replace(text); strings.TrimSpace(rest) != ""; {
		if m := regexp.MustCompile(`^\[(\d+[smhd])\]`).FindString(rest); m != "" {
			q.tokens, rest = append(q.tokens, m), rest[len(m):]
			continue
		}
		m := queryToken.FindString(rest)
		if m == "" {
			return nil, fmt.Errorf("unexpected %q", rest)
		}
		q.tokens, rest = append(q.tokens, strings.TrimSpace(m)), rest[len(m):]
	}
	defer func() {
		if problem, ok := recover().(syntaxError); ok {
			err = problem
		}
	}()
	q.expression(0)
	if len(q.tokens) > 0 {
		q.fail()
	}
	return q.selectors, nil
}

type syntaxError string

func (e syntaxError) Error() string { return string(e) }

func (q *query) fail() { panic(syntaxError("unexpected " + q.peek())) }

func (q *query) peek() string {
	if len(q.tokens) == 0 {
		return "end"
	}
	return q.tokens[0]
}

func (q *query) next() string {
	if len(q.tokens) == 0 {
		q.fail()
	}
	t := q.tokens[0]
	q.tokens = q.tokens[1:]
	return t
}

func (q *query) expect(token string) {
	if q.peek() != token {
		q.fail()
	}
	q.next()
}

// precedence of the binary operators.
var precedence = map[string]int{
	"or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, ">": 3, "<": 3, ">=": 3, "<=": 3, "+": 4, "-": 4, "*": 5, "/": 5,
}

func (q *query) expression(above int) {
	q.operand()
	for {
		p := precedence[q.peek()]
		if p == 0 || p <= above {
			return
		}
		q.next()
		q.expression(p)
	}
}

var (
	functions    = []string{"rate", "increase"}
	aggregations = []string{"sum", "max", "min"}
	word         = regexp.MustCompile(`^[a-zA-Z_]`)
	number       = regexp.MustCompile(`^[\d.]+$`)
	duration     = regexp.MustCompile(`^\d+[smhd]$`)
)

func (q *query) operand() {
	t := q.next()
	switch {
	case t == "(":
		q.expression(0)
		q.expect(")")
	case number.MatchString(t):
	case slices.Contains(functions, t):
		q.expect("(")
		q.metric(q.next())
		if !strings.HasPrefix(q.next(), "[") {
			q.fail() // a counter needs a range
		}
		q.expect(")")
	case t == "absent":
		q.expect("(")
		q.metric(q.next())
		q.expect(")")
	case slices.Contains(aggregations, t):
		before := len(q.selectors)
		var labels []string
		if q.peek() == "by" {
			q.next()
			q.expect("(")
			for labels = append(labels, q.next()); q.peek() == ","; labels = append(labels, q.next()) {
				q.next()
			}
			q.expect(")")
		}
		q.expect("(")
		q.expression(0)
		q.expect(")")
		for _, s := range q.selectors[before:] {
			s.labels = append(s.labels, labels...)
		}
	case word.MatchString(t):
		q.metric(t)
		if q.peek() == "offset" {
			q.next()
			if !duration.MatchString(q.next()) {
				q.fail()
			}
		}
	default:
		panic(syntaxError("unexpected " + t))
	}
}

func (q *query) metric(name string) {
	if !word.MatchString(name) {
		panic(syntaxError("unexpected " + name))
	}
	s := &selector{metric: name, values: map[string][]string{}}
	q.selectors = append(q.selectors, s)
	if q.peek() != "{" {
		return
	}
	q.next()
	for {
		label, operator, value := q.next(), q.next(), q.next()
		if !word.MatchString(label) || !slices.Contains([]string{"=", "!=", "=~", "!~"}, operator) || value[0] != '"' {
			panic(syntaxError("unexpected " + label + operator + value))
		}
		s.labels = append(s.labels, label)
		s.values[label] = append(s.values[label], strings.Split(value[1:len(value)-1], "|")...)
		if q.peek() != "," {
			break
		}
		q.next()
	}
	q.expect("}")
}

func TestQueriesThatDoNotParse(t *testing.T) {
	for _, text := range []string{
		"", "sum(", "sum by issuer (a)", "rate(a)", "rate(a[5x])", `a{b="c"`, `a{b~"c"}`, "a +", "a b", "a{b=c}",
		"1 > > 2", "1m", "a offset 1", "absent(a[5m])", "median(a)", "a[5m]", "a'b",
	} {
		if _, err := parseQuery(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
