//! Keyed hashes of messages: HMAC-SHA256, made and checked in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// The prefix of a secret whose rest is the key in base64, as Standard Webhooks writes it.
const ENCODED: &str = "whsec_";

/// The key that a configured secret stands for.
#[must_use]
pub fn key_of(secret: &str) -> Vec<u8> {
    let encoded = secret
        .strip_prefix(ENCODED)
        .and_then(|text| STANDARD.decode(text).ok());
    encoded.unwrap_or_else(|| secret.as_bytes().to_vec())
}

/// The HMAC-SHA256 of `parts`, one after the other.
#[must_use]
pub fn sign(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

/// Whether `tag` is the HMAC-SHA256 of `message`; takes as long for a nearly right one as for any other.
#[must_use]
pub fn is_signed(key: &[u8], message: &[u8], tag: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), message, tag).is_ok()
}

/// Whether two secrets are the same; says nothing about where they differ by the time it takes.
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    // Comparing keyed hashes hides the lengths too.
    let key = hmac::Key::new(hmac::HMAC_SHA256, one);
    hmac::verify(
        &hmac::Key::new(hmac::HMAC_SHA256, other),
        b"same",
        hmac::sign(&key, b"same").as_ref(),
    )
    .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_rfc_4231() {
        let tag = sign(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(is_signed(b"Jefe", b"what do ya want for nothing?", &tag));
        assert!(!is_signed(b"Jeff", b"what do ya want for nothing?", &tag));
        assert!(!is_signed(b"Jefe", b"what do ya want for nothing?", &tag[..31]));
    }

    #[test]
    fn encoded_secrets_are_decoded() {
        assert_eq!(key_of("whsec_AQID"), [1, 2, 3]);
        assert_eq!(key_of("plain"), b"plain");
        assert_eq!(key_of("whsec_not base64!"), b"whsec_not base64!");
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(is_same(b"abc", b"abc"));
        for other in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert!(!is_same(b"abc", other));
        }
    }
}
