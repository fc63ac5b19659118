// Package page reads the fenced blocks of the documentation, for what tries
// its examples. It knows as much of Markdown as the pages use: fences of three
// backticks that begin a line.
package page

import (
	"fmt"
	"os"
	"strings"
)

// Block is a fenced block.
type Block struct {
	// Info is what follows the fence, such as "json configuration".
	Info string
	// Text is the block's lines, without the last one's end.
	Text string
	// Line is the first line of the text, from 1.
	Line int
}

// Read returns the blocks of a file in their order.
func Read(file string) ([]Block, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	blocks, err := Blocks(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return blocks, nil
}

// Blocks returns the blocks of a page in their order. A block that does not end
// is an error.
func Blocks(text string) ([]Block, error) {
	const fence = "```"
	var blocks []Block
	var open *Block
	var lines []string
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		switch {
		case open == nil && strings.HasPrefix(line, fence):
			open, lines = &Block{Info: strings.TrimPrefix(line, fence), Line: number + 1}, nil
		case open != nil && line == fence:
			open.Text = strings.Join(lines, "\n")
			blocks, open = append(blocks, *open), nil
		case open != nil:
			lines = append(lines, line)
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: a block does not end", open.Line-1)
	}
	return blocks, nil
}

// Texts returns the texts of the blocks with the info.
func Texts(blocks []Block, info string) []string {
	var texts []string
	for _, b := range blocks {
		if b.Info == info {
			texts = append(texts, b.Text)
		}
	}
	return texts
}

// Commands returns the command lines of a block of shell: continued lines are
// joined, comments left out.
func (b Block) Commands() []string {
	var commands []string
	continued := ""
	for line := range strings.SplitSeq(b.Text, "\n") {
		line = strings.TrimSpace(line)
		if head, ok := strings.CutSuffix(line, `\`); ok {
			continued += head
			continue
		}
		line, continued = continued+line, ""
		if line != "" && !strings.HasPrefix(line, "#") {
			commands = append(commands, line)
		}
	}
	return commands
}

// Request is a request as the guides write it: a method and a path, then header
// lines. The host stands among them.
type Request struct {
	Method, Path, Host string
	Headers            [][2]string
}

// ParseRequest reads a block of a request.
func ParseRequest(text string) Request {
	var r Request
	first, rest, _ := strings.Cut(text, "\n")
	r.Method, r.Path, _ = strings.Cut(first, " ")
	for line := range strings.Lines(rest) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if name == "host" {
			r.Host = value
		} else {
			r.Headers = append(r.Headers, [2]string{name, value})
		}
	}
	return r
}
