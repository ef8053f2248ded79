package gateway

// vendorMeanings are the words of the providers, as their pages explain them: Apple's
// "Handling notification responses from APNs", Google's "ErrorCode" of FCM v1, and what
// the push services of browsers answer. What matters here is whose fault it is.
var vendorMeanings = map[string]sentences{
	// Apple.
	"BadDeviceToken":              {"Apple does not know this token in the environment that it was sent to.", checkEnvironment},
	"DeviceTokenNotForTopic":      {"The token belongs to another app than the credential's topic names.", "Set the credential's topic to the bundle id of the app that the phone runs."},
	"Unregistered":                {"Apple says that the app was removed from the phone, or that notifications were turned off for good: the token is dead.", openTheApp},
	"ExpiredToken":                {"Apple says that the token has expired.", openTheApp},
	"TopicDisallowed":             {"The key may not send to this topic.", "Use a key of the team that owns the bundle id, and check a scoped key's topics."},
	"BadCertificate":              {"Apple refuses the client certificate.", checkCredential},
	"BadCertificateEnvironment":   {"The client certificate is for the other environment.", checkCredential},
	"InvalidProviderToken":        {"Apple refuses the provider token: key, key id or team id do not fit each other, or the key was revoked.", checkCredential},
	"MissingProviderToken":        {"Apple saw neither a certificate nor a provider token.", checkCredential},
	"ExpiredProviderToken":        {"Apple finds the provider token too old; a new one is made at once.", "If it lasts, set the gateway's clock by NTP."},
	"Forbidden":                   {"Apple does not allow this with the credential.", checkCredential},
	"BadEnvironmentKeyIdInToken":  {"The key is for the other environment only.", "Use a key of this environment, or of both."},
	"BadEnvironmentKeyInToken":    {"The key is for the other environment only.", "Use a key of this environment, or of both."},
	"UnrelatedKeyIdInToken":       {"Two keys were mixed on one connection to Apple.", "Give each key a credential of its own."},
	"TooManyRequests":             {"Apple has had too many notifications for this one phone in short order.", "Send fewer, or join them with collapse_id."},
	"TooManyProviderTokenUpdates": {"Apple finds that provider tokens are renewed too often; another process may sign with the same key.", "Let one process use a key, or give each its own."},
	"IdleTimeout":                 {"Apple had closed the idle connection.", nothingYet},
	"InternalServerError":         {"Apple's service failed.", nothingYet},
	"ServiceUnavailable":          {"Apple's service is overloaded.", nothingYet},
	"Shutdown":                    {"Apple's server was going down.", nothingYet},
	"PayloadTooLarge":             {"The notification has more bytes than Apple takes.", "Send less text and data; see diaphone send --preview for the size."},
	"PayloadEmpty":                {"Apple saw no notification in the request.", reportBug},
	"BadCollapseId":               {"Apple refuses the collapse id.", reportBug},
	"BadExpirationDate":           {"Apple refuses the expiry.", reportBug},
	"BadMessageId":                {"Apple refuses the id.", reportBug},
	"BadPriority":                 {"Apple refuses the priority.", reportBug},
	"BadTopic":                    {"Apple refuses the topic.", checkCredential},
	"MissingTopic":                {"Apple saw no topic.", checkCredential},
	"DuplicateHeaders":            {"Apple saw a header twice.", reportBug},
	"InvalidPushType":             {"Apple refuses the push type.", reportBug},
	"MissingDeviceToken":          {"Apple saw no token.", reportBug},
	"BadPath":                     {"Apple saw a wrong path.", reportBug},
	"MethodNotAllowed":            {"Apple saw a wrong method.", reportBug},

	// Google.
	"UNREGISTERED":           {"Google says that the app was removed from the phone, or that its data was deleted: the token is dead.", openTheApp},
	"SENDER_ID_MISMATCH":     {"The token belongs to another Firebase project than the service account.", "Use the service account of the project that the app was built with."},
	"INVALID_ARGUMENT":       {"Google takes the token or a field of the message for malformed.", "Look at the token that the app registers, and at the fcm field of the message."},
	"THIRD_PARTY_AUTH_ERROR": {"Google could not hand it on to Apple or to the browser's push service: the key stored in the Firebase project is missing or wrong.", "Upload the APNs key in the Firebase console, under Cloud Messaging."},
	"APNS_AUTH_ERROR":        {"Google could not hand it on to Apple: the APNs key in the Firebase project is missing or wrong.", "Upload the APNs key in the Firebase console, under Cloud Messaging."},
	"PERMISSION_DENIED":      {"The service account may not send for this Firebase project.", "Give it the role Firebase Cloud Messaging API Admin, and enable that API."},
	"QUOTA_EXCEEDED":         {"Google's quota is used up: of the project, or of messages to this one phone.", "Send fewer to one phone, or set the credential's rate below the project's quota."},
	"UNAVAILABLE":            {"Google's service is overloaded.", nothingYet},
	"INTERNAL":               {"Google's service failed.", nothingYet},

	// The push services of browsers.
	"vapid_key_mismatch": {"The page subscribed with another VAPID key than the credential's.", "Put the key back that pages subscribed with, or have the page subscribe again."},
	"vapid_audience":     {"The push service finds that the signature was made for another push service.", reportBug},
	"vapid_refused":      {"The push service refuses the VAPID signature.", "Check the gateway's clock and the credential's subject."},
	"BadJwtToken":        {"Apple's push service refuses the VAPID signature.", "Check the gateway's clock and the credential's subject, which must be a mailto: or https: address."},
	"dropped":            {"Microsoft's push service has dropped it.", "Have the page subscribe again."},
	"channel_throttled":  {"Microsoft's push service has had too many for this one browser.", "Send fewer, or join them with collapse_id."},
	"errno_108":          {"Mozilla's push service does not know the subscription's way to the browser.", "Have the page subscribe again."},
	"errno_109":          {"Mozilla's push service refuses the VAPID signature.", "Check the gateway's clock and the credential's subject."},
	"errno_201":          {"Mozilla's push service is overloaded.", nothingYet},
}
