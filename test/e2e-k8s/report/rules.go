package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// rule is why some specs are not run.
type rule struct {
	specs  *regexp.Regexp
	reason string
}

// readRules reads a file of regular expressions, one a line; the comment above a list is its reason.
func readRules(path string) ([]rule, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rules []rule
	reason := ""
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if comment, ok := strings.CutPrefix(line, "#"); ok {
			reason = strings.TrimSpace(comment)
			continue
		}
		if line == "" {
			continue
		}
		specs, err := regexp.Compile(line)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if reason == "" {
			return nil, fmt.Errorf("read %s: %q stands under no comment with a reason", path, line)
		}
		rules = append(rules, rule{specs: specs, reason: reason})
	}
	return rules, nil
}

func reasonOf(name string, rules []rule) string {
	for _, r := range rules {
		if r.specs.MatchString(name) {
			return r.reason
		}
	}
	return ""
}
