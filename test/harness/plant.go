package harness

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness/leak"
)

// secretsOf is the part of an apps file that nobody may tell.
type secretsOf struct {
	Apps []struct {
		Keys     []struct{ Secret string }
		Tokens   []struct{ Token string }
		APNs     []keyFile
		FCM      []keyFile
		WebPush  []keyFile
		Webhooks []struct {
			URL     string
			Headers map[string]string
		}
	}
}

type keyFile struct {
	KeyFile string `yaml:"key_file"`
	Account string `yaml:"service_account_file"`
}

// plantApps plants the secrets of an apps file, and of the files that it names. One
// that cannot be read is some test's purpose.
func (w *Watch) plantApps(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	var file secretsOf
	if yaml.Unmarshal(text, &file) != nil {
		return
	}
	for _, a := range file.Apps {
		for _, k := range a.Keys {
			w.Plant(leak.AppSecret, k.Secret)
		}
		for _, t := range a.Tokens {
			w.Plant(leak.BearerToken, t.Token)
		}
		for _, h := range a.Webhooks {
			w.plantWebhook(h.URL, h.Headers)
		}
		for _, list := range [][]keyFile{a.APNs, a.FCM, a.WebPush} {
			for _, f := range list {
				w.plantKeyFile(filepath.Dir(path), f.KeyFile+f.Account)
			}
		}
	}
}

// plantWebhook plants a URL as a whole and what is in its query; that it is called at
// all, and where, is no secret.
func (w *Watch) plantWebhook(text string, headers map[string]string) {
	if u, err := url.Parse(text); err == nil && u.RawQuery != "" {
		w.Plant(leak.WebhookURL, text, u.RawQuery)
		for _, values := range u.Query() {
			if value := values[0]; len(value) > len("true") {
				w.Plant(leak.WebhookURL, value)
			}
		}
	}
	for _, value := range headers {
		if len(value) >= shortest {
			w.Plant(leak.WebhookHeader, value)
		}
	}
}

// plantKeyFile plants the text of a key and its numbers.
func (w *Watch) plantKeyFile(dir, name string) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return
	}
	var account struct {
		Key string `json:"private_key"`
	}
	if json.Unmarshal(text, &account) == nil {
		text = []byte(account.Key)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "-----") {
			w.Plant(leak.ProviderKey, strings.TrimSpace(line))
		}
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return
	}
	switch key, _ := x509.ParsePKCS8PrivateKey(block.Bytes); key := key.(type) {
	case *ecdsa.PrivateKey:
		if raw, err := key.Bytes(); err == nil {
			w.plantNumber(raw)
		}
	case *rsa.PrivateKey:
		w.plantNumber(key.D.Bytes())
		w.plantNumber(key.Primes[0].Bytes())
	}
}

// plantNumber plants a secret number as raw bytes, and as fmt prints it.
func (w *Watch) plantNumber(raw []byte) {
	w.Plant(leak.ProviderKey, string(raw), new(big.Int).SetBytes(raw).String())
}

// shortest is the least that is planted of what a test has not chosen to be unique:
// "hello" is in many a text.
const shortest = 12

// plantRequest plants what a request brings to the native API.
func (w *Watch) plantRequest(path string, body []byte) {
	switch {
	case strings.HasPrefix(path, "/v1/devices/"):
		var d wire.NewDevice
		if json.Unmarshal(body, &d) != nil {
			return
		}
		if len(d.UserID) >= shortest {
			w.Plant(leak.User, string(d.UserID))
		}
		for _, t := range d.Tokens {
			if len(t.Value) >= shortest {
				w.Plant(leak.DeviceToken, t.Value)
			}
			w.plantSubscription(t.Subscription)
		}
	case strings.HasPrefix(path, "/v1/messages"):
		var one wire.NewMessage
		var batch struct{ Messages []wire.NewMessage }
		if json.Unmarshal(body, &one) == nil {
			w.plantMessage(&one)
		}
		if json.Unmarshal(body, &batch) == nil {
			for i := range batch.Messages {
				w.plantMessage(&batch.Messages[i])
			}
		}
	}
}

// plantSubscription plants what only the browser's push service may know: the endpoint
// says who is reached, and whoever has the keys can read.
func (w *Watch) plantSubscription(s *wire.Subscription) {
	if s == nil {
		return
	}
	for _, value := range []string{s.Endpoint, s.Endpoint[strings.LastIndexByte(s.Endpoint, '/')+1:], s.Keys.P256DH, s.Keys.Auth} {
		if len(value) >= shortest {
			w.Plant(leak.SubscriptionID, value)
		}
	}
}

func (w *Watch) plantMessage(m *wire.NewMessage) {
	var texts []string
	if n := m.Notification; n != nil {
		texts = append(texts, n.Title, n.Body)
		for _, v := range n.Data {
			texts = append(texts, v)
		}
	}
	if m.Event != nil {
		texts = append(texts, string(m.Event.Data))
	}
	for _, text := range texts {
		if len(text) >= shortest {
			w.Plant(leak.Body, text)
		}
	}
}
