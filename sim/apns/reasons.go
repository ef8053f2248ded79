package apns

import "github.com/diaphone-dev/diaphone/sim/fault"

// reason is a value of the "reason" key in an error's body.
type reason string

// The reasons of Apple's page "Handling notification responses from APNs".
// BadEnvironmentKeyInToken is a second spelling that senders have seen
// (swift-server-community/APNSwift#229).
const (
	badCollapseID          reason = "BadCollapseId"
	badDeviceToken         reason = "BadDeviceToken"
	badExpirationDate      reason = "BadExpirationDate"
	badMessageID           reason = "BadMessageId"
	badPriority            reason = "BadPriority"
	badTopic               reason = "BadTopic"
	deviceTokenNotForTopic reason = "DeviceTokenNotForTopic"
	duplicateHeaders       reason = "DuplicateHeaders"
	idleTimeout            reason = "IdleTimeout"
	invalidPushType        reason = "InvalidPushType"
	missingDeviceToken     reason = "MissingDeviceToken"
	missingTopic           reason = "MissingTopic"
	payloadEmpty           reason = "PayloadEmpty"
	topicDisallowed        reason = "TopicDisallowed"
	badCertificate         reason = "BadCertificate"
	badCertEnvironment     reason = "BadCertificateEnvironment"
	expiredProviderToken   reason = "ExpiredProviderToken"
	forbidden              reason = "Forbidden"
	invalidProviderToken   reason = "InvalidProviderToken"
	missingProviderToken   reason = "MissingProviderToken"
	unrelatedKeyID         reason = "UnrelatedKeyIdInToken"
	badEnvironmentKeyID    reason = "BadEnvironmentKeyIdInToken"
	badEnvironmentKey      reason = "BadEnvironmentKeyInToken"
	badPath                reason = "BadPath"
	methodNotAllowed       reason = "MethodNotAllowed"
	expiredToken           reason = "ExpiredToken"
	unregistered           reason = "Unregistered"
	payloadTooLarge        reason = "PayloadTooLarge"
	tooManyTokenUpdates    reason = "TooManyProviderTokenUpdates"
	tooManyRequests        reason = "TooManyRequests"
	internalServerError    reason = "InternalServerError"
	serviceUnavailable     reason = "ServiceUnavailable"
	shutdown               reason = "Shutdown"
)

// vocabulary says which reasons come with which status.
func vocabulary() *fault.Vocabulary {
	words := func(reasons ...reason) []string {
		out := make([]string, len(reasons))
		for i, r := range reasons {
			out[i] = string(r)
		}
		return out
	}
	return &fault.Vocabulary{
		Vendor: "APNs",
		Acts:   []string{fault.Hang, fault.GoAway, fault.Refuse},
		Reasons: map[int][]string{
			400: words(
				badDeviceToken, badCollapseID, badExpirationDate, badMessageID, badPriority, badTopic,
				deviceTokenNotForTopic, duplicateHeaders, idleTimeout, invalidPushType,
				missingDeviceToken, missingTopic, payloadEmpty, topicDisallowed,
			),
			403: words(
				forbidden, badCertificate, badCertEnvironment, expiredProviderToken, invalidProviderToken,
				missingProviderToken, unrelatedKeyID, badEnvironmentKeyID, badEnvironmentKey,
			),
			404: words(badPath),
			405: words(methodNotAllowed),
			410: words(unregistered, expiredToken),
			413: words(payloadTooLarge),
			429: words(tooManyRequests, tooManyTokenUpdates),
			500: words(internalServerError),
			503: words(serviceUnavailable, shutdown),
		},
	}
}

// CheckFault completes a fault with what APNs means by it. The error begins with
// the field that is wrong.
func CheckFault(f fault.Fault) (fault.Fault, error) { return vocabulary().Complete(f) }
