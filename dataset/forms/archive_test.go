package forms_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/dataset/forms"
)

// archive is a ZIP of files: name, content, name, content, ...
func archive(t testing.TB, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err == nil {
			_, err = io.WriteString(w, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReader_archive(t *testing.T) {
	text := "[" + chatGPT(askNode, answerNode) + "," + chatGPT(askNode, answerNode) + "]"
	want, errs := read(text, forms.ChatGPT)
	if errs != nil || len(want) != 2 {
		t.Fatalf("%d examples, %v", len(want), errs)
	}
	for name, data := range map[string][]byte{
		"at the top":  archive(t, "chat.html", "<html>", "conversations.json", text, "user.json", "{}"),
		"in a folder": archive(t, "export/", "", "export/conversations.json", text),
	} {
		for _, form := range []forms.Form{forms.Auto, forms.ChatGPT} {
			got, errs := read(string(data), form)
			if diff := cmp.Diff(want, got); diff != "" || errs != nil {
				t.Errorf("%s, %s: %v (-want +got):\n%s", name, form, errs, diff)
			}
		}
	}
}

func TestReader_refusesArchives(t *testing.T) {
	text := "[" + chatGPT(askNode, answerNode) + "]"
	good := archive(t, "conversations.json", text)
	encrypted := bytes.Clone(good)
	encrypted[6] |= 1
	encrypted[bytes.LastIndex(encrypted, []byte("PK\x01\x02"))+8] |= 1
	method := bytes.Clone(good)
	method[bytes.LastIndex(method, []byte("PK\x01\x02"))+10] = 99
	tests := map[string]struct {
		text []byte
		want string
	}{
		"nothing inside": {archive(t), "holds no conversations.json"},
		"other files":    {archive(t, "chat.html", "x"), "holds no conversations.json"},
		"two":            {archive(t, "a/conversations.json", text, "b/conversations.json", text), `holds "a/conversations.json" and "b/conversations.json"`},
		"encrypted":      {encrypted, "is encrypted"},
		"unknown method": {method, "unsupported compression"},
		"cut off":        {good[:len(good)/2], "damaged"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := read(string(test.text), forms.Auto)
			var item *forms.ItemError
			if len(errs) != 1 || len(got) != 0 || !strings.Contains(errs[0].Error(), test.want) || errors.As(errs[0], &item) {
				t.Errorf("%d examples, %v; want %q, about no item", len(got), errs, test.want)
			}
		})
	}
	if _, errs := read(string(archive(t, "conversations.json", "PK")), forms.Auto); len(errs) != 1 || !strings.Contains(errs[0].Error(), "from a file alone") {
		t.Errorf("a ZIP in a ZIP: %v", errs)
	}
}

// A file of a few bytes must not keep the program busy, or fill its memory.
func TestReader_boundsWhatArchivesUnpackTo(t *testing.T) {
	items := "[" + strings.Repeat("{"+strings.Repeat(" ", 10_000)+"},", 2000) // 20 MB
	n := 0
	var last error
	for _, last = range forms.NewReader(bytes.NewReader(archive(t, "conversations.json", items)), forms.Auto).All() {
		n++
	}
	if last == nil || !strings.Contains(last.Error(), "unpacks to more than a hundred times") || n > 1700 {
		t.Errorf("%d items, last %v", n, last)
	}
}

func TestReader_noticesDamageInArchives(t *testing.T) {
	good := archive(t, "conversations.json", "["+strings.Repeat(chatGPT(askNode, answerNode)+",", 50)+chatGPT(askNode, answerNode)+"]")
	at := bytes.LastIndex(good, []byte("PK\x01\x02")) + 16 // its checksum
	good[at] ^= 1
	got, errs := read(string(good), forms.Auto)
	if len(got) != 51 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "checksum") {
		t.Errorf("%d examples, %v; want an error about the checksum", len(got), errs)
	}
}

func FuzzReader_archive(f *testing.F) {
	f.Add(archive(f, "conversations.json", "["+chatGPT(askNode, answerNode)+"]"))
	f.Add(archive(f, "a/conversations.json", goodLine))
	f.Add(archive(f))
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		r := forms.NewReader(bytes.NewReader(text), forms.Auto)
		for range r.All() {
			n++
		}
		if r.Offset() < 0 {
			t.Errorf("at byte %d after %d items", r.Offset(), n)
		}
	})
}
