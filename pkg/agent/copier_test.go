package agent

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/berth-dev/berth/pkg/lvm/dm"
)

// fakeCopier copies as DeviceCopier does, in steps that a test can stop at.
type fakeCopier struct {
	mu       sync.Mutex
	requests []CopyRequest
	// respond is asked after each step, with what is copied then.
	respond func(ctx context.Context, target string, copied int64) error
}

const copyStep = 8 * mi

func (f *fakeCopier) Copy(ctx context.Context, request CopyRequest) error {
	f.mu.Lock()
	f.requests = append(f.requests, request)
	respond := f.respond
	f.mu.Unlock()
	for step := request; step.FromBytes < request.Bytes && respond != nil; step.FromBytes = step.Bytes {
		step.Bytes = min(step.FromBytes+copyStep, request.Bytes)
		step.TargetBytes = step.Bytes
		if err := (DeviceCopier{}).Copy(ctx, step); err != nil {
			return err
		}
		if err := respond(ctx, filepath.Base(request.Target), step.Bytes); err != nil {
			return err
		}
	}
	return DeviceCopier{}.Copy(ctx, request)
}

func (f *fakeCopier) setRespond(respond func(ctx context.Context, target string, copied int64) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.respond = respond
}

func (f *fakeCopier) seen() []CopyRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// fakeRenewer remembers which devices it renewed.
type fakeRenewer struct {
	mu      sync.Mutex
	devices []string
	respond func() error
}

func (f *fakeRenewer) Renew(_ context.Context, device, _ string) error {
	f.mu.Lock()
	f.devices = append(f.devices, filepath.Base(device))
	respond := f.respond
	f.mu.Unlock()
	if respond != nil {
		return respond()
	}
	return nil
}

func (f *fakeRenewer) setRespond(respond func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.respond = respond
}

func (f *fakeRenewer) count(lv string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, device := range f.devices {
		if device == dm.Name("vg0", lv) {
			n++
		}
	}
	return n
}

// content is bytes that look random, with zeros from a quarter to a half.
func content(seed byte, size int64) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data)
	clear(data[size/4 : size/2])
	return data
}

func TestCopy(t *testing.T) {
	const size = 16 * mi
	for _, test := range []struct {
		name string
		// change is made to a request for all of size.
		change func(*CopyRequest)
		// want is what the target, full of 'x' before, holds after.
		want func(source []byte, old []byte) []byte
	}{
		{"all", func(*CopyRequest) {}, func(source, _ []byte) []byte { return source }},
		{"the rest", func(r *CopyRequest) { r.FromBytes = 8 * mi }, func(source, old []byte) []byte {
			return slices.Concat(old[:8*mi], source[8*mi:])
		}},
		{"a zeroed target", func(r *CopyRequest) { r.Zeroed = true }, func(source, old []byte) []byte {
			// Zeros from a quarter to a half: the second chunk.
			return slices.Concat(source[:4*mi], old[4*mi:8*mi], source[8*mi:])
		}},
		{"a larger target", func(r *CopyRequest) { r.Bytes = 12 * mi }, func(source, _ []byte) []byte {
			return slices.Concat(source[:12*mi], make([]byte, 4*mi))
		}},
		{"not whole chunks", func(r *CopyRequest) { r.Bytes, r.TargetBytes = 5*mi+4096, 5*mi+8192 }, func(source, old []byte) []byte {
			return slices.Concat(source[:5*mi+4096], make([]byte, 4096), old[5*mi+8192:])
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			directory := t.TempDir()
			source, old := content(1, size), bytes.Repeat([]byte{'x'}, int(size))
			request := CopyRequest{
				Source: filepath.Join(directory, "source"), Target: filepath.Join(directory, "target"), Bytes: size, TargetBytes: size,
			}
			var synced int64
			request.Synced = func(_ context.Context, copied int64) { synced = copied }
			test.change(&request)
			writeFile(t, request.Source, source)
			writeFile(t, request.Target, old)
			if err := (DeviceCopier{}).Copy(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(request.Target)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, test.want(source, old)) {
				t.Error("the target does not hold what it should")
			}
			if synced != request.Bytes {
				t.Errorf("%d bytes told of, want %d", synced, request.Bytes)
			}
		})
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCopyStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device")
	writeFile(t, path, make([]byte, mi))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := DeviceCopier{}.Copy(ctx, CopyRequest{Source: path, Target: path, Bytes: mi, TargetBytes: mi, Synced: func(context.Context, int64) {}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it stops when its context ends", err)
	}
}

// Two volumes of a group are copied at once, and no more.
func TestCopiesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &copies{turns: map[string]chan struct{}{}}
		var releases []func()
		for range copiesAtOnce {
			release, err := c.take(t.Context(), "vg0")
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
		if _, err := c.take(t.Context(), "vg1"); err != nil {
			t.Error("another volume group waits")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.take(ctx, "vg0"); err == nil {
			t.Error("a turn too many")
		}
		taken := make(chan error)
		go func() {
			_, err := c.take(t.Context(), "vg0")
			taken <- err
		}()
		synctest.Wait()
		releases[0]()
		if err := <-taken; err != nil {
			t.Error(err)
		}
	})
}
