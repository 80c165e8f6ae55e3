package ollamatest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	manifestType = "application/vnd.docker.distribution.manifest.v2+json"
	configType   = "application/vnd.docker.container.image.v1+json"
	layerType    = "application/vnd.ollama.image."
)

// Registry is where a real server can pull models from without leaving this
// machine. As at the registry of Ollama's own, manifests come over TLS and whoever
// wants a blob is sent to another host, which gives out ranges of it.
type Registry struct {
	host    string // of names and manifests
	storage string // the URL of the other host
	dir     string

	mu        sync.Mutex
	manifests map[string][]byte // by the path of their URL
	blobs     map[string]string // paths of files by digest
	asked     []string
	disturb   Disturbance
}

// Disturbance stands between a blob and the server that fetches it.
type Disturbance func(http.ResponseWriter, *http.Request) http.ResponseWriter

// NewRegistry returns an empty registry, which ends with the test. It comes before
// the server, whose settings need the one of Setting.
func NewRegistry(t testing.TB) *Registry {
	t.Helper()
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		t.Skip("the server would not trust the registry: SSL_CERT_FILE has no effect on " + runtime.GOOS)
	}
	r := &Registry{dir: t.TempDir(), manifests: map[string][]byte{}, blobs: map[string]string{}}
	storage := httptest.NewServer(http.HandlerFunc(r.serveBlob))
	t.Cleanup(storage.Close)
	// The server follows no redirect to the name that it asked, so it is another name.
	r.storage = strings.Replace(storage.URL, "127.0.0.1", "localhost", 1)
	front := httptest.NewTLSServer(http.HandlerFunc(r.serve))
	t.Cleanup(front.Close)
	r.host = strings.TrimPrefix(front.URL, "https://")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	if err := os.WriteFile(r.certificate(), cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Registry) certificate() string { return filepath.Join(r.dir, "registry.pem") }

// Setting makes a server trust the registry: see Start.
func (r *Registry) Setting() string { return "SSL_CERT_FILE=" + r.certificate() }

// Name returns the full name of a model here, whether there is one or not.
func (r *Registry) Name(model string) string { return r.host + "/library/" + model + ":latest" }

// Offer puts a model into the registry: the weights at path, and texts by their
// kind ("template", "params"). It returns the digest of the weights.
func (r *Registry) Offer(t testing.TB, model, path string, texts map[string]string) (digest string) {
	t.Helper()
	weights := r.layer(t, layerType+"model", path)
	layers := []layer{weights}
	for _, kind := range slices.Sorted(maps.Keys(texts)) {
		layers = append(layers, r.text(t, layerType+kind, texts[kind]))
	}
	config := r.text(t, configType, `{"model_format":"gguf","model_family":"llama","model_families":["llama"],"architecture":"amd64","os":"linux"}`)
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": layers})
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifests["/v2/library/"+model+"/manifests/latest"] = raw
	return weights.Digest
}

// layer is what a manifest says of a blob.
type layer struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

func (r *Registry) text(t testing.TB, mediaType, text string) layer {
	t.Helper()
	f, err := os.CreateTemp(r.dir, "layer")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return r.layer(t, mediaType, f.Name())
}

func (r *Registry) layer(t testing.TB, mediaType, path string) layer {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		t.Fatal(err)
	}
	l := layer{mediaType, "sha256:" + hex.EncodeToString(hash.Sum(nil)), size}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[l.Digest] = path
	return l
}

// Withdraw takes a blob away, though not from the manifests.
func (r *Registry) Withdraw(digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.blobs, digest)
}

// Disturb puts d before every blob that is fetched from now on; nil ends it.
func (r *Registry) Disturb(d Disturbance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disturb = d
}

// Asked returns the requests so far, as "GET /v2/library/tiny/manifests/latest",
// or as "GET sha256:4d3c... bytes=0-99" where the bytes of a blob were sent.
func (r *Registry) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// note keeps a request and returns what there is at its path.
func (r *Registry) note(request, urlPath string) (manifest []byte, file string, d Disturbance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, request)
	return r.manifests[urlPath], r.blobs[path.Base(urlPath)], r.disturb
}

func (r *Registry) serve(w http.ResponseWriter, req *http.Request) {
	manifest, file, _ := r.note(req.Method+" "+req.URL.Path, req.URL.Path)
	switch {
	case manifest != nil:
		w.Header().Set("Content-Type", manifestType)
		_, _ = w.Write(manifest)
	case file != "":
		http.Redirect(w, req, r.storage+"/"+path.Base(req.URL.Path), http.StatusTemporaryRedirect)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
	}
}

func (r *Registry) serveBlob(w http.ResponseWriter, req *http.Request) {
	digest := path.Base(req.URL.Path)
	_, file, disturb := r.note(fmt.Sprintf("%s %s %s", req.Method, digest, req.Header.Get("Range")), req.URL.Path)
	f, err := os.Open(file)
	if err != nil {
		http.NotFound(w, req)
		return
	}
	defer f.Close()
	if disturb != nil && req.Method == http.MethodGet {
		w = disturb(w, req)
	}
	http.ServeContent(w, req, "", time.Time{}, f)
}
