package supervisor

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Do posts to one of the paths. Name is the node, component or snapshot where the path asks for one.
func (c *Client) Do(ctx context.Context, path, name string) error {
	target := "http://lab" + path + "?" + url.Values{parameterName: {name}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		return nil
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return errors.New(strings.TrimSpace(string(text)))
}
