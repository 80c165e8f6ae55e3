package dataset

import (
	"bytes"
	"errors"
	"testing"
)

func TestDecodeRecord_refusesEveryDamagedByte(t *testing.T) {
	key := exampleKey(7)
	raw := encodeRecord(key, 42, []byte("payload"))
	change, payload, err := decodeRecord(key, raw)
	if err != nil || change != 42 || string(payload) != "payload" {
		t.Fatalf("decodeRecord = %d, %q, %v", change, payload, err)
	}
	for i := range raw {
		for bit := range 8 {
			bad := bytes.Clone(raw)
			bad[i] ^= 1 << bit
			if _, _, err := decodeRecord(key, bad); !errors.Is(err, ErrDamaged) {
				t.Errorf("bit %d of byte %d flipped: %v, want ErrDamaged", bit, i, err)
			}
		}
		if _, _, err := decodeRecord(key, raw[:i]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v, want ErrDamaged", i, err)
		}
	}
	if _, _, err := decodeRecord(key, append(raw, 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte too many: %v, want ErrDamaged", err)
	}
	_, _, err = decodeRecord(exampleKey(8), raw)
	if !errors.Is(err, ErrDamaged) || err.Error() != "record of example 8: the store is damaged: wrong checksum" {
		t.Errorf("under another key: %v", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte("k"), []byte{})
	f.Add([]byte("s"), encodeRecord(stateKey, 1, state{1, 2, 3, 0}.encode()))
	f.Add(exampleKey(1), encodeRecord(exampleKey(1), 9, []byte(`{"response":"x"}`)))
	f.Add([]byte{}, bytes.Repeat([]byte{0xff}, recordOverhead))
	f.Fuzz(func(t *testing.T, key, raw []byte) {
		// Whatever decodes is what would be encoded.
		if change, payload, err := decodeRecord(key, raw); err == nil {
			if again := encodeRecord(key, change, payload); !bytes.Equal(again, raw) {
				t.Errorf("%x decodes, and encodes to %x", raw, again)
			}
		} else if !errors.Is(err, ErrDamaged) {
			t.Errorf("%v, want ErrDamaged", err)
		}
		// Whatever is encoded decodes.
		change, payload, err := decodeRecord(key, encodeRecord(key, uint64(len(key)), raw))
		if err != nil || change != uint64(len(key)) || !bytes.Equal(payload, raw) {
			t.Errorf("%x came back as %d, %x, %v", raw, change, payload, err)
		}
		decodeState(key, raw)
		decodeIndex(key, raw)
		stored{payload: raw}.example()
	})
}
