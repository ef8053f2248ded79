package fcm

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/diaphone-dev/diaphone"
)

// Config is one FCM credential: a service account of a Firebase project.
type Config struct {
	ServiceAccount diaphone.Secret // content of the JSON file from the Firebase console

	// Endpoint overrides https://fcm.googleapis.com/v1, for a simulator.
	Endpoint string
	// RootCAs verify the server; nil: the system's.
	RootCAs *x509.CertPool
	// Connections is how many HTTP/2 connections may be open; 0: 8, enough for the
	// default quota of a project at the 100 streams that Google allows on each.
	// Over plain HTTP/1.1, which only a simulator speaks, every request in flight
	// has its own connection and the bound does not apply.
	Connections int
}

const (
	defaultEndpoint    = "https://fcm.googleapis.com/v1"
	defaultConnections = 8
	maxConnections     = 64
)

// account is what we need of a service-account file.
type account struct {
	Type         string `json:"type"`
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	TokenURI     string `json:"token_uri"`
}

// parse checks the configuration. Its errors name the field and never repeat
// what is in it.
func (c *Config) parse() (*account, error) {
	if c.Connections < 0 || c.Connections > maxConnections {
		return nil, fmt.Errorf("the FCM connections are 1 to %d, these are %d", maxConnections, c.Connections)
	}
	if !isHTTP(c.endpoint()) {
		return nil, errors.New("the FCM endpoint is an http or https URL, for example " + defaultEndpoint)
	}
	var a account
	if err := json.Unmarshal([]byte(c.ServiceAccount.Reveal()), &a); err != nil {
		return nil, errors.New("the FCM service account is not JSON: use the file as the Firebase console gave it")
	}
	if a.Type != "service_account" {
		return nil, errors.New(`the FCM service account's "type" is not "service_account"`)
	}
	for _, f := range []struct{ name, value string }{
		{"project_id", a.ProjectID}, {"private_key_id", a.PrivateKeyID}, {"client_email", a.ClientEmail},
	} {
		if f.value == "" {
			return nil, fmt.Errorf("the FCM service account has no %q", f.name)
		}
	}
	if url.PathEscape(a.ProjectID) != a.ProjectID {
		return nil, errors.New(`the FCM service account's "project_id" is not a project id`)
	}
	if !isHTTP(a.TokenURI) {
		return nil, errors.New(`the FCM service account's "token_uri" is not an http or https URL`)
	}
	if !isRSA(a.PrivateKey) {
		return nil, errors.New(`the FCM service account's "private_key" is not an RSA key in PEM`)
	}
	return &a, nil
}

func (c *Config) endpoint() string {
	if c.Endpoint == "" {
		return defaultEndpoint
	}
	return strings.TrimSuffix(c.Endpoint, "/")
}

// hostOf gives the host of a URL that isHTTP has seen.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}

func isHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

func isRSA(text string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return true
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	_, ok := key.(*rsa.PrivateKey)
	return err == nil && ok
}
