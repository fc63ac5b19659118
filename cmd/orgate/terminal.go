package main

import (
	"io"
	"os"
)

// palette colours text for a terminal. The zero value leaves it as it is.
type palette struct{ on bool }

// paletteOf colours what goes to a terminal, unless the environment has
// NO_COLOR (https://no-color.org) or the terminal is "dumb".
func paletteOf(w io.Writer) palette {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return palette{}
	}
	info, err := file.Stat()
	return palette{err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p palette) red(s string) string    { return p.paint("31;1", s) }
func (p palette) yellow(s string) string { return p.paint("33", s) }
func (p palette) green(s string) string  { return p.paint("32", s) }
func (p palette) bold(s string) string   { return p.paint("1", s) }

func (p palette) paint(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
