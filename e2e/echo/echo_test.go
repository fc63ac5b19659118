package echo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequestIsDescribed(t *testing.T) {
	s := httptest.NewServer(Handler())
	defer s.Close()
	tests := []struct {
		name    string
		request []string
		want    Answer
	}{
		{
			name: "no body",
			request: []string{"GET /a//b?x=1&x=2 HTTP/1.1", "Host: api.test", "B: 2", "A: 1", "b: 3",
				"Connection: close", "",
				""},
			want: Answer{
				Method: "GET", Path: "/a//b?x=1&x=2", Host: "api.test",
				Headers:    []Header{{"a", "1"}, {"b", "2"}, {"b", "3"}, {"connection", "close"}},
				BodySHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
				Trailers:   []Header{},
			},
		},
		{
			name: "chunked body with a trailer",
			request: []string{"POST / HTTP/1.1", "Host: api.test", "Transfer-Encoding: chunked", "Trailer: Sum",
				"Connection: close", "",
				"3", "abc", "0", "Sum: 7", "", ""},
			want: Answer{
				Method: "POST", Path: "/", Host: "api.test",
				Headers:    []Header{{"connection", "close"}},
				BodyBytes:  3,
				BodySHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
				Trailers:   []Header{{"sum", "7"}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, strings.Join(tt.request, "\r\n")); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			var got Answer
			if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValues(t *testing.T) {
	a := Answer{Headers: []Header{{"a", "1"}, {"b", "2"}, {"b", "3"}}}
	if diff := cmp.Diff([]string{"2", "3"}, a.Values("b")); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestHealth(t *testing.T) {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

func TestStream(t *testing.T) {
	s := httptest.NewServer(Handler())
	defer s.Close()
	body, send := io.Pipe()
	req, err := http.NewRequest("POST", s.URL+"/stream", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"Sum": nil}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	for i := range 3 { // each part comes back before the next is sent
		part := fmt.Sprintf("part %d\n", i)
		if _, err := io.WriteString(send, part); err != nil {
			t.Fatal(err)
		}
		got, err := r.ReadString('\n')
		if err != nil || got != part {
			t.Fatalf("%q, %v, want %q", got, err, part)
		}
	}
	req.Trailer.Set("Sum", "3")
	send.Close()
	if _, err := io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	if got := res.Trailer.Get("Sum"); got != "3" {
		t.Errorf("trailer %q, want 3", got)
	}
}
