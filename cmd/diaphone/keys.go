package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hooks"
	"github.com/diaphone-dev/diaphone/providers/webpush"
)

type keysCmd struct {
	VAPID keysVAPIDCmd `cmd:"" name:"vapid" help:"Make the key pair that Web Push knows a sender by, and print its public half, which pages subscribe with."`

	Webhook keysWebhookCmd `cmd:"" help:"Make a secret that a standard webhook is signed with, and print it."`
}

type keysWebhookCmd struct{}

// Run prints a new secret, for secrets: in the apps file and for the backend.
func (k *keysWebhookCmd) Run(c *console) error {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	_, err := fmt.Fprintln(c.out, hooks.NewSecret(random).Reveal())
	return err
}

type keysVAPIDCmd struct {
	jsonFlag
	Out string `help:"File for the private key, PEM; vapid.pem unless given. One that is there is kept, and its public half printed. - prints the key itself." default:"vapid.pem" placeholder:"FILE" env:"-"`
}

// vapidKeys is what keys vapid --json prints.
type vapidKeys struct {
	PublicKey  string `json:"public_key"`
	File       string `json:"file,omitempty"`
	PrivateKey string `json:"private_key,omitempty"`
}

// Run makes a key, unless there is one.
func (k *keysVAPIDCmd) Run(c *console) error {
	text, err := k.key()
	if err != nil {
		return err
	}
	public, err := webpush.PublicKey(diaphone.Secret(text))
	if err != nil {
		return configFault(fmt.Errorf("%s: %w", k.Out, err))
	}
	keys := vapidKeys{PublicKey: public, File: k.Out}
	if k.Out == "-" {
		keys.File, keys.PrivateKey = "", string(text)
	}
	switch {
	case k.JSON:
		return c.json(keys)
	case k.Out == "-":
		c.note("public key  %s", public)
		_, err = c.out.Write(text)
	default:
		c.note("private key %s", k.Out)
		_, err = fmt.Fprintln(c.out, public)
	}
	return err
}

// key reads the file, or makes a key and writes it.
func (k *keysVAPIDCmd) key() ([]byte, error) {
	if k.Out != "-" {
		text, err := os.ReadFile(k.Out)
		switch {
		case err == nil && len(bytes.TrimSpace(text)) == 0:
			return nil, configFault(fmt.Errorf("%s is empty: remove it, and a key is made", k.Out))
		case err == nil:
			return text, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, configFault(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if k.Out == "-" {
		return text, nil
	}
	return text, k.write(text)
}

// write makes the file; one that has come meanwhile is not overwritten.
func (k *keysVAPIDCmd) write(text []byte) error {
	f, err := os.OpenFile(k.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return configFault(fmt.Errorf("cannot write the key: %w", err))
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return configFault(fmt.Errorf("cannot write the key: %w", err))
	}
	return nil
}
