package llamacpp

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hybridgroup/yzma/pkg/llama"

	"retort/models/gguf"
)

// quantizations are the types that Quantize writes, by the names that GGUF
// files are known by.
var quantizations = map[string]llama.Ftype{
	"F32":    llama.FtypeAllF32,
	"F16":    llama.FtypeMostlyF16,
	"BF16":   llama.FtypeMostlyBF16,
	"Q4_0":   llama.FtypeMostlyQ4_0,
	"Q4_1":   llama.FtypeMostlyQ4_1,
	"Q5_0":   llama.FtypeMostlyQ5_0,
	"Q5_1":   llama.FtypeMostlyQ5_1,
	"Q8_0":   llama.FtypeMostlyQ8_0,
	"Q2_K":   llama.FtypeMostlyQ2_K,
	"Q3_K_S": llama.FtypeMostlyQ3_K_S,
	"Q3_K_M": llama.FtypeMostlyQ3_K_M,
	"Q3_K_L": llama.FtypeMostlyQ3_K_L,
	"Q4_K_S": llama.FtypeMostlyQ4_K_S,
	"Q4_K_M": llama.FtypeMostlyQ4_K_M,
	"Q5_K_S": llama.FtypeMostlyQ5_K_S,
	"Q5_K_M": llama.FtypeMostlyQ5_K_M,
	"Q6_K":   llama.FtypeMostlyQ6_K,
}

// Quantize writes the model in file in to file out with its tensors stored as
// typ, one of Quantizations. The input may itself be quantized: its values are
// unpacked first. out appears whole or not at all. The library cannot be
// stopped half-way: a cancelled ctx takes effect when it has finished.
func (e *Engine) Quantize(ctx context.Context, in, out, typ string) error {
	if err := e.quantize(ctx, in, out, typ); err != nil {
		return fmt.Errorf("quantize %q: %w", in, err)
	}
	return nil
}

// Quantizations lists the types that Quantize knows, in alphabetical order.
func Quantizations() []string { return slices.Sorted(maps.Keys(quantizations)) }

func (e *Engine) quantize(ctx context.Context, in, out, typ string) error {
	ftype, ok := quantizations[strings.ToUpper(typ)]
	if !ok {
		return fmt.Errorf("unknown type %q, want one of %s", typ, strings.Join(Quantizations(), ", "))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := gguf.Check(in); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(out), ".quantize-*.gguf")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := e.runQuantize(in, tmp.Name(), ftype); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := gguf.Check(tmp.Name()); err != nil { // a full disk leaves a torn file
		return fmt.Errorf("the result is damaged: %w", err)
	}
	if err := syncFile(tmp.Name()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), out)
}

func (e *Engine) runQuantize(in, out string, ftype llama.Ftype) error {
	e.load.Lock()
	defer e.load.Unlock()
	engineLog.reset()
	p := llama.ModelQuantizeDefaultParams()
	p.Ftype = ftype
	p.AllowRequantize = 1
	p.NThread = int32(physicalCores())
	if code := llama.ModelQuantize(in, out, &p); code != 0 {
		return refused(fmt.Sprintf("engine error %d", code))
	}
	return nil
}

// syncFile brings a file to the disk, and makes it readable by others as a
// file made without CreateTemp would be.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return f.Sync()
}
