package gateway

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// Installation is an installed app that has proved which device is its own. Only
// Recognise makes one. Whatever is changed for it is changed only if the proof still
// holds in the very transaction: a secret that was replaced a moment ago opens nothing. To
// delete the device the proof of a moment ago is enough.
type Installation struct {
	App    *diaphone.App
	Device diaphone.Device // as it was then
	proof  diaphone.TokenHash
}

// proves tells whether the device has the secret that was shown.
func (i *Installation) proves(d *diaphone.Device) bool {
	same := subtle.ConstantTimeCompare(i.proof[:], d.SecretHash[:]) == 1
	return same && d.SecretHash != (diaphone.TokenHash{})
}

// Refusal says in one word why somebody was not believed: for metrics, and for nobody
// outside.
type Refusal string

// The refusals of a device secret, and of an identity token beside its own (see package
// identity).
const (
	RefusedForm    Refusal = "secret_malformed" // it is no device secret
	RefusedSecret  Refusal = "secret_wrong"     // it is nobody's: no such app, no such device, or another secret
	RefusedOlder   Refusal = "token_outdated"   // a newer one has been heard, or a logout
	RefusedUser    Refusal = "token_user"       // the device is bound to another
	RefusedChannel Refusal = "token_channel"    // it does not open the channel
)

// Error implements error.
func (r Refusal) Error() string { return string(r) }

// notRecognised is the one answer to every secret that does not hold.
func notRecognised(why Refusal) error {
	return &diaphone.Error{
		Code:   diaphone.Unauthorized,
		Detail: "the bearer token is no device's secret",
		Hint:   "register the device again: POST /v1/apps/{app_key}/devices gives a new secret",
		Err:    why,
	}
}

// AppOfSecret gives the app that a secret says it belongs to, or nil. It proves nothing.
func (g *Gateway) AppOfSecret(secret string) *diaphone.App {
	app, _, ok := diaphone.ParseDeviceSecret(secret)
	if !ok {
		return nil
	}
	return g.parts.Apps.ByID(app)
}

// Recognise finds the device of a secret. Whatever is wrong with a secret, the error is
// the same Unauthorized, its cause a Refusal, and the way to it as long.
func (g *Gateway) Recognise(ctx context.Context, secret string) (*Installation, error) {
	app, id, ok := diaphone.ParseDeviceSecret(secret)
	if !ok {
		return nil, notRecognised(RefusedForm)
	}
	d, err := g.parts.Devices.Device(ctx, app, id)
	if err != nil && diaphone.CodeOf(err) != diaphone.NotFound {
		return nil, err
	}
	i := &Installation{App: g.parts.Apps.ByID(app), Device: d, proof: diaphone.HashToken(secret)}
	if !i.proves(&d) || i.App == nil {
		return nil, notRecognised(RefusedSecret)
	}
	return i, nil
}

// Enrol makes an anonymous device for an installation, and the secret by which it
// speaks for the device from now on. Another device that holds one of the tokens ends.
func (g *Gateway) Enrol(ctx context.Context, app *diaphone.App, wanted diaphone.Device) (diaphone.Device, diaphone.Secret, error) {
	now := time.Now()
	wanted.App, wanted.ID = app.ID, diaphone.NewDeviceID(now)
	if err := g.admissible(&wanted); err != nil {
		return diaphone.Device{}, "", err
	}
	secret := diaphone.NewDeviceSecret(wanted.App, wanted.ID)
	stored, _, err := g.establish(ctx, wanted.App, wanted.ID, func(had diaphone.Device, known bool) (diaphone.Device, error) {
		if known {
			return had, diaphone.Errorf(diaphone.Internal, "the id of a new device is taken")
		}
		next := byInstallation(had, wanted, now)
		next.SecretHash = diaphone.HashToken(secret.Reveal())
		return next, nil
	})
	return stored, secret, err
}

// Renew replaces what an installation may say of its device, and marks its tokens as
// fresh. User, channels and tags stay.
func (g *Gateway) Renew(ctx context.Context, i *Installation, wanted diaphone.Device) (diaphone.Device, error) {
	wanted.App, wanted.ID = i.App.ID, i.Device.ID
	if err := g.admissible(&wanted); err != nil {
		return diaphone.Device{}, err
	}
	return g.changeOwn(ctx, i, func(had diaphone.Device, now time.Time) (diaphone.Device, error) {
		return byInstallation(had, wanted, now), nil
	})
}

// Retire deletes the installation's device, and with it the secret.
func (g *Gateway) Retire(ctx context.Context, i *Installation) error {
	err := g.parts.Devices.DeleteDevice(ctx, i.App.ID, i.Device.ID)
	if diaphone.CodeOf(err) == diaphone.NotFound {
		return notRecognised(RefusedSecret)
	}
	return err
}

// changeOwn has a rule change the installation's device.
func (g *Gateway) changeOwn(ctx context.Context, i *Installation, rule func(had diaphone.Device, now time.Time) (diaphone.Device, error)) (diaphone.Device, error) {
	now := time.Now()
	stored, _, err := g.parts.Devices.ChangeDevice(ctx, i.App.ID, i.Device.ID, now, func(had diaphone.Device, known bool) (diaphone.Device, error) {
		if !known || !i.proves(&had) {
			return had, notRecognised(RefusedSecret)
		}
		return rule(had, now)
	})
	return stored, err
}
