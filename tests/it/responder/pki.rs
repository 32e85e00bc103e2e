//! Certificates of our own, and a client that shows them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd,
};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::harness::{Launch, PATIENCE, Responder};

/// A certificate authority of our own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names and addresses.
    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.sign(CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap())
    }

    /// One whose time is over.
    pub(crate) fn issue_expired(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.sign(params)
    }

    /// One that names a URI and an e-mail address.
    pub(crate) fn issue_named(&self, uri: &str, mail: &str) -> Identity {
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            vec![SanType::URI(uri.try_into().unwrap()), SanType::Rfc822Name(mail.try_into().unwrap())];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A folder with a web configuration file and what it names.
pub(crate) struct WebFolder(tempfile::TempDir);

impl WebFolder {
    /// A server's identity of this authority, under `cert.pem` and `key.pem`.
    pub(crate) fn of(authority: &Authority) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.identify(&authority.issue(&["127.0.0.1", "localhost"]));
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a file in place as a whole, as those do who know that it is read.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    pub(crate) fn identify(&self, identity: &Identity) {
        self.write("cert.pem", &identity.certificate);
        self.write("key.pem", &identity.key);
    }

    /// The web configuration file with TLS and these settings of it, and what stands beside it.
    pub(crate) fn tls(&self, settings: &str, beside: &str) {
        let tls = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";
        self.write("web.yml", &format!("{tls}{settings}{beside}"));
    }

    pub(crate) fn launch(&self) -> Launch {
        Launch::with_flags(["--web.config.file", self.path("web.yml").to_str().unwrap()])
    }
}

/// Who asks over TLS: whom it trusts, and what it shows.
pub(crate) fn client(trusted: &str, shown: Option<&Identity>) -> ureq::Agent {
    let roots: Vec<_> = [Certificate::from_pem(trusted.as_bytes()).unwrap()].into();
    let shown = shown.map(|identity| {
        let certificate = Certificate::from_pem(identity.certificate.as_bytes()).unwrap();
        ClientCert::new_with_certs(&[certificate], PrivateKey::from_pem(identity.key.as_bytes()).unwrap())
    });
    let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots))).client_cert(shown);
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .tls_config(tls.build())
        .build()
        .into()
}

/// The status that a path answers over TLS, or why there is none.
pub(crate) fn https(client: &ureq::Agent, responder: &Responder, path: &str) -> Result<u16, String> {
    let url = format!("https://{}{path}", responder.address);
    let answer = client.get(url).call().map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    // Only a connection whose answer was read is used again.
    answer.into_body().read_to_string().map_err(|error| error.to_string())?;
    Ok(status)
}

/// A file's path as a flag takes it.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
