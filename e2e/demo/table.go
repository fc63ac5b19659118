package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// printTable prints outcomes in aligned columns. Of what the upstream saw it
// prints the organization and the username; all of it is compared.
func printTable(w io.Writer, outcomes []*outcome) {
	rows := [][]string{{"", "request", "path", "response", "upstream saw"}}
	for _, o := range outcomes {
		rows = append(rows, o.row())
	}
	var aligned strings.Builder
	table := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		_, _ = fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	_ = table.Flush()
	for line := range strings.Lines(aligned.String()) {
		_, _ = fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

func (o *outcome) row() []string {
	row := []string{"✓", o.name, o.path, verdict(o.gotStatus, o.gotCode), ""}
	switch {
	case o.err != nil:
		row[3] = o.err.Error()
	case o.gotIdentity != nil && len(o.gotIdentity) == 0:
		row[4] = "nobody"
	case o.gotIdentity != nil:
		row[4] = o.gotIdentity["x-wso2-organization"] + " " + o.gotIdentity["x-wso2-username"]
	}
	if !o.right() {
		row[0] = "✗"
		row[3] += ", not " + verdict(o.status, o.code)
		if len(o.wrongHeaders) > 0 {
			row[4] += "; wrong: " + strings.Join(slices.Sorted(maps.Keys(o.wrongHeaders)), ", ")
		}
	}
	return row
}

func verdict(status int, code string) string {
	return strings.TrimSpace(fmt.Sprint(status, " ", code))
}
