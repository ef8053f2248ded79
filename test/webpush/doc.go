// Package webpush is Web Push from end to end with a real browser: a message is
// published to the gateway, which encrypts it and posts it to the simulated push
// service, which a headless Firefox is connected to; its service worker, the one
// that apps use, shows it. It needs a Firefox, so it has a tag and a target of its
// own: make e2e-webpush.
package webpush
