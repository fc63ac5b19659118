package generate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"orgate/e2e/scenario"
)

// Check says what is wrong with the outcome of a request, "" for nothing.
func (k *Case) Check(r scenario.Request, got scenario.Outcome) string {
	j := k.Config.judge(r)
	switch {
	case got.Waiting:
		return "waits: nothing has to be waited for"
	case got.Passed && got.Status != 0:
		return "passed and answered"
	case got.Reason == "internal" || !got.Passed && got.Status >= 500 && got.Reason != "introspection_unavailable":
		return fmt.Sprintf("a fault of the filter: %d %s", got.Status, got.Reason)
	case !got.Passed:
		return j.checkRefusal(got)
	}
	headers, problem := j.checkPass(k.Config, got)
	if problem != "" {
		return problem
	}
	return k.Config.checkUpstream(r, got, headers, j.forwards)
}

// checkRefusal says why the request should not have been refused, or not like
// this.
func (j *judgement) checkRefusal(got scenario.Outcome) string {
	fault := got.Reason + " " + strconv.Itoa(got.Status)
	if j.public {
		return "refused, " + fault + ", should pass without a token"
	}
	known := slices.Clone(j.faults)
	passing, proven := 0, false
	for _, c := range j.claimants {
		known = append(append(append(known, c.unproven...), c.hard...), c.soft...)
		proven = proven || len(c.unproven) == 0
		if c.passes() {
			passing++
		}
	}
	switch {
	case passing > 0 && passing == len(j.claimants):
		return "refused, " + fault + ", should pass: " + fmt.Sprint(j.claimants[0])
	case !slices.Contains(known, fault):
		return fmt.Sprintf("refused, %s, should be one of %q", fault, known)
	case len(j.claimants) > 0 && !proven && got.Status != 401:
		return fmt.Sprintf("a token that is not proven is refused with %s", fault)
	}
	return ""
}

// checkPass returns the identity headers that the request must have got, or
// why it should not have passed.
func (j *judgement) checkPass(config *Config, got scenario.Outcome) (map[string]string, string) {
	if got.Reason == "public" {
		if !j.public {
			return nil, "passed without a token"
		}
		return nil, ""
	}
	if j.public || len(j.faults) > 0 {
		return nil, fmt.Sprintf("passed, %s, should have been public (%v) or refused: %q", got.Reason, j.public,
			j.faults)
	}
	problem := ""
	for _, c := range j.claimants {
		want := c.identity(config)
		switch {
		case !c.passes():
			problem += fmt.Sprintf("passed, should be refused by %s: %q %q %q\n", c.issuer.Name, c.unproven, c.hard,
				c.soft)
			continue
		case got.Reason == "ok" && len(c.soft) > 0,
			got.Reason != "ok" && !slices.ContainsFunc(c.soft,
				func(f string) bool { return strings.HasPrefix(f, got.Reason+" ") }):
			problem += fmt.Sprintf("passed, %s, but %s should report %q\n", got.Reason, c.issuer.Name, c.soft)
			continue
		case got.Reason != "ok":
			want["x-orgate-report"] = got.Reason
		}
		if got.Issuer == c.issuer.Name {
			if got.Organization != c.organization {
				return nil, fmt.Sprintf("passed for organization %q, is of %q", got.Organization, c.organization)
			}
			return want, ""
		}
		problem += fmt.Sprintf("passed by %q, not by %s\n", got.Issuer, c.issuer.Name)
	}
	return nil, problem
}

// identity is the identity headers.
func (c *claimant) identity(config *Config) map[string]string {
	want := maps.Clone(c.headers)
	if config.ForwardPayload != "" && c.payload != "" {
		want[strings.ToLower(config.ForwardPayload)] = c.payload
	}
	return want
}

// checkUpstream compares what the upstream sees with what it should.
func (config *Config) checkUpstream(r scenario.Request, got scenario.Outcome, identity map[string]string,
	forwards bool) string {
	identities := map[string]bool{"x-orgate-report": true}
	for _, c := range []*Config{config, {}} { // the default names are no client's, either
		for _, name := range headerNames(c) {
			identities[fold(name)] = true
		}
	}
	identities[fold(config.ForwardPayload)] = true
	for _, i := range config.inUse() {
		for _, m := range i.ClaimMappings {
			identities[fold(m.LocalClaim)] = true
		}
	}
	delete(identities, "")

	s := sources(config)
	want, have := map[string][]string{}, map[string][]string{}
	for name, value := range identity {
		want[name] = []string{value}
	}
	sent := r.Map()
	for _, h := range sent {
		name := strings.ToLower(h[0])
		switch {
		case name == "connection":
			if value := withoutOptions(h[1], identities); value != "" {
				want[name] = append(want[name], value)
			}
		case identities[fold(name)] && name[0] != ':', name == "cookie", name == ":path":
		case forwards || len(s.inHeader(h)) == 0:
			want[name] = append(want[name], h[1])
		default:
			if _, rest := s.split(h); rest != "" {
				want[name] = append(want[name], rest)
			}
		}
	}
	for _, h := range got.Upstream {
		if h[0] == "connection" {
			h[1] = withoutOptions(h[1], nil)
		}
		if h[0] != "cookie" && h[0] != ":path" {
			have[h[0]] = append(have[h[0]], h[1])
		}
	}
	if diff := cmp.Diff(want, have, cmpopts.EquateEmpty()); diff != "" {
		return "headers to the upstream (-want +got):\n" + diff
	}
	if before, after := pathAfter(&s, forwards, sent.Values(":path")[0]),
		got.Upstream.Values(":path"); len(after) != 1 || after[0] != before {
		return fmt.Sprintf("path to the upstream %q, want %q", after, before)
	}
	if before, after := cookiesAfter(&s, forwards, sent),
		s.cookies(got.Upstream); !slices.Equal(before, texts(after)) {
		return fmt.Sprintf("cookies to the upstream %q, want %q", texts(after), before)
	}
	for _, h := range got.Trailers {
		if identities[fold(h[0])] {
			return fmt.Sprintf("trailers to the upstream %q", got.Trailers)
		}
	}
	return ""
}

// withoutOptions is a Connection header without the options that would have an
// identity header dropped.
func withoutOptions(connection string, identities map[string]bool) string {
	var kept []string
	for _, option := range strings.Split(connection, ",") {
		if option = strings.Trim(option, " \t"); !identities[fold(option)] {
			kept = append(kept, option)
		}
	}
	return strings.Join(kept, ",")
}

// pathAfter is the request's target without its tokens, unless they are forwarded.
func pathAfter(s *TokenSources, forwards bool, path string) string {
	if forwards {
		return path
	}
	var kept []string
	removed := false
	for _, p := range s.parameters(path) {
		if removed = removed || len(p.token) > 0; len(p.token) == 0 {
			kept = append(kept, p.text)
		}
	}
	if !removed {
		return path
	}
	before, fragment, hash := strings.Cut(path, "#")
	before, _, _ = strings.Cut(before, "?")
	if len(kept) > 0 {
		before += "?" + strings.Join(kept, "&")
	}
	if hash {
		before += "#" + fragment
	}
	return before
}

// cookiesAfter is the cookies without the tokens, unless they are forwarded.
func cookiesAfter(s *TokenSources, forwards bool, sent scenario.Headers) []string {
	cookies := s.cookies(sent)
	if !forwards {
		cookies = slices.DeleteFunc(cookies, func(p part) bool { return len(p.token) > 0 })
	}
	return texts(cookies)
}

func texts(parts []part) []string {
	var list []string
	for _, p := range parts {
		if p.text != "" {
			list = append(list, p.text)
		}
	}
	return list
}
