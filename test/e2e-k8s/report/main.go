// Command report says how a run of Kubernetes' storage suite went, from its JUnit file: the specs that failed, those that
// did not run, grouped by reason, and a line of counts. It fails when a spec failed or none passed.
package main

import (
	"cmp"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	excluded := flag.String("excluded", "", "file of regular expressions of specs that are not run, each list under a comment with the reason")
	flag.Parse()
	if err := run(os.Stdout, *excluded, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

var errNotPassed = errors.New("the suite did not pass")

func run(out io.Writer, excluded string, files []string) error {
	rules, err := readRules(excluded)
	if err != nil {
		return err
	}
	total := newSummary()
	for _, file := range files {
		cases, err := readCases(file)
		if err != nil {
			return err
		}
		for _, c := range cases {
			total.add(c, rules)
		}
	}
	total.print(out)
	if len(total.failed) > 0 || total.passed == 0 {
		return errNotPassed
	}
	return nil
}

// testCase is what ginkgo writes of one spec.
type testCase struct {
	Name    string `xml:"name,attr"`
	Status  string `xml:"status,attr"`
	Skipped *struct {
		Message string `xml:"message,attr"`
	} `xml:"skipped"`
}

func readCases(path string) ([]testCase, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var suites struct {
		Suites []struct {
			Cases []testCase `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(content, &suites); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var cases []testCase
	for _, suite := range suites.Suites {
		cases = append(cases, suite.Cases...)
	}
	return cases, nil
}

// summary counts specs of the suite for external drivers.
type summary struct {
	passed int
	// failed holds names, skipped names by reason.
	failed  []string
	skipped map[string][]string
}

func newSummary() *summary { return &summary{skipped: map[string][]string{}} }

// add counts one spec. A spec that was not selected counts only if a rule says why; the others are outside the focus.
func (s *summary) add(c testCase, rules []rule) {
	name, ok := specName(c.Name)
	switch {
	case !ok && (c.Status == "passed" || c.Status == "skipped"):
		// What the suite does before and after.
	case c.Status == "passed":
		s.passed++
	case c.Status != "skipped":
		s.failed = append(s.failed, name)
	default:
		if reason := skipReason(c, rules); reason != "" {
			s.skipped[reason] = append(s.skipped[reason], name)
		}
	}
}

// specName shortens "[It] External Storage [Driver: NAME] what it is about [labels]"; ok tells whether it is such a spec.
func specName(full string) (name string, ok bool) {
	_, name, ok = strings.Cut(full, "[It] External Storage [Driver: ")
	if !ok {
		return full, false
	}
	_, name, _ = strings.Cut(name, "] ")
	return name, true
}

func skipReason(c testCase, rules []rule) string {
	if c.Skipped != nil {
		if _, reason, ok := strings.Cut(c.Skipped.Message, "skipped - "); ok {
			return strings.TrimSuffix(strings.TrimSuffix(reason, " - skipping"), " -- skipping")
		}
	}
	return reasonOf(c.Name, rules)
}

func (s *summary) print(out io.Writer) {
	count := 0
	if len(s.skipped) > 0 {
		fmt.Fprintln(out, "\nNot run, by reason:")
	}
	// The reason of most specs first.
	reasons := slices.SortedFunc(maps.Keys(s.skipped), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(s.skipped[b]), len(s.skipped[a])), strings.Compare(a, b))
	})
	for _, reason := range reasons {
		names := slices.Sorted(slices.Values(s.skipped[reason]))
		count += len(names)
		fmt.Fprintf(out, "%4d  %s\n", len(names), reason)
		for _, name := range names {
			fmt.Fprintln(out, "        "+name)
		}
	}
	if len(s.failed) > 0 {
		fmt.Fprintln(out, "\nFailed:")
	}
	for _, name := range slices.Sorted(slices.Values(s.failed)) {
		fmt.Fprintln(out, "      "+name)
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", s.passed, len(s.failed), count)
}
