//! From the web configuration file to rustls: what is spoken, and which clients are let in.

use std::sync::Arc;

use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion,
    client::danger::HandshakeSignatureValid,
    crypto::{
        CryptoProvider,
        ring::{self, cipher_suite, kx_group},
        verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::{TLS12, TLS13},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::config::web::{CipherSuite, ClientAuth, Curve, Pem, Secret, Tls, TlsVersion};

/// Why TLS cannot be spoken with what the file says.
#[derive(Debug, thiserror::Error)]
#[error("tls_server_config.{key}: {message}")]
pub struct TlsError {
    key: &'static str,
    message: String,
}

impl TlsError {
    fn new(key: &'static str, message: impl ToString) -> Self {
        Self { key, message: message.to_string() }
    }
}

/// What rustls is to do. Nothing is resumed: each connection shows its certificate anew, so that one
/// that is no longer taken opens no other.
pub fn server_config(tls: &Tls, pem: &Pem) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(provider(tls));
    let chain = certificates("cert_file", &pem.cert)?;
    let key = PrivateKeyDer::from_pem_slice(pem.key.0.as_bytes())
        .map_err(|_| TlsError::new("key_file", "holds no private key in PEM"))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(tls))
        .map_err(|error| TlsError::new("min_version", error))?;
    let builder = match tls.client_auth_type {
        ClientAuth::NoClientCert => builder.with_no_client_auth(),
        _ => builder.with_client_cert_verifier(Arc::new(Clients::new(tls, pem, provider)?)),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        TlsError::new("cert_file", format!("certificate and key do not fit together: {error}"))
    })?;
    config.ignore_client_order = tls.prefer_server_cipher_suites;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn versions(tls: &Tls) -> Vec<&'static SupportedProtocolVersion> {
    let spoken = [(TlsVersion::Tls13, &TLS13), (TlsVersion::Tls12, &TLS12)];
    let wanted = tls.min_version..=tls.max_version;
    spoken.into_iter().filter(|(version, _)| wanted.contains(version)).map(|(_, spoken)| spoken).collect()
}

fn provider(tls: &Tls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !tls.cipher_suites.is_empty() {
        let newer = |suite: &SupportedCipherSuite| matches!(suite, SupportedCipherSuite::Tls13(_));
        provider.cipher_suites.retain(newer);
        provider.cipher_suites.extend(tls.cipher_suites.iter().map(|suite| match suite {
            CipherSuite::EcdsaAes128 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::EcdsaAes256 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            CipherSuite::EcdsaChacha20 => cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            CipherSuite::RsaAes128 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::RsaAes256 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            CipherSuite::RsaChacha20 => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        }));
    }
    if !tls.curve_preferences.is_empty() {
        provider.kx_groups = tls
            .curve_preferences
            .iter()
            .map(|curve| match curve {
                Curve::X25519 => kx_group::X25519,
                Curve::CurveP256 => kx_group::SECP256R1,
                Curve::CurveP384 => kx_group::SECP384R1,
            })
            .collect();
    }
    provider
}

fn certificates(key: &'static str, pem: &Secret) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.0.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::new(key, "holds no certificate in PEM")),
    }
}

/// Which clients are let in.
#[derive(Debug)]
struct Clients {
    mandatory: bool,
    /// Absent where whatever is shown is taken.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    hints: Vec<DistinguishedName>,
    allowed_sans: Option<Vec<String>>,
    provider: Arc<CryptoProvider>,
}

impl Clients {
    fn new(tls: &Tls, pem: &Pem, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        if let Some(ca) = &pem.client_ca {
            for certificate in certificates("client_ca_file", ca)? {
                roots.add(certificate).map_err(|error| TlsError::new("client_ca_file", error))?;
            }
        }
        let (mandatory, verifies) = match tls.client_auth_type {
            ClientAuth::NoClientCert | ClientAuth::RequestClientCert => (false, false),
            ClientAuth::RequireAnyClientCert => (true, false),
            ClientAuth::VerifyClientCertIfGiven => (false, true),
            ClientAuth::RequireAndVerifyClientCert => (true, true),
        };
        let hints = roots.subjects();
        let chain = if verifies {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            Some(builder.build().map_err(|error| TlsError::new("client_ca_file", error))?)
        } else {
            None
        };
        Ok(Self { mandatory, chain, hints, allowed_sans: tls.client_allowed_sans.clone(), provider })
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(certificate, intermediates, now)?;
        }
        match &self.allowed_sans {
            Some(allowed) if !names_one_of(certificate, allowed) => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whom the certificate is made out to; where it says so by other names only, its number.
pub(super) fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject().to_string();
    let number = || format!("number {}", certificate.raw_serial_as_string());
    Some(if subject.is_empty() { number() } else { subject })
}

/// Whether the certificate holds one of these as a name, an e-mail address, an address or a URI, letter
/// by letter.
pub(crate) fn names_one_of(certificate: &CertificateDer<'_>, allowed: &[String]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    let is_allowed = |name: &str| allowed.iter().any(|allowed| allowed == name);
    names.value.general_names.iter().any(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            is_allowed(name)
        }
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let sixteen = || <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
            four.or_else(|_| sixteen()).is_ok_and(|address| is_allowed(&address.to_string()))
        }
        _ => false,
    })
}
