package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// printTable prints outcomes in aligned columns.
func printTable(w io.Writer, outcomes []*outcome) {
	rows := [][]string{{"", "request", "path", "expected", "came back", "upstream saw"}}
	for _, o := range outcomes {
		rows = append(rows, o.row())
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		_, _ = fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

func (o *outcome) row() []string {
	mark := "✓"
	if !o.right() {
		mark = "✗"
	}
	row := []string{mark, o.name, o.path, verdict(o.status, o.code), "", ""}
	if o.header[0] != "" {
		row[1] += " (" + strings.ToLower(o.header[0]) + ": " + o.header[1] + ")"
	}
	if o.err != nil {
		row[4] = o.err.Error()
		return row
	}
	row[4] = verdict(o.gotStatus, o.gotCode)
	if o.gotIdentity != nil {
		row[5] = identity(o.gotIdentity)
	}
	if len(o.wrongHeaders) > 0 {
		slices.Sort(o.wrongHeaders)
		row[5] += "  ✗ " + strings.Join(o.wrongHeaders, ", ") + "; expected " + identity(o.identity)
	}
	return row
}

func verdict(status int, code string) string {
	return strings.TrimSpace(fmt.Sprint(status, " ", code))
}

// identity writes headers in a stable order, without the common prefix.
func identity(headers map[string]string) string {
	if len(headers) == 0 {
		return "nobody"
	}
	order := []string{"x-wso2-organization", "x-wso2-username", "x-wso2-consumer-key", "x-wso2-scopes", "x-wso2-roles"}
	for name := range headers {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	slices.Sort(order[5:])
	var parts []string
	for _, name := range order {
		if value, ok := headers[name]; ok {
			if name == "authorization" {
				value = "(a token)"
			}
			parts = append(parts, strings.TrimPrefix(name, "x-wso2-")+"="+value)
		}
	}
	return strings.Join(parts, " ")
}
