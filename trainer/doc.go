// Package trainer turns examples into a better model: it freezes them into a
// run directory, has Python train a LoRA adapter there, tests the adapter that
// came out, and enters it in the registry.
//
// Call Finetune for the whole way and Resume to go on with a run that was
// interrupted. Evaluate measures any model on questions with known answers; the
// gate between a trained model and its use is the same code, and Compare.
// Prepare, OpenRun, ListRuns and Run.Train are the single steps.
//
// A run is a directory that a person can read and replay without this program:
//
//	job.json          what to train, from what, with which settings
//	plan.json         what to do with the result (only for runs made by Finetune)
//	data/             train.jsonl, its manifest, and heldout.jsonl for the gate
//	*.py, run.sh      the code itself; run.sh does by hand what Run.Train does
//	requirements.lock the Python packages it was written for
//	progress.jsonl    one line of JSON for each step
//	log.txt           what Python had to say
//	state.json        where the run stands; see State
//	result.json       the end, written last; see Result
//
// A run is trained by one process at a time, held by a lock on its directory.
// The training process and its group end with the call that started them. If
// the caller itself is killed, Linux ends the training process at once; elsewhere
// it ends with its next line of output.
package trainer
