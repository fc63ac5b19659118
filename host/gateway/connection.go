package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
)

// What is no request, or none that the server understands, it answers without a
// handler (400, 417, 431, 501, 505). The connection sees that, and logs it.

// listener accepts connections that log.
type listener struct {
	net.Listener
	log *slog.Logger
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c, log: l.log}, nil
}

type connection struct {
	net.Conn
	log      *slog.Logger
	handling atomic.Bool // a handler has the request
}

// Write logs what the server answers by itself, which it writes at once.
func (c *connection) Write(b []byte) (int, error) {
	if rest, ok := bytes.CutPrefix(b, []byte("HTTP/1.1 ")); ok && len(rest) > 4 && !c.handling.Load() {
		line, _, _ := bytes.Cut(rest, []byte("\r\n"))
		c.log.Info("request", "status", string(line[:3]), "refused", string(line[4:]))
	}
	return c.Conn.Write(b)
}

// CloseWrite has the server wait until the client has read the answer.
func (c *connection) CloseWrite() error {
	if tcp, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return tcp.CloseWrite()
	}
	return nil
}

type connectionKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// connectionState notes that the handler's response was written.
func connectionState(c net.Conn, state http.ConnState) {
	if c, ok := c.(*connection); ok && state == http.StateIdle {
		c.handling.Store(false)
	}
}
