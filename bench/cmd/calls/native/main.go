// Command native is the contestant of cmd/calls that uses cgo, in a process of its
// own: a program that links C has another layout of its threads, which costs others.
// It reads lines of what to call and how often, and answers each with one.
package main

/*
static void nothing(void) {}
static int add(int a, int b) { return a + b; }
int goAdd(int a, int b);
static int call_add(int a, int b) { return goAdd(a, b); }
*/
import "C"

import (
	"fmt"
	"io"
	"os"
)

//export goAdd
func goAdd(a, b C.int) C.int { return a + b }

func main() {
	for {
		var what string
		var n int
		if _, err := fmt.Scanln(&what, &n); err == io.EOF {
			return
		} else if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		ok := true
		switch what {
		case "nothing":
			for range n {
				C.nothing()
			}
		case "add":
			for i := range n {
				ok = ok && C.add(C.int(i), 1) == C.int(i)+1
			}
		case "call_add":
			for i := range n {
				ok = ok && C.call_add(C.int(i), 1) == C.int(i)+1
			}
		}
		fmt.Println(ok)
	}
}
