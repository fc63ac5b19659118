// Package generate makes up configurations, requests and tokens, and judges them
// itself. Tests feed it bytes, from a fuzzer or at random, and compare the
// filter's verdict with that of [Case.Check].
//
// The judge is written from the reference documentation alone, naively, one rule
// after the other. It uses encoding/json and go-jose, while the filter reads and
// verifies by itself. It knows nothing of the packages that it judges.
package generate

import (
	"encoding/json"

	"orgate/e2e/scenario"
)

// Case is a configuration and what is sent to it, one request after the other.
type Case struct {
	Config   *Config
	Requests []scenario.Request
}

// New makes a case of data. The same data make the same case, but for the keys,
// which are made once per process. Where the data end, what is usual is chosen.
func New(data []byte) *Case {
	c := choices{data}
	config := c.config()
	k := &Case{Config: config}
	for range 1 + c.n(4) {
		k.Requests = append(k.Requests, c.request(config))
	}
	return k
}

// Document is the configuration as JSON. With uncached, no token is remembered.
func (k *Case) Document(uncached bool) string {
	config := *k.Config
	if uncached {
		limits := Limits{CachedTokens: new(int)}
		if config.Limits != nil {
			limits.TokenBytes = config.Limits.TokenBytes
		}
		config.Limits = &limits
	}
	document, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return string(document)
}

// choices makes decisions by bytes. A byte of 0, and no byte, is for what is
// usual.
type choices struct{ data []byte }

func (c *choices) byte() byte {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return b
}

// n is a number from 0 to n-1.
func (c *choices) n(n int) int { return int(c.byte()) % n }

// chance is true once in n times.
func (c *choices) chance(n int) bool { return c.n(n) == n-1 }

func pick[T any](c *choices, from ...T) T { return from[c.n(len(from))] }

// some is a part of the list, in order, at least so many.
func some[T any](c *choices, least int, from ...T) []T {
	var part []T
	for i, v := range from {
		if len(from)-i <= least-len(part) || c.n(2) == 1 {
			part = append(part, v)
		}
	}
	return part
}
