// Package journal keeps numbered changes in plain files that are only ever
// appended to, so that a store can be rebuilt from them.
//
// Open one, Append groups of changes, and range over Read to have all of them
// back; Write makes a journal of given entries in one go.
//
// # Format
//
// A journal is a folder of segments, 000001.jsonl and on. Each is JSON lines:
//
//	{"sum":"1c291ca3","journal":1,"segment":7,"after":1200}
//	{"sum":"...","change":1201,"group":1202,"position":981,"data":{...}}
//	{"sum":"...","change":1202,"group":1202,"data":{...}}
//	{"sum":"...","end":true,"entries":2,"last":1202}
//
// The sum is the CRC-32C, in hex, of the line from behind the comma after the
// sum to before the line feed. The first line is the header: it names the
// segment, and the last change of those before. The last line is the footer, which
// a segment gets when the next one is begun. Between them, each line is one
// change; "position" says which record it is a new version of, and is left out
// for what is not versioned. Changes of one group have consecutive numbers, and
// group is the last of them: they were made together or not at all. While a
// segment is written to, zeros may follow its lines.
//
// Segments that Write made say "snapshot":true in the header. They hold the
// latest version of each record, in any order and each a group of its own.
package journal
