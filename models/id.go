package models

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
)

// What callers must tell apart.
var (
	ErrNotFound   = errors.New("no such model")
	ErrExists     = errors.New("another model has that name")
	ErrInUse      = errors.New("model is in use")
	ErrNoPrevious = errors.New("no model was in use before")
	ErrInvalidID  = errors.New("invalid model name")
)

var (
	idGrammar = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9_-])?$`)
	// Windows takes these for devices, whatever follows the dot.
	deviceName = regexp.MustCompile(`^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$`)
)

// ValidID reports whether id can name a model, and with that its folder on any
// system: 1 to 64 lower-case letters, digits, dots, underscores and hyphens, a
// letter or digit first, no dot last.
func ValidID(id string) bool {
	return idGrammar.MatchString(id) && !deviceName.MatchString(id) && id != currentFile
}

// IDFromFile returns an ID made from the name of the file at path; "model" if
// nothing of it can stay.
func IDFromFile(path string) string {
	name := strings.ToLower(filepath.Base(path))
	name = strings.TrimSuffix(name, ".gguf")
	name = regexp.MustCompile(`[^a-z0-9._-]+`).ReplaceAllString(name, "-")
	name = strings.TrimLeft(name, "._-")
	name = strings.TrimRight(name[:min(len(name), 64)], ".-")
	if !ValidID(name) {
		return "model"
	}
	return name
}
