package deploy

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain is the tests, or one of the programs that try.sh runs and that not
// every machine has.
func TestMain(m *testing.M) {
	program := map[string]func([]string) error{
		"curl":    curl,
		"openssl": openssl,
		"sleep":   func([]string) error { return nil },
	}[filepath.Base(os.Args[0])]
	if program == nil {
		os.Exit(m.Run())
	}
	if err := program(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
	os.Exit(0)
}

// shims makes a folder with these programs.
func shims(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"curl", "openssl", "sleep"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// curl does what try.sh asks of curl.
func curl(args []string) error {
	method, location, output, format := http.MethodGet, "", "", ""
	var body io.Reader
	header := http.Header{}
	for len(args) > 0 {
		option := args[0]
		args = args[1:]
		value := func() string {
			v := args[0]
			args = args[1:]
			return v
		}
		switch option {
		case "-sS", "--path-as-is":
		case "--data":
			method, body = http.MethodPost, strings.NewReader(value())
			header.Set("Content-Type", "application/x-www-form-urlencoded")
		case "--config":
			if v := value(); v != "-" {
				return fmt.Errorf("--config %s", v)
			}
			if err := readHeaders(header); err != nil {
				return err
			}
		case "-o":
			output = value()
		case "-w":
			format = value()
		default:
			if strings.HasPrefix(option, "-") || location != "" {
				return fmt.Errorf("unexpected %q", option)
			}
			location = option
		}
	}
	req, err := http.NewRequest(method, location, body)
	if err != nil {
		return err
	}
	req.Header = header
	res, err := new(http.Client).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if output == "" {
		_, err = os.Stdout.Write(content)
	} else {
		err = os.WriteFile(output, content, 0o600)
	}
	fmt.Print(strings.ReplaceAll(format, "%{http_code}", fmt.Sprint(res.StatusCode)))
	return err
}

// readHeaders reads lines of the form: header = "Name: value".
func readHeaders(into http.Header) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), `header = "`)
		name, value, colon := strings.Cut(strings.TrimSuffix(text, `"`), ": ")
		if !ok || !colon || strings.Contains(value, `"`) {
			return fmt.Errorf("no header: %s", lines.Text())
		}
		into.Add(name, value)
	}
	return lines.Err()
}

// openssl does what try.sh asks of openssl.
func openssl(args []string) error {
	command := strings.Join(args, " ")
	switch {
	case command == "base64 -A":
		return filter(func(in []byte) ([]byte, error) { return []byte(base64.StdEncoding.EncodeToString(in)), nil })
	case command == "base64 -d -A":
		return filter(func(in []byte) ([]byte, error) { return base64.StdEncoding.DecodeString(string(in)) })
	case len(args) == 4 && args[0] == "genrsa" && args[1] == "-out" && args[3] == "2048":
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		block := pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
		return os.WriteFile(args[2], pem.EncodeToMemory(&block), 0o600)
	case len(args) == 5 && strings.HasPrefix(command, "dgst -sha256 -hmac ") && args[4] == "-binary":
		return filter(func(in []byte) ([]byte, error) {
			mac := hmac.New(sha256.New, []byte(args[3]))
			mac.Write(in)
			return mac.Sum(nil), nil
		})
	case len(args) == 5 && strings.HasPrefix(command, "dgst -sha256 -sign ") && args[4] == "-binary":
		return filter(func(in []byte) ([]byte, error) {
			text, err := os.ReadFile(args[3])
			if err != nil {
				return nil, err
			}
			block, _ := pem.Decode(text)
			if block == nil {
				return nil, errors.New("no PEM")
			}
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			sum := sha256.Sum256(in)
			return rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		})
	}
	return fmt.Errorf("unexpected %q", command)
}

// filter passes standard input through f to standard output.
func filter(f func([]byte) ([]byte, error)) error {
	in, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	out, err := f(bytes.TrimSuffix(in, []byte("\n")))
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(out)
	return err
}
