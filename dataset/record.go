package dataset

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Every value in Badger, and each slot of the mark, is a record:
//
//	version   1 byte, recordVersion
//	length    4 bytes, big endian: bytes of the payload
//	change    8 bytes, big endian: number of the change that wrote it, from 1
//	payload
//	checksum  4 bytes, big endian: CRC-32C of the key and of all the above
//
// The key is part of the checksum, so that a value cannot pass for another's.
const (
	recordVersion  = 1
	recordHeader   = 1 + 4 + 8
	recordOverhead = recordHeader + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeRecord frames payload for the given key.
func encodeRecord(key []byte, change uint64, payload []byte) []byte {
	raw := make([]byte, 0, recordOverhead+len(payload))
	raw = append(raw, recordVersion)
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(payload)))
	raw = binary.BigEndian.AppendUint64(raw, change)
	raw = append(raw, payload...)
	return binary.BigEndian.AppendUint32(raw, recordChecksum(key, raw))
}

// decodeRecord returns what encodeRecord framed for the same key. The payload
// is part of raw. Any other raw is an error that wraps ErrDamaged.
func decodeRecord(key, raw []byte) (change uint64, payload []byte, err error) {
	damaged := func(what string) error {
		return fmt.Errorf("record of %s: %w: %s", keyName(key), ErrDamaged, what)
	}
	if len(raw) < recordOverhead {
		return 0, nil, damaged(fmt.Sprintf("%d bytes are too few", len(raw)))
	}
	body, sum := raw[:len(raw)-4], binary.BigEndian.Uint32(raw[len(raw)-4:])
	if recordChecksum(key, body) != sum {
		return 0, nil, damaged("wrong checksum")
	}
	if body[0] != recordVersion {
		return 0, nil, damaged(fmt.Sprintf("unknown version %d", body[0]))
	}
	payload = body[recordHeader:]
	if int64(binary.BigEndian.Uint32(body[1:])) != int64(len(payload)) {
		return 0, nil, damaged("wrong length")
	}
	return binary.BigEndian.Uint64(body[5:]), payload, nil
}

func recordChecksum(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}
