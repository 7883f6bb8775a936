package supervisor

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnProcessor(t *testing.T) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for number := range all.Count() + 1 {
		failed := errors.New("start failed")
		var inside unix.CPUSet
		err := onProcessor(number, func() error {
			if err := unix.SchedGetaffinity(0, &inside); err != nil {
				t.Error(err)
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Errorf("onProcessor returned %v, want start's error", err)
		}
		if want := nth(&all, number%all.Count()); inside.Count() != 1 || !inside.IsSet(want) {
			t.Errorf("start ran on processors %v, want %d alone", inside, want)
		}
	}
}

func TestNthProcessor(t *testing.T) {
	var set unix.CPUSet
	for _, cpu := range []int{1, 4, 70} {
		set.Set(cpu)
	}
	for n, want := range []int{1, 4, 70} {
		if got := nth(&set, n); got != want {
			t.Errorf("processor %d of the set is %d, want %d", n, got, want)
		}
	}
}
