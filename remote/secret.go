package remote

import (
	"fmt"
	"log/slog"
)

// Secret yields a key when it is to be sent. It is a function since fmt prints the
// strings that it finds in unexported fields without asking their methods, and of
// a function it finds an address only.
type Secret func() string

// NewSecret returns a Secret that holds key.
func NewSecret(key string) Secret { return func() string { return key } }

const redacted = "[redacted]"

// Reveal returns the key; "" of a nil Secret. Only what sends it may call this.
func (s Secret) Reveal() string {
	if s == nil {
		return ""
	}
	return s()
}

// String implements fmt.Stringer without the key.
func (Secret) String() string { return redacted }

// Format implements fmt.Formatter, so that no verb shows more than String.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText implements encoding.TextMarshaler without the key.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer without the key.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
