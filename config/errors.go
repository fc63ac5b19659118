package config

import (
	"strconv"
	"strings"
)

// Error is one mistake in a configuration document.
type Error struct {
	// Path is the field, such as "issuers[1].signatureValidation.jwks.url";
	// "" for the document as a whole.
	Path string
	// Message says what is wrong. It never holds more than the beginning of a
	// value, and nothing of a key.
	Message string
	// Line and Column, counted from 1 and in characters, say where the value
	// begins, or, if it is missing, what should have held it.
	Line, Column int
}

// Error returns the path and the message, or, without a path, the message and
// where in the document it applies.
func (e Error) Error() string {
	if e.Path != "" {
		return e.Path + ": " + e.Message
	}
	if e.Line == 0 {
		return e.Message
	}
	return "line " + strconv.Itoa(e.Line) + ", column " + strconv.Itoa(e.Column) + ": " + e.Message
}

// ErrorList is every mistake in a document, in the document's order.
type ErrorList []Error

// Error returns the mistakes, one to a line.
func (l ErrorList) Error() string {
	var b strings.Builder
	for i, e := range l {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}
