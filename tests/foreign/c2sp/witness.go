package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"

	fnote "github.com/transparency-dev/formats/note"
	witnesshttp "github.com/transparency-dev/witness/client/http"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

// ask asks a witness for its co-signature, as transparency-dev's witnesses are asked.
func ask(args []string) error {
	f := flag.NewFlagSet("ask", flag.ContinueOnError)
	base := f.String("url", "", "where the witness listens")
	vkey := f.String("witness", "", "verifier key of the witness")
	old := f.Uint64("old", 0, "size that the witness is thought to know")
	var path texts
	f.Var(&path, "hash", "BASE64 of a hash of the consistency proof; may be repeated")
	if err := f.Parse(args); err != nil {
		return err
	}
	var hashes [][]byte
	for _, text := range path {
		hash, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return err
		}
		hashes = append(hashes, hash)
	}
	signed, err := os.ReadFile(f.Arg(0))
	if err != nil {
		return err
	}
	root, err := url.Parse(*base)
	if err != nil {
		return err
	}
	lines, size, err := witnesshttp.NewWitness(root, http.DefaultClient).Update(context.Background(), *old, signed, hashes)
	if errors.Is(err, witness.ErrCheckpointStale) {
		return fmt.Errorf("stale: the witness knows %d", size)
	}
	if err != nil {
		return err
	}
	verifier, err := fnote.NewVerifierForCosignatureV1(*vkey)
	if err != nil {
		return err
	}
	text := signed[:bytes.LastIndex(signed, []byte("\n\n"))+2]
	n, err := note.Open(append(bytes.Clone(text), lines...), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	at, err := fnote.CoSigV1Timestamp(n.Sigs[0])
	if err != nil {
		return err
	}
	fmt.Println("cosigned", n.Sigs[0].Name, at.Unix())
	return nil
}

// serve is transparency-dev's witness, with its state in memory. Its address is the first line.
func serve(args []string) error {
	f := flag.NewFlagSet("witness", flag.ContinueOnError)
	log := f.String("log", "", "verifier key of the log that it watches")
	secret := f.String("secret", "", "its own signer key")
	if err := f.Parse(args); err != nil {
		return err
	}
	known, err := note.NewVerifier(*log)
	if err != nil {
		return err
	}
	signer, err := fnote.NewSignerForCosignatureV1(*secret)
	if err != nil {
		return err
	}
	one, err := witness.New(context.Background(), witness.Opts{
		Persistence: inmemory.New(),
		Signers:     []note.Signer{signer},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			return known, origin == known.Name(), nil
		},
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(one).AddCheckpoint)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	return http.Serve(listener, mux)
}
