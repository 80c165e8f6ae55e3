// Package forms exchanges examples with other programs: the JSON lines that
// OpenAI, TRL and other trainers take, exports of chat programs, and Parquet.
//
// NewReader reads any form that Forms lists as readable; Write writes any that
// is listed as writable; Pairs finds the preference pairs that some forms hold.
//
// # What is promised
//
// Reading streams: no more than one item is held at a time, and of a Parquet table
// one page of each column. Sizes are bounded, unpacked ones too. A bad item is an
// *ItemError in its place, with its text, and does not end the sequence. What
// would change the meaning of a conversation, were it dropped, makes an item bad;
// other fields are passed over. The same file read twice gives examples of the
// same identity.
//
// Writing leaves out, and counts by reason, what a form cannot hold. What it
// wrote, read and written again, is the same bytes.
package forms
