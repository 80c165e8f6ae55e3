//go:build unix

package trainer

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"retort/scripts"
	"strings"
	"syscall"
	"testing"
)

// The test binary plays Python as well: started with the scripts' entry it does
// what the run's file "fake" says. It is for faults, which the real scripts do
// not have on demand; cmd/retort's tests train for real.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case scripts.Entry:
			fakePython(len(os.Args) > 3 && os.Args[3] == "--resume")
			os.Exit(0)
		case "grandchild":
			deaf := make(chan os.Signal, 1)
			signal.Notify(deaf, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			for {
				<-deaf
			}
		case "owner":
			owner(os.Args[2], os.Args[3])
		}
	}
	os.Exit(m.Run())
}

// fakePython does what the file "fake" in the run directory, or beside it, says:
// one order for each line.
func fakePython(resume bool) {
	orders, err := os.ReadFile("fake")
	if err != nil {
		orders, err = os.ReadFile("../fake")
	}
	must(err)
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	for order := range strings.Lines(string(orders)) {
		verb, arg, _ := strings.Cut(strings.TrimSpace(order), " ")
		switch verb {
		case "say":
			fmt.Println(strings.NewReplacer(`\r`, "\r", `\e`, "\x1b").Replace(arg))
		case "warn":
			fmt.Fprintln(os.Stderr, strings.NewReplacer(`\r`, "\r", `\e`, "\x1b").Replace(arg))
		case "long": // a line of 5 MB, and half a line at the end
			fmt.Println(strings.Repeat("x", 5<<20))
			fmt.Print("half")
		case "flood":
			for range 20_000 {
				fmt.Println(strings.Repeat("noise ", 20))
				fmt.Fprintln(os.Stderr, strings.Repeat("stderr ", 5))
			}
		case "environment":
			must(os.WriteFile("environment", []byte(strings.Join(os.Environ(), "\n")), 0o600))
		case "step":
			fmt.Printf(`{"event":"step","step":%s,"steps":9,"loss":0.5}`+"\n", arg)
		case "unless-resumed": // as training does: wait for the interrupt, save, say so
			if resume {
				continue
			}
			<-interrupt
			fmt.Println(`{"event":"checkpoint","step":4}`)
			fmt.Println(`{"event":"interrupted","step":4}`)
			os.Exit(130)
		case "deaf":
			select {}
		case "grandchild":
			spawnGrandchild(arg == "escapes")
		case "shoot":
			must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
		case "die": // of a signal that nothing handles yet
			var number syscall.Signal
			fmt.Sscan(arg, &number)
			signal.Reset(number)
			must(syscall.Kill(os.Getpid(), number))
			select {}
		case "exit":
			var code int
			fmt.Sscan(arg, &code)
			os.Exit(code)
		case "result":
			fakeResult(arg)
		default:
			panic("unknown order " + order)
		}
	}
}

func spawnGrandchild(escapes bool) {
	cmd := exec.Command(os.Args[0], "grandchild")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: escapes}
	cmd.Stdout = os.Stdout
	must(cmd.Start())
	must(os.WriteFile("grandchild.pid", fmt.Append(nil, cmd.Process.Pid), 0o600))
}

// fakeResult writes an adapter and its result, with one thing wrong if so told.
func fakeResult(wrong string) {
	adapter, err := os.ReadFile("../adapter.source")
	if err != nil {
		adapter = []byte("GGUF")
	}
	must(os.WriteFile("adapter.gguf", adapter, 0o600))
	res := Result{Status: "complete", Adapter: "adapter.gguf", SHA256: fmt.Sprintf("%x", sha256.Sum256(adapter)),
		Rank: 4, Alpha: 8, Steps: 9, Examples: 2, Loss: 0.1, LossFirst: 2.5, Profile: ProfileCPU}
	switch wrong {
	case "digest":
		res.SHA256 = strings.Repeat("0", 64)
	case "status":
		res.Status = "partial"
	case "path":
		res.Adapter = "../adapter.gguf"
	case "adapter":
		must(os.Remove("adapter.gguf"))
	case "json":
		must(os.WriteFile("result.json", []byte(`{"status":`), 0o600))
		return
	}
	data, err := json.Marshal(res)
	must(err)
	must(os.WriteFile("result.json", data, 0o600))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
