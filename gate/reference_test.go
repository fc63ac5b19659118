package gate

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReferenceHasEveryRefusal holds the reference page against the table of
// refusals, row by row, and its list of reasons against what is counted.
func TestReferenceHasEveryRefusal(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	reasons := map[string]bool{reasonOK: true, reasonPublic: true}
	descriptions := map[string]bool{}
	for i := range refusals {
		a := &refusals[i]
		reasons[a.reason] = true
		descriptions[fmt.Sprintf("| `%s` | %d | %s |", a.reason, a.status, a.description)] = true
		code := a.code
		if code == "" {
			code = "–"
		}
		if row := fmt.Sprintf(" | %d | %s | %s |\n", a.status, code, a.message); !strings.Contains(page, row) {
			t.Errorf("%v: no row %q", a.err, row)
		}
	}
	described := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `\\w+` \\| \\d+ \\| .* \\|$").FindAllString(page, -1) {
		described[row] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(descriptions)), slices.Sorted(maps.Keys(described))); diff != "" {
		t.Errorf("descriptions (-refusals +page):\n%s", diff)
	}
	_, rest, _ := strings.Cut(page, "`reason` is one of ")
	list, _, _ := strings.Cut(rest, ".")
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(list, -1) {
		listed[m[1]] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(reasons)), slices.Sorted(maps.Keys(listed))); diff != "" {
		t.Errorf("reasons (-counted +page):\n%s", diff)
	}
}
