package gateway

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"

	"github.com/coder/websocket"

	"github.com/halite-run/halite/imc"
)

// Script is imc.js, the side of a page in a browser: an ES module.
//
//go:embed imc.js
var Script []byte

// A Handler serves sessions.
type Handler struct {
	// Root gives a client its capability, which the session closes; an error refuses it
	// with 403. This is the place to look who it is.
	Root func(*http.Request) (*imc.ConnectEndpoint, error)
	// Origins are patterns of host names whose pages may connect, besides the host of the
	// server itself; as in websocket.AcceptOptions.
	Origins []string
	Limits  Limits
	Log     *slog.Logger // told of sessions that end with an error; may be nil
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	root, err := h.Root(r)
	if err != nil {
		http.Error(w, "refused", http.StatusForbidden)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: h.Origins})
	if err != nil {
		_ = root.Close() // Accept has answered
		return
	}
	s := newSession(ws, true, root, h.Limits)
	select {
	case <-s.Done():
	case <-r.Context().Done():
		_ = s.Close()
	}
	if err := s.Err(); err != nil && h.Log != nil {
		h.Log.Warn("a session ended", "remote", r.RemoteAddr, "error", err)
	}
}

// Dial makes a session with a gateway; url begins with ws: or wss:.
func Dial(ctx context.Context, url string, limits Limits) (*Session, error) {
	ws, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	return newSession(ws, false, nil, limits), nil
}
