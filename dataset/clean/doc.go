// Package clean decides which examples a model may learn from, and says of every
// other one why not.
//
// Call Select. It passes over the examples in this order, and an example is left
// out for the first reason that it meets:
//
//  1. its teacher's terms forbid it (Options.Allowed)
//  2. it holds a secret or personal data: quarantined, never edited
//  3. its response is empty or too long, in another language, or a refusal
//  4. it asks or tells what a held-out item does
//  5. it says the same as a better example, exactly or nearly
//  6. its source, or the owner's own models, gave more than their share
//  7. the budget is spent on examples that teach more
//
// Equal examples and options give an equal Selection, in whatever order the
// examples come, and the Manifest's digest says so. Nothing in the store changes.
//
// # Texts that are compared
//
// Words are runs of letters and digits, without case and accents; in scripts
// without spaces each letter is one. System messages are not compared, since many
// examples share one. Two examples are near duplicates if the Jaccard similarity
// of their sets of three-word shingles is 0.8 or more, and their responses are
// equal or just as similar. Texts of fewer than 20 words are duplicates only if
// they are equal word for word: among short texts one other word is another
// question. A frame that a quarter of the examples or more share ("Put this
// request into one of ...") counts for nothing.
package clean
