// Command c2sp looks at a Tallystick log with other people's libraries, and with nothing of ours.
//
// Torchwood and golang.org/x/mod are one implementation, Tessera and transparency-dev/merkle the
// other; each must come to the same end. Exit code 0: all holds; 1: refused, and why.
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func([]string) error{
		"read":    read,
		"proof":   prove,
		"ask":     ask,
		"witness": serve,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "c2sp read|proof|ask|witness [options]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}
