package diaphone

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"
)

const (
	devicePrefix       = "dev_"
	deviceSecretPrefix = "dds_"
	deviceSecretRandom = 32 // bytes, of which nobody can guess one bit
	maxDeviceSecret    = 512
)

// NewDeviceID makes the id of a device that has registered itself, for example
// "dev_06f3k9q2v8c7h0a1b2c3d4e5f6", of the same make as a MessageID.
func NewDeviceID(now time.Time) DeviceID {
	b := newUUIDv7(now)
	return DeviceID(devicePrefix + strings.ToLower(idText.EncodeToString(b[:])))
}

// NewDeviceSecret makes the bearer token by which an installation speaks for its
// device: 256 random bits, and whose they are, so that no call has to name what it may
// touch. Only its hash is stored.
func NewDeviceSecret(app AppID, device DeviceID) Secret {
	b := make([]byte, deviceSecretRandom, deviceSecretRandom+1+len(app)+len(device))
	_, _ = rand.Read(b) // never fails since Go 1.24
	b = append(b, byte(len(app)))
	b = append(append(b, app...), device...)
	return Secret(deviceSecretPrefix + secretText().EncodeToString(b))
}

// ParseDeviceSecret tells whose secret the text says that it is. It proves nothing: only
// the hash of the text does, compared with what the device has.
func ParseDeviceSecret(text string) (app AppID, device DeviceID, ok bool) {
	encoded, ok := strings.CutPrefix(text, deviceSecretPrefix)
	if !ok || len(text) > maxDeviceSecret || strings.ContainsAny(encoded, "\r\n") { // which base64 would pass over
		return "", "", false
	}
	b, err := secretText().DecodeString(encoded)
	if err != nil || len(b) <= deviceSecretRandom {
		return "", "", false
	}
	length, rest := int(b[deviceSecretRandom]), b[deviceSecretRandom+1:]
	if length == 0 || length > len(rest) {
		return "", "", false
	}
	app, device = AppID(rest[:length]), DeviceID(rest[length:])
	return app, device, device.Validate() == nil
}

// secretText has one text for the same bytes, and no other is read.
func secretText() *base64.Encoding { return base64.RawURLEncoding.Strict() }
