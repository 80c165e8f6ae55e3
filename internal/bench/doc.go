// Package bench measures the same work on several sides, side by side.
//
// A [Work] is one piece of work with an [Arm] for each side that does it. [Run]
// lets all arms do it in rounds, one after the other in an order drawn anew for
// each round, and [Row.Result] compares two arms by the median of the rounds'
// ratios with a bootstrap interval. What makes such a figure worth something is
// kept here too: the machine is held to be quiet ([ErrLoaded]), arms must read and
// write as many tokens as each other, and every round is in the report.
//
// The peers are [Ollama] and [Completions] (any server of the OpenAI format) over
// HTTP; [Bandwidth] is the physical limit. [WriteModel] and [WriteAdapter] make
// files of any shape with random weights: speed does not depend on the values.
package bench
