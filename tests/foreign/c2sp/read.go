package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"

	"filippo.io/torchwood"
	fnote "github.com/transparency-dev/formats/note"
	fproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// texts is an option that may be given more than once.
type texts []string

func (t *texts) String() string     { return strings.Join(*t, " ") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

// signers are the keys that a reader knows: the log's, and whoever must have co-signed.
type signers struct {
	log       string
	cosigners texts
}

func (s *signers) options(f *flag.FlagSet) {
	f.StringVar(&s.log, "log", "", "verifier key of the log")
	f.Var(&s.cosigners, "cosigner", "verifier key of who must have co-signed; may be repeated")
}

// policy asks for the origin, the log's signature and every co-signature.
func (s *signers) policy() (torchwood.Policy, note.Verifier, error) {
	v, err := note.NewVerifier(s.log)
	if err != nil {
		return nil, nil, err
	}
	all := []torchwood.Policy{torchwood.OriginPolicy(v.Name()), torchwood.SingleVerifierPolicy(v)}
	for _, vkey := range s.cosigners {
		c, err := torchwood.NewCosignatureVerifier(vkey)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, torchwood.SingleVerifierPolicy(c))
	}
	return torchwood.ThresholdPolicy(len(all), all...), v, nil
}

// cosigned asks the same of transparency-dev's verifiers.
func (s *signers) cosigned(signed []byte) error {
	for _, vkey := range s.cosigners {
		v, err := fnote.NewVerifierForCosignatureV1(vkey)
		if err != nil {
			return err
		}
		n, err := note.Open(signed, note.VerifierList(v))
		if err != nil {
			return fmt.Errorf("%s: %w", v.Name(), err)
		}
		at, err := fnote.CoSigV1Timestamp(n.Sigs[0])
		if err != nil {
			return err
		}
		fmt.Println("cosigned", v.Name(), at.Unix())
	}
	return nil
}

func read(args []string) error {
	var known signers
	f := flag.NewFlagSet("read", flag.ContinueOnError)
	known.options(f)
	base := f.String("url", "", "where the log is served")
	reader := f.String("by", "", "torchwood or tessera")
	old := f.String("old", "", "file of an older checkpoint, of which this one must be a growth")
	var leaves texts
	f.Var(&leaves, "leaf", "INDEX=BASE64 of an entry that must be in the log; may be repeated")
	if err := f.Parse(args); err != nil {
		return err
	}
	entries, err := parseLeaves(leaves)
	if err != nil {
		return err
	}
	oldNote, err := os.ReadFile(*old)
	if err != nil {
		return err
	}
	by := map[string]func(context.Context, signers, string, []byte, []leaf) error{
		"torchwood": readByTorchwood,
		"tessera":   readByTessera,
	}[*reader]
	if by == nil {
		return fmt.Errorf("no reader %q", *reader)
	}
	return by(context.Background(), known, *base, oldNote, entries)
}

type leaf struct {
	index int64
	data  []byte
}

func parseLeaves(given []string) ([]leaf, error) {
	var found []leaf
	for _, text := range given {
		var one leaf
		number, encoded, _ := strings.Cut(text, "=")
		if _, err := fmt.Sscanf(number, "%d", &one.index); err != nil {
			return nil, err
		}
		data, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, err
		}
		one.data = data
		found = append(found, one)
	}
	return found, nil
}

func readByTorchwood(ctx context.Context, known signers, base string, oldNote []byte, leaves []leaf) error {
	policy, _, err := known.policy()
	if err != nil {
		return err
	}
	fetcher, err := torchwood.NewTileFetcher(base)
	if err != nil {
		return err
	}
	signed, err := fetcher.ReadEndpoint(ctx, "checkpoint")
	if err != nil {
		return err
	}
	now, _, err := torchwood.VerifyCheckpoint(signed, policy)
	if err != nil {
		return err
	}
	logAlone, _, err := (&signers{log: known.log}).policy() // nobody co-signed the old one yet
	if err != nil {
		return err
	}
	before, _, err := torchwood.VerifyCheckpoint(oldNote, logAlone)
	if err != nil {
		return fmt.Errorf("old checkpoint: %w", err)
	}
	hashes := torchwood.TileHashReaderWithContext(ctx, now.Tree, fetcher) // checks tiles by the root
	growth, err := tlog.ProveTree(now.N, before.N, hashes)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(growth, now.N, now.Hash, before.N, before.Hash); err != nil {
		return err
	}
	for _, one := range leaves {
		path, err := tlog.ProveRecord(now.N, one.index, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(path, now.N, now.Hash, one.index, tlog.RecordHash(one.data)); err != nil {
			return fmt.Errorf("entry %d: %w", one.index, err)
		}
	}
	fmt.Println("torchwood", now.Origin, before.N, now.N, len(leaves))
	return nil
}

func readByTessera(ctx context.Context, known signers, base string, oldNote []byte, leaves []leaf) error {
	_, verifier, err := known.policy()
	if err != nil {
		return err
	}
	root, err := url.Parse(base)
	if err != nil {
		return err
	}
	fetcher, err := client.NewHTTPFetcher(root, nil)
	if err != nil {
		return err
	}
	consensus := client.UnilateralConsensus(fetcher.ReadCheckpoint)
	tracker, err := client.NewLogStateTracker(ctx, fetcher.ReadTile, oldNote, verifier, verifier.Name(), consensus)
	if err != nil {
		return err
	}
	before := tracker.Latest()
	if _, _, _, err := tracker.Update(ctx); err != nil { // proves the growth out of tiles
		return err
	}
	now := tracker.Latest()
	signed, err := fetcher.ReadCheckpoint(ctx)
	if err != nil {
		return err
	}
	if err := known.cosigned(signed); err != nil {
		return err
	}
	builder, err := client.NewProofBuilder(ctx, now.Size, fetcher.ReadTile)
	if err != nil {
		return err
	}
	for _, one := range leaves {
		path, err := builder.InclusionProof(ctx, uint64(one.index))
		if err != nil {
			return err
		}
		hash := rfc6962.DefaultHasher.HashLeaf(one.data)
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(one.index), now.Size, hash, path, now.Hash); err != nil {
			return fmt.Errorf("entry %d: %w", one.index, err)
		}
	}
	fmt.Println("tessera", now.Origin, before.Size, now.Size, len(leaves))
	return nil
}

// proofOf verifies a tlog-proof offline; of its extra data it expects that it is the leaf.
func proofOf(known signers, data []byte) error {
	policy, _, err := known.policy()
	if err != nil {
		return err
	}
	extra, err := torchwood.ProofExtraData(data)
	if err != nil {
		return err
	}
	if err := torchwood.VerifyProof(policy, tlog.RecordHash(extra), data); err != nil {
		return err
	}
	var other fproof.TLogProof
	if err := other.Unmarshal(data); err != nil {
		return err
	}
	if !bytes.Equal(other.ExtraData, extra) || !bytes.Equal(other.Marshal(), data) {
		return errors.New("the two readers do not read the same proof")
	}
	fmt.Println("proof", other.Index, string(extra))
	return nil
}

func prove(args []string) error {
	var known signers
	f := flag.NewFlagSet("proof", flag.ContinueOnError)
	known.options(f)
	if err := f.Parse(args); err != nil {
		return err
	}
	data, err := os.ReadFile(f.Arg(0))
	if err != nil {
		return err
	}
	return proofOf(known, data)
}
